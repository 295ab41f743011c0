"""The watch over invariants: functions that look at all living nodes of a run after each event.

An *event* is a turn of a node: one of its tasks has run from one wait to the next. The state of a node changes in such
turns only: when it takes messages, when a timer expires, when an RPC ends. So between two checks, at most one node has
changed, and it has run no further than to its next wait.

The watch is a Trio instrument. Trio calls it between two turns, so it adds no task, no timer and no message: a run with
invariants is the same as without them. A run without invariants has no watch. When an invariant is violated, the run
goes on to its end as well, without that invariant. So invariants change the verdict of a run and nothing else.
"""

from __future__ import annotations

import copy
import inspect
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, TypeAlias, final

import attrs
import trio

from trio_messenger import Node, printable

from .._checkers import Results
from .._determinism.scheduler import place_of, place_of_error
from .._records.cut_texts import cut_text
from .._records.journal import Journal
from .._runaways.guard import current_owner
from .fingerprints import fingerprint, first_change
from .moments import Moment, moment_in_words, moment_of

Invariant: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Looks at all living nodes, by their ids, and raises an exception if they contradict each other. The mapping is
read-only. Its values are what ``build`` returned, or what the nodes show instead; see `trio_messenger.Node.expose`.
Each run uses a copy (`copy.deepcopy`), so an object that remembers something begins each run with what it had."""

_Look: TypeAlias = Callable[[Mapping[str, Any]], object]
"""An invariant, which may return something by mistake."""

Living: TypeAlias = Callable[[], Mapping[str, Node]]
"""Returns the nodes that are alive, by id."""


@final
@attrs.frozen(kw_only=True)
class _Violation:
    message: str
    moment: Moment
    shown: Mapping[str, str]  # what the nodes showed, in words


@final
class InvariantWatch(trio.abc.Instrument):
    """Checks invariants after each turn of a node.

    Args:
      invariants: The invariants, by name.
      living: Returns the living nodes.
      journal: The journal of the run.
      now: Returns the time of the journal in nanoseconds.
    """

    def __init__(
        self, invariants: Mapping[str, Invariant], living: Living, journal: Journal, now: Callable[[], int]
    ) -> None:
        self.checking: str | None = None
        """The name of the invariant that is being checked; None between two checks."""
        self._living = living
        self._journal = journal
        self._now = now
        self._checks = dict.fromkeys(invariants, 0)
        self._holding: dict[str, _Look] = dict(invariants)  # those that hold so far
        self._violations: dict[str, _Violation] = {}

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Check the invariants if *task* belongs to a living node; see `trio.abc.Instrument`."""
        owner = task.context.get(current_owner)
        if owner is None or owner.is_over or not self._holding:
            return
        try:
            self._check(owner.node_id, task)
        except KeyboardInterrupt:
            # Trio would only log it. From here, where Trio is protected, the signal goes to the main task.
            signal.raise_signal(signal.SIGINT)

    @trio.lowlevel.disable_ki_protection  # so that Ctrl-C ends an invariant that does not return
    def _check(self, node_id: str, task: trio.lowlevel.Task) -> None:
        nodes: Mapping[str, Any] = {}
        broken: dict[str, str] = {}
        for name, invariant in self._holding.items():
            self.checking = name
            try:
                nodes = nodes or MappingProxyType(_exposed(self._living()))
                checks = self._checks[name] = self._checks[name] + 1
                is_sampled = not checks & (checks - 1)  # a power of two
                mistake = _look_closely(invariant, nodes) if is_sampled else _misuse(invariant(nodes))
            except BaseException as exc:
                if isinstance(exc, KeyboardInterrupt) and _gets_signals():
                    raise
                mistake = _message_of(exc)
            if mistake is not None:
                broken[name] = mistake
        self.checking = None
        if broken:
            self._note(broken, nodes, moment_of(self._journal, self._now(), node_id, place_of(task)))

    def _note(self, broken: Mapping[str, str], nodes: Mapping[str, Any], moment: Moment) -> None:
        shown = {node_id: _shown(value) for node_id, value in nodes.items()}
        for name, message in broken.items():
            del self._holding[name]
            self._violations[name] = _Violation(message=message, moment=moment, shown=shown)

    def results(self) -> Results:
        """Return the results, when the run has ended: for each invariant, its checks and its first violation."""
        told = {name: {"checks": count, "violation": self._in_words(name)} for name, count in self._checks.items()}
        return {"valid?": not self._violations, "by-name": told}

    def _in_words(self, name: str) -> Results | None:
        found = self._violations.get(name)
        if found is None:
            return None
        named = tuple(node for node in found.shown if _names(found.message, node) and node != found.moment.node)
        moment = moment_in_words(found.moment, self._journal, named)
        return {"message": found.message, **moment, "nodes": dict(found.shown)}


class _CannotShowError(AssertionError):
    """What a node exposes cannot be shown; the text says why."""


