"""What the assertions in the code of nodes said in a run: `trio_messenger.always`, `sometimes` and `reachable`."""

from __future__ import annotations

import inspect
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, final

import attrs

from .._checkers import Results
from .._determinism.scheduler import place_in_thread
from .._records.cut_texts import cut_text
from .._records.journal import Journal
from .._runaways.guard import current_owner
from .moments import Moment, moment_in_words, moment_of

ASSERTION_KINDS: Final = ("always", "sometimes", "reachable")
"""The kinds of assertions, in the order of reports."""

MOST_MESSAGES: Final = 1000
"""The number of different messages of a kind that a run counts. More of them contain figures, and prove nothing."""


@final
@attrs.define(eq=False)
class _Tally:
    """The calls with one message."""

    calls: int = 0
    held: Counter[str] = attrs.field(factory=Counter)  # the calls whose condition was true, by node
    first_broken: Moment | None = None


@final
class AssertionLog:
    """Counts the assertions of the nodes of a run.

    Args:
      journal: The journal of the run.
      now: Returns the time of the journal in nanoseconds.
      is_looking: Tells whether an invariant looks at the nodes just now.
    """

    def __init__(self, journal: Journal, now: Callable[[], int], *, is_looking: Callable[[], bool]) -> None:
        self.left_out: int = 0
        """The number of calls that were not counted, because there were too many different messages."""
        self._journal = journal
        self._now = now
        self._is_looking = is_looking
        self._tallies: dict[str, dict[str, _Tally]] = {kind: {} for kind in ASSERTION_KINDS}

    def note(self, kind: str, condition: object, message: str) -> None:
        """Count a call from a node that lives; see `trio_messenger._user_code.assertions`.

        Raises:
          TypeError: if *message* is not a text, *condition* is a coroutine, or an invariant makes the call.
        """
        owner = current_owner.get()
        if owner is None or owner.is_over:
            if self._is_looking():
                raise TypeError(f"{kind}() is for the code of nodes; use assert in an invariant")
            return
        _check(kind, condition, message)
        message = str.__str__(message)  # of a subclass, the text alone: what it overrides must not be called later
        tallies = self._tallies[kind]
        tally = tallies.get(message)
        if tally is None:
            if len(tallies) == MOST_MESSAGES:
                self.left_out += 1
                return
            tally = tallies[message] = _Tally()
        tally.calls += 1
        if condition:
            tally.held[owner.node_id] += 1
        elif kind == "always" and tally.first_broken is None:
            place = place_in_thread(threading.get_ident())
            tally.first_broken = moment_of(self._journal, self._now(), owner.node_id, place)

    def results(self) -> Results:
        """Return the results, when the run has ended; empty if no node called any of the functions."""
        if not any(self._tallies.values()):
            return {}
        told = {kind: self._all_in_words(kind) for kind in ASSERTION_KINDS}
        is_broken = any(tally.first_broken for tally in self._tallies["always"].values())
        return {"valid?": not is_broken, **told, "left-out": self.left_out}

    def _all_in_words(self, kind: str) -> dict[str, Any]:
        """Return the tallies of *kind* by their messages, cut. If that makes two messages equal, one gets a number."""
        told: dict[str, Any] = {}
        same: Counter[str] = Counter()
        for message, tally in self._tallies[kind].items():
            cut = cut_text(message)
            same[cut] += 1
            told[cut if same[cut] == 1 else f"{cut} ({same[cut]})"] = self._in_words(tally, kind)
        return told

    def _in_words(self, tally: _Tally, kind: str) -> dict[str, Any]:
        told: dict[str, Any] = {"calls": tally.calls, "held": tally.held.total(), "by-node": dict(tally.held)}
        if kind == "always":
            first = tally.first_broken
            told["first-broken"] = None if first is None else moment_in_words(first, self._journal)
        return told


def _check(kind: str, condition: object, message: object) -> None:
    usage = f"{kind}(message)" if kind == "reachable" else f"{kind}(condition, message)"
    if not isinstance(message, str):
        raise TypeError(f"the message of {kind}() is {message!r:.80}; give a text: {usage}")
    if inspect.isawaitable(condition):
        if inspect.iscoroutine(condition):
            condition.close()  # otherwise Python complains that it was never awaited
        raise TypeError(f"the condition of {kind}() is {condition!r:.80}, which is always true; await it")
