"""A timer that can be reset, such as the election timeout of Raft."""

from __future__ import annotations

import math
from random import Random
from typing import final

import trio


@final
class Timer:
    """A timer that expires some time after its last reset; `Node.timer` makes one.

    It runs no task: a task waits for it. At first it is stopped. For example, a follower waits in a background task
    until it has heard nothing of a leader for some time, and the handler of the leader's messages calls `reset`::

        election = node.timer(0.15, jitter=0.15)


        @node.background
        async def follow():
            election.reset()
            while True:
                await election.wait()
                await stand_for_election()
                election.reset()

    Args:
      seconds: The time after a reset when it expires, on Trio's clock.
      jitter: The largest random addition to that time, in seconds, drawn anew by each reset.
      random: The source of the jitter.

    Raises:
      ValueError: if *seconds* or *jitter* is negative, infinite or not a number.

    Example:
      >>> election = Node().timer(1.0)
      >>> async def main():
      ...     election.reset()
      ...     await trio.sleep(0.5)
      ...     election.reset()
      ...     await election.wait()
      ...     print(trio.current_time())
      ...     election.stop()
      >>> trio.run(main, clock=MockClock(autojump_threshold=0))  # in virtual time
      1.5
    """

    def __init__(self, seconds: float, *, jitter: float, random: Random) -> None:
        for name, value in (("the time of a timer", seconds), ("the jitter", jitter)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value} s; give a finite number of 0 s or more")
        self.deadline: float = math.inf
        """The time when it expires, in seconds on Trio's clock; ``math.inf`` if it is stopped. Read only."""
        self._seconds, self._jitter, self._random = seconds, jitter, random
        self._waiting: set[trio.CancelScope] = set()

    def reset(self) -> None:
        """Start it, or start it again, with a new random delay. Needs a running Trio."""
        self._set(trio.current_time() + self._seconds + self._random.uniform(0, self._jitter))

    def stop(self) -> None:
        """Stop it. Tasks that wait for it go on waiting, until a reset lets it expire."""
        self._set(math.inf)

    async def wait(self) -> None:
        """Wait until it expires; return at once if it has. Always a checkpoint; may be cancelled at any time."""
        await trio.lowlevel.checkpoint()
        while trio.current_time() < self.deadline:
            with trio.CancelScope(deadline=self.deadline) as scope:
                self._waiting.add(scope)
                try:
                    await trio.sleep_forever()
                finally:
                    self._waiting.discard(scope)

    def _set(self, deadline: float) -> None:
        self.deadline = deadline
        for scope in self._waiting:
            scope.deadline = deadline