def _exposed(living: Mapping[str, Node]) -> dict[str, Any]:
    nodes, node_id = {}, ""
    try:
        for node_id, node in living.items():
            nodes[node_id] = node.exposed
    except Exception as exc:
        raise _CannotShowError(f"{node_id} cannot show its state: {_message_of(exc)}") from exc
    return nodes


def _gets_signals() -> bool:
    """Tell whether this is the thread in which Ctrl-C raises KeyboardInterrupt."""
    return threading.current_thread() is threading.main_thread()


def _look_closely(invariant: _Look, nodes: Mapping[str, Any]) -> str | None:
    """Call *invariant*, and return its mistake if it changes what it looks at."""
    before = fingerprint(nodes)
    mistake = _misuse(invariant(nodes))
    changed = first_change(before, fingerprint(nodes))
    if changed is None:
        return mistake
    return f"the invariant changed {changed}, and an invariant must only look: copy what you change"


def _misuse(returned: object) -> str | None:
    """Return the mistake of an invariant that *returned* something; None if it returned nothing, as it should."""
    if returned is None:
        return None
    if inspect.iscoroutine(returned):
        returned.close()  # otherwise Python complains that it was never awaited
        return "the invariant is async, and no event may pass while it looks: make it a plain function"
    return cut_text(f"the invariant returned {returned!r}; it must raise, with assert for example, and return nothing")


def _message_of(exc: BaseException) -> str:
    """Return what *exc*, raised by an invariant, says, in one line: its first. Pytest adds others to an assertion."""
    text = ""
    with suppress(BaseException):  # an exception may do anything when it is asked for its text
        text = str(exc).strip().partition("\n")[0].strip()
    if isinstance(exc, AssertionError) and text:
        return cut_text(printable(text))
    line = traceback.extract_tb(exc.__traceback__)[-1].line if isinstance(exc, AssertionError) else ""
    said = line or ": ".join(filter(None, [type(exc).__name__, text]))
    return cut_text(printable(f"{said}, in {place_of_error(exc)}"))


def _shown(value: object) -> str:
    """Return what a node shows, in words; an empty text if the words would differ from run to run."""
    if isinstance(value, Node):
        return ""
    try:
        text = " ".join(repr(value).split())
    except BaseException:  # noqa: BLE001 - it is the code of a user, and nothing depends on it
        return ""
    return "" if " at 0x" in text else cut_text(printable(text))


def _names(text: str, node_id: str) -> bool:
    """Tell whether *node_id* is a word of *text*."""
    return node_id in text.replace(",", " ").replace(":", " ").replace(";", " ").split()


def named_invariants(invariants: Iterable[Invariant]) -> dict[str, Invariant]:
    """Return *invariants* by their names, ``MODULE:FUNCTION``; of two with the same name, the second gets a number.

    Raises:
      TypeError: if one of them cannot be an invariant; the text says why.
      ValueError: if one of them is given twice.
    """
    named: dict[str, Invariant] = {}
    if callable(invariants):
        raise TypeError(f"invariants is the function {invariants!r:.80}; give a list of functions")
    for invariant in invariants:
        check_invariant(invariant)
        if any(each is invariant for each in named.values()):
            raise ValueError(f"the invariant {invariant!r:.80} is given more than once; give it once")
        name = _name(invariant)
        number = sum(each == name or each.startswith(f"{name} (") for each in named) + 1
        named[name if number == 1 else f"{name} ({number})"] = invariant
    return named


def _name(invariant: Any) -> str:
    inner = getattr(invariant, "func", invariant)  # of a partial
    kind = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{kind.__module__}:{kind.__qualname__}"


def check_invariant(invariant: object) -> None:
    """Check that *invariant* can be an invariant, before the run.

    Raises:
      TypeError: if it is not a plain function that takes the nodes, or cannot be copied; the text says why.
    """
    if not callable(invariant):
        raise TypeError(f"the invariant {invariant!r:.80} is not a function; give one that takes the nodes")
    called = invariant if inspect.isroutine(invariant) else getattr(invariant, "func", type(invariant).__call__)
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        raise TypeError(
            f"the invariant {invariant!r:.80} is async, and no event may pass while it looks: make it a plain function"
        )
    if inspect.isgeneratorfunction(called):
        raise TypeError(
            f"the invariant {invariant!r:.80} is a generator, so calling it checks nothing: leave out yield"
        )
    try:
        inspect.signature(invariant).bind({})
    except ValueError:
        pass  # it has no signature to inspect
    except TypeError as exc:
        raise TypeError(f"the invariant {invariant!r:.80} cannot be called with the nodes only: {exc}") from None
    try:
        copy.deepcopy(invariant)
    except Exception as exc:
        raise TypeError(
            f"the invariant {invariant!r:.80} cannot be copied, and each run needs a copy: {exc!r:.80}; "
            "let it hold data only"
        ) from exc
