"""Hosts: each runs one node of the cluster, life after life."""

from __future__ import annotations

import contextlib
import contextvars
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, Final

import trio

from trio_messenger import printable

from .._network.network import Delivery, Network

LOG_LINES: Final = 10_000
"""Lines of a node's log that are kept; of a node that floods it, the first half and the last half."""


class NodeLog:
    """What one node said on stderr or logged, over all its lives.

    Args:
      node_id: Whose it is.
      echo: Called with the id and each line as it comes; None for nobody.
      moment: Returns the time, as lines of this process's nodes begin with it.
    """

    def __init__(
        self,
        node_id: str,
        echo: Callable[[str, str], object] | None = None,
        moment: Callable[[], str] = lambda: f"{trio.current_time():.6f}",
    ) -> None:
        self.node_id: Final = node_id
        """Whose it is."""
        self.failure: str | None = None
        """The last exception that the library has caught of the node, in one line; None if there was none."""
        self._first: list[str] = []
        self._last: list[str] = []
        self._left_out = 0
        self._echo = echo
        self._moment = moment

    def add_now(self, text: str) -> None:
        """Add *text* with the time before it."""
        self.add(f"{self._moment()} {text}")

    def add(self, text: str) -> None:
        """Add *text*, which may have several lines. Control characters in them are shown as `printable` shows them."""
        if text:
            for line in text.removesuffix("\n").split("\n"):
                self._add_line(printable(line.removesuffix("\r").expandtabs()))

    def _add_line(self, line: str) -> None:
        if self._echo is not None:
            self._echo(self.node_id, line)
        if len(self._first) < LOG_LINES // 2:
            self._first.append(line)
            return
        self._last.append(line)
        if len(self._last) > LOG_LINES:  # in one go, and seldom
            self._left_out += LOG_LINES // 2
            del self._last[: LOG_LINES // 2]

    def lines(self) -> list[str]:
        """Return what is kept."""
        gap = [f"... {self._left_out} lines left out ..."] if self._left_out else []
        return [*self._first, *gap, *self._last]

    def last(self, count: int) -> list[str]:
        """Return the last *count* lines."""
        return self.lines()[-count:]


class Host(ABC):
    """Runs one node; the cluster tells it when to start, die, stand still and go on.

    Args:
      node_id: The id of the node.
      network: What its messages go through.
      log: Where to put what it says.
    """

    advice: ClassVar[str] = ""
    """What to tell whoever waited in vain for an answer of the node, if nothing at all has come of it."""

    def __init__(self, node_id: str, network: Network, log: NodeLog) -> None:
        self.node_id: Final = node_id
        """The id of the node."""
        self.log: Final = log
        """What it said."""
        self.problems: Final[list[str]] = []
        """What is wrong with the node itself, such as that it ended; each makes the run invalid."""
        self.remarks: Final[list[str]] = []
        """What is odd with the node itself, but need not be wrong."""
        self.trouble: str | None = None
        """The last problem that was noted in this life, without the node's name; None if there is none."""
        self.lives: int = 0
        """How often it was started."""
        self.is_alive: bool = False
        """Whether it runs, or stands still."""
        self.held: int = 0
        """Messages to and from it that waited because it stood still."""
        self.skew: float = 0.0
        """Seconds by which the node's clock of the day is ahead."""
        self.skewed_reads: int = 0
        """How often the node looked at it while it was wrong."""
        self._network = network
        self._is_paused = False
        self._held_in: list[Delivery] = []
        self._held_out: list[bytes] = []
        self._waits: list[trio.CancelScope] = []

    @abstractmethod
    async def start(self) -> None:
        """Begin a life: from now on the node receives messages. ``init`` is for the cluster to send."""

    @abstractmethod
    def kill(self) -> None:
        """End this life at once: the node neither sends nor writes anything more. It may be dead already."""

    async def aclose(self) -> None:
        """Kill the node and wait until nothing of it is left."""
        self.kill()

    def unfinished_line(self) -> str:
        """Return what to tell of a line that the node has begun to print, but not ended; nothing, if there is none."""
        return ""

    def pause(self) -> None:
        """Let the node stand still: what comes and goes is held until `resume`."""
        self._is_paused = True

    def resume(self) -> None:
        """Let what was held go on, in its order."""
        self._is_paused = False
        held_in, self._held_in = self._held_in, []
        held_out, self._held_out = self._held_out, []
        for delivery in held_in:
            self._hand_over(delivery)
        for line in held_out:
            self._network.send(line)

    @contextlib.contextmanager
    def until_trouble(self) -> Iterator[trio.CancelScope]:
        """Cancel what is inside once this life has a problem or ends; at once, if that is so already."""
        with trio.CancelScope() as scope:
            self._waits.append(scope)
            if not self.is_alive or self.trouble is not None:
                scope.cancel()
            try:
                yield scope
            finally:
                self._waits.remove(scope)

    @abstractmethod
    def _hand_over(self, delivery: Delivery) -> None:
        """Give the node a message."""

    def _receive(self, delivery: Delivery) -> None:
        """Take a message from the network, for the node."""
        if self._is_paused:
            self.held += 1
            self._held_in.append(delivery)
        else:
            self._hand_over(delivery)

    def _send(self, line: bytes) -> None:
        """Take a message from the node, for the network."""
        if self._is_paused:
            self.held += 1
            self._held_out.append(line)
        else:
            self._network.send(line)

    def _begin_life(self) -> None:
        self.lives += 1
        self.is_alive = True
        self.trouble = None
        self._network.attach(self.node_id, "nodes", self._receive)
        self._network.journal.note(self._network.now(), "start", node=self.node_id)

    def _end_life(self) -> None:
        self.is_alive = False
        self._network.detach(self.node_id)
        self._is_paused = False
        self._held_in.clear()
        self._held_out.clear()
        self._cut_waits()

    def _note_problem(self, what: str, details: str = "") -> None:
        """Note what is wrong with the node.

        Args:
          what: One line that goes on after the name of the node, such as ``died``.
          details: More lines, each after a newline.
        """
        self.trouble = what
        self.problems.append(f"node {self.node_id!r} {what}{details}")
        self._cut_waits()

    def _note_exit(self, what: str, details: str = "") -> None:
        """Note that the node ended of itself; see `_note_problem`."""
        self._end_life()
        self._note_problem(what, details)
        self._network.journal.note(self._network.now(), "exit", node=self.node_id, text=what)

    def _cut_waits(self) -> None:
        for scope in self._waits:
            scope.cancel()


current_log: Final[contextvars.ContextVar[NodeLog | None]] = contextvars.ContextVar("current_log", default=None)
"""The log of the node that the current task belongs to; None outside of nodes."""
