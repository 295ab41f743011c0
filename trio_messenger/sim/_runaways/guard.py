"""The guard of virtual time: detects that a run is stuck, and reports which node or task keeps it busy.

Virtual time stands still while any task can run. So nodes that answer each other at once without end, or a task that
only yields, would keep a run at one instant forever. The guard counts messages from nodes, and *turns*. A task takes a
turn each time it runs until it waits again. Both counts are the same in every run with the same seed. The run is stuck
when nodes send ``busy_limit`` messages in less than one second of virtual time, or when tasks take that many turns.
Each message allows `TURNS_PER_MESSAGE` more turns, because handling a message takes some turns.

The guard looks for the cause only when a run seems stuck. It reads the messages in the journal, and samples `SAMPLES`
turns.

If the tasks belong to a node that is already dead, the run is not stuck. The guard ends them by force, as SIGKILL ends
a process.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Final, final

import attrs
import msgspec
import trio

from trio_messenger import Message

from .._determinism.scheduler import end_by_force, place_of
from .._records.journal import Entry, Journal

BUSY_LIMIT: Final = 200_000
"""The default limit of messages from nodes within a second of virtual time. Each message takes about a kilobyte of
memory until the run is judged. Clusters of the size that this simulator is for do not reach this rate on a real
network."""

TURNS_PER_MESSAGE: Final = 10
"""The number of turns that each message adds to the limit of turns. Nodes take 2 to 6 turns to handle a message."""

SAMPLES: Final = 500
"""The number of turns that are sampled before a run counts as stuck, to report which functions take them."""

WINDOW: Final = 1.0
"""The length of the window that the limit applies to, in seconds of virtual time."""

_MOST_NAMED: Final = 3
"""The number of kinds of messages, or of functions, in a report."""

_decode = msgspec.json.Decoder(Message).decode


@final
@attrs.define(eq=False)
class Owner:
    """The life of a node. The tasks of this life have it in `current_owner`."""

    node_id: str
    """The id of the node."""
    _log: Callable[[str], object]
    is_over: bool = False
    """Whether this life has ended, so that its tasks no longer matter."""

    def note_force(self, task: trio.lowlevel.Task) -> None:
        """Record in the node's log that *task*, which belongs to this life, is ended by force."""
        self._log(f"{place_of(task)} keeps running although the node is dead; it was ended by force")


current_owner: Final[ContextVar[Owner | None]] = ContextVar("current_owner", default=None)
"""The life that the current task belongs to; None for tasks that belong to no node."""


