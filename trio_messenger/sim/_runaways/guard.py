"""The guard of virtual time: notices that a run no longer gets anywhere, and says who keeps it busy with what.

Virtual time stands still as long as a task can run. So nodes that answer each other at once without end, or a task that
only yields, would keep a run at one instant forever. The guard counts two things, which are the same in every run with
the same seed: messages that nodes send, and *turns*. A task takes a turn each time it runs until it waits again. The
run is stuck when nodes send ``busy_limit`` messages in less than one second of virtual time, or when tasks take that
many turns. Each message pays for `TURNS_PER_MESSAGE` turns, for it takes some to handle it.

Who it was is found out only then: the journal has the messages, and the last `SAMPLES` turns are looked at closely.

A task of a node that is dead already stops nobody: it is ended by force, as SIGKILL would have ended it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Final, final

import attrs
import msgspec
import trio

from trio_messenger import Message

from .._determinism.scheduler import end_by_force, place_of
from .._records.journal import Entry, Journal

BUSY_LIMIT: Final = 200_000
"""Messages that nodes send in less than a second before they are stuck. Each takes about a kilobyte of memory until
the run is judged. On a real network, no cluster that such a simulator is for carries as many."""

TURNS_PER_MESSAGE: Final = 10
"""Turns that a message pays for. Nodes take 2 to 6 to handle one."""

SAMPLES: Final = 500
"""Turns that are looked at before a run is called stuck, to say which functions take them."""

WINDOW: Final = 1.0
"""Seconds of virtual time in which the limit must not be reached."""

_SHOWN: Final = 3
"""Kinds of messages, and functions, that are named."""

_decode = msgspec.json.Decoder(Message).decode


@final
@attrs.define(eq=False)
class Owner:
    """The life of a node, whose tasks have it in `current_owner`."""

    node_id: str
    """The id of the node."""
    _log: Callable[[str], object]
    is_over: bool = False
    """Whether that life has ended, so that its tasks concern nobody."""

    def note_force(self, task: trio.lowlevel.Task) -> None:
        """Say in the node's log that *task*, one of this life, has to be ended by force."""
        self._log(f"{place_of(task)} goes on although the node is dead; it was ended by force")


current_owner: Final[ContextVar[Owner | None]] = ContextVar("current_owner", default=None)
"""The life that the current task belongs to; None outside of nodes."""


@final
class StuckGuard(trio.abc.Instrument):
    """Watches one run; given to Trio as an instrument.

    Args:
      limit: Messages, or turns, in less than a second of virtual time.
      journal: Of the run.
      now: Returns the time in nanoseconds, as the journal has it.
      on_stuck: Called once, with what is to be said, when the run is stuck; must end it.
    """

    def __init__(self, limit: int, journal: Journal, now: Callable[[], int], on_stuck: Callable[[str], object]) -> None:
        self.is_stuck: bool = False
        """Whether the run was called stuck: from then on, what nodes send goes nowhere."""
        self.turns: int = 0
        """How many turns all tasks have taken since the run began."""
        self.task: trio.lowlevel.Task | None = None
        """Which took the last one."""
        self._limit = limit
        self._journal = journal
        self._now = now
        self._on_stuck = on_stuck
        self._began = 0.0  # the window, by Trio's clock
        self._first = 0  # entry of the journal in it
        self._sent: Counter[str] = Counter()  # in the window, by node
        self._messages = 0  # the sum of these
        self._turns_before = 0  # those of earlier windows
        self._look_at = self._first_look()
        self._seen: list[tuple[trio.lowlevel.Task, str]] = []

    def note_message(self, node_id: str) -> bool:
        """Take note that *node_id* sends a message; return whether that goes anywhere."""
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
        """Begin another window, if the time has come."""
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
        """Look at a turn closely; after the last one that is allowed, stop the run."""
        earliest = self._first_look()
        if self.turns < earliest:  # messages have paid for more turns by now
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
            self._stop(self._turns_in_words(seen))

    def _stop(self, what: str) -> None:
        self.is_stuck = True
        self._on_stuck(f"stuck at {self._now() / 1e9:.9g} s of virtual time: {what}")

    def _messages_in_words(self) -> str:
        senders = _listed(f"{node_id} {count:,}" for node_id, count in self._sent.most_common())
        kinds = kinds_of_messages(itertools.islice(self._journal, self._first, None))
        return f"{self._within(self._messages, 'messages')} from nodes ({senders}){kinds}; {self._remedy()}"

    def _turns_in_words(self, seen: list[tuple[trio.lowlevel.Task, str]]) -> str:
        turns = self._limit + TURNS_PER_MESSAGE * self._messages
        who = Counter(f"{owner_in_words(task)} in {place}" for task, place in seen)
        most = _listed(f"{text} ({count / len(seen):.0%} of the turns)" for text, count in who.most_common(_SHOWN))
        return f"{self._within(turns, 'turns of tasks')}, and the last were those of {most}; {self._remedy()}"

    def _within(self, count: int, what: str) -> str:
        return f"{count:,} {what} within {trio.current_time() - self._began:.3g} s"

    def _remedy(self) -> str:
        return remedy(self._limit)


def remedy(limit: int) -> str:
    """Return what to do if *limit* is too low."""
    return f"if that is what you want, give a higher --busy-limit (busy_limit=) than {limit}"


def kinds_of_messages(entries: Iterable[Entry], src: str | None = None) -> str:
    """Return, with a comma before it, which messages were sent most often; nothing if none was.

    Args:
      entries: Of the journal.
      src: Whose messages; by default those of all.
    """
    kinds: Counter[str] = Counter()
    for entry in entries:
        if entry.message is not None:
            message = _decode(entry.message)
            if src in (None, message.src):
                kinds[f"{message.body.get('type')!r:.80} {message.src} -> {message.dest}"] += 1
    most = _listed(f"{kind} ({count:,})" for kind, count in kinds.most_common(_SHOWN))
    return f", most often {most}" if most else ""


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts)


def owner_in_words(task: trio.lowlevel.Task) -> str:
    """Return which node *task* belongs to."""
    owner = task.context.get(current_owner)
    return "the simulator" if owner is None else f"node {owner.node_id!r}"


def _end_the_dead(tasks: Iterable[trio.lowlevel.Task]) -> bool:
    """End those of *tasks* that belong to a life that is over; return whether there were any."""
    owners = {task: task.context.get(current_owner) for task in tasks}
    dead = {task: owner for task, owner in owners.items() if owner is not None and owner.is_over}
    for task, owner in dead.items():
        owner.note_force(task)
        end_by_force(task)
    return bool(dead)