@final
class StuckGuard(trio.abc.Instrument):
    """Watches one run, as a Trio instrument.

    Args:
      limit: The limit of messages, and of turns, within a second of virtual time.
      journal: The journal of the run.
      now: Returns the time of the journal in nanoseconds.
      on_stuck: Called once when the run is stuck, with a text for the user and the tasks that took the last turns, if
        it is turns that were too many; must end the run.
    """

    def __init__(
        self,
        limit: int,
        journal: Journal,
        now: Callable[[], int],
        on_stuck: Callable[[str, Sequence[trio.lowlevel.Task]], object],
    ) -> None:
        self.is_stuck: bool = False
        """Whether the run is stuck. Messages from nodes are discarded from then on."""
        self.turns: int = 0
        """The number of turns of all tasks since the run began."""
        self.task: trio.lowlevel.Task | None = None
        """The task that took the last turn."""
        self._limit = limit
        self._journal = journal
        self._now = now
        self._on_stuck = on_stuck
        self._began = 0.0  # the beginning of the window, by Trio's clock
        self._first = 0  # the first entry of the journal in the window
        self._sent: Counter[str] = Counter()  # messages in the window, by node
        self._messages = 0  # the sum of these
        self._turns_before = 0  # turns in earlier windows
        self._look_at = self._first_look()
        self._seen: list[tuple[trio.lowlevel.Task, str]] = []

    def note_message(self, node_id: str) -> bool:
        """Count a message from *node_id*; return whether it may be sent."""
        self._sent[node_id] += 1
        self._messages += 1
        if self._messages >= self._limit and not self._turn_page() and not self.is_stuck:
            self._stop(self._messages_in_words())
        return not self.is_stuck

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count a turn; see `trio.abc.Instrument`."""
        self.turns += 1
        self.task = task
        if self.turns >= self._look_at and not self._turn_page():
            self._look(task)

    def _first_look(self) -> int:
        allowed = self._limit + TURNS_PER_MESSAGE * self._messages
        return self._turns_before + max(allowed - SAMPLES, 0)

    def _turn_page(self) -> bool:
        """Begin another window if the current one is over; return whether it was."""
        now = trio.current_time()
        if now - self._began < WINDOW:
            return False
        self._began = now
        self._first = len(self._journal)
        self._sent.clear()
        self._messages = 0
        self._turns_before = self.turns
        self._seen.clear()
        self._look_at = self._first_look()
        return True

    def _look(self, task: trio.lowlevel.Task) -> None:
        """Sample a turn; after the last turn that is allowed, stop the run."""
        earliest = self._first_look()
        if self.turns < earliest:  # messages have allowed more turns by now
            self._look_at = earliest
            self._seen.clear()
            return
        self._seen.append((task, place_of(task)))
        if len(self._seen) < SAMPLES:
            return
        seen, self._seen = self._seen, []
        self._turns_before = self.turns
        self._look_at = self._first_look()
        if not _end_the_dead(task for task, _ in seen) and not self.is_stuck:
            self._stop(self._turns_in_words(seen), [each for each, _ in seen])

    def _stop(self, what: str, tasks: Sequence[trio.lowlevel.Task] = ()) -> None:
        self.is_stuck = True
        self._on_stuck(f"stuck at {self._now() / 1e9:.9g} s of virtual time: {what}", tasks)

    def _messages_in_words(self) -> str:
        senders = _listed(f"{node_id} {count:,}" for node_id, count in self._sent.most_common())
        kinds = kinds_of_messages(itertools.islice(self._journal, self._first, None))
        return f"{self._within(self._messages, 'messages')} from nodes ({senders}){kinds}; {self._remedy()}"

    def _turns_in_words(self, seen: list[tuple[trio.lowlevel.Task, str]]) -> str:
        turns = self._limit + TURNS_PER_MESSAGE * self._messages
        who = Counter(f"{owner_in_words(task)} in {place}" for task, place in seen)
        most = _listed(f"{text} ({count / len(seen):.0%} of the turns)" for text, count in who.most_common(_MOST_NAMED))
        return f"{self._within(turns, 'turns of tasks')}, the last of them by {most}; {self._remedy()}"

    def _within(self, count: int, what: str) -> str:
        return f"{count:,} {what} within {trio.current_time() - self._began:.3g} s"

    def _remedy(self) -> str:
        return remedy(self._limit)


def remedy(limit: int) -> str:
    """Return the remedy for a *limit* that is too low."""
    return f"if this is intended, give a --busy-limit (busy_limit=) above {limit}"


def kinds_of_messages(entries: Iterable[Entry], src: str | None = None) -> str:
    """Return the kinds of messages that were sent most often, after a comma; an empty string if none were sent.

    Args:
      entries: Entries of the journal.
      src: The sender whose messages count; by default all messages count.
    """
    kinds: Counter[str] = Counter()
    for entry in entries:
        if entry.raw is not None:
            message = _decode(entry.raw)
            if src in (None, message.src):
                kinds[f"{message.body.get('type')!r:.80} {message.src} -> {message.dest}"] += 1
    most = _listed(f"{kind} ({count:,})" for kind, count in kinds.most_common(_MOST_NAMED))
    return f", most often {most}" if most else ""


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts)


def owner_in_words(task: trio.lowlevel.Task) -> str:
    """Return the name of the node that *task* belongs to, or ``the simulator``."""
    owner = task.context.get(current_owner)
    return "the simulator" if owner is None else f"node {owner.node_id!r}"


def _end_the_dead(tasks: Iterable[trio.lowlevel.Task]) -> bool:
    """End the tasks that belong to a life that is over; return whether there were any."""
    owners = {task: task.context.get(current_owner) for task in tasks}
    dead = {task: owner for task, owner in owners.items() if owner is not None and owner.is_over}
    for task, owner in dead.items():
        owner.note_force(task)
        end_by_force(task)
    return bool(dead)
