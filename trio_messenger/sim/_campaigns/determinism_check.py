"""The determinism check: whether the same seed gives the same run and, if not, the first difference and likely causes.

A node is deterministic if it takes all random values from `Node.random`, reads the time of day with `Node.wall_time`,
and puts nothing else of this machine into its messages. The check makes a run twice, in two new processes. They have
different hash seeds, so sets of strings have a different order; objects have different addresses; and the second
process starts more than a second later.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, final

import attrs
import trio

from .._records.cut_texts import cut_text
from .._records.journal import Entry, Journal
from .._runs.options import Options
from .interpreters import MakeRun, SeedResult, open_interpreter

HASH_SEEDS: Final = (1, 2)
"""The values of ``PYTHONHASHSEED`` in the two processes."""

LATER: Final = 1.5
"""Seconds between the starts of the two processes: enough that a clock of whole seconds shows two different times,
however long each process takes to start."""

BEFORE: Final = 3
"""The number of entries shown that come before the first difference."""

ENTRY_CUT_AT: Final = 400
"""The number of characters shown of an entry."""

_A_DAY: Final = 86_400

_TIME_OF_DAY_UNITS: Final = (1, 1e3, 1e6, 1e9)
"""Units in which programs express the time of day: seconds, milliseconds, microseconds and nanoseconds."""

_LARGE: Final = 1 << 40
"""Addresses and hashes are usually at least this large, and few other numbers are."""

_SET_ORDER: Final = (
    "the order of a set: for strings it depends on the hash seed, for other objects on their addresses;"
    " use sorted(...), or a dict, which keeps its order"
)
_CHANCE: Final = (
    "the global random, uuid, secrets or os.urandom, or node.random before init: use node.random from init on"
)
_TIME_OF_DAY: Final = (
    "time.time() or datetime.now(), or node.wall_time() before init: use node.wall_time() from init on, or"
    " trio.current_time() to measure how long something takes"
)
_IDENTITY: Final = "id(), hash(), or the text of an object that does not define __repr__, which shows its address"
_WORLD: Final = "threads, files, sockets, or anything else that takes real time: a simulated node must not use them"

CAUSES: Final = (_SET_ORDER, _CHANCE, _TIME_OF_DAY, _IDENTITY, _WORLD)
"""The usual reasons why two runs with one seed differ, each with a remedy."""


class RunFailedError(Exception):
    """One of the two runs ended without a report; the text says why."""


@final
@attrs.frozen(kw_only=True)
class Difference:
    """The first difference between two runs with the same seed."""

    index: int
    """The position of the entry in the journals, from 0."""
    first: str
    """The entry of the first run, in words."""
    second: str
    """The entry of the second run, in words."""
    before: tuple[str, ...]
    """The common entries just before it, at most `BEFORE`."""
    causes: tuple[str, ...]
    """`CAUSES`, most likely first."""

    def __str__(self) -> str:
        lines = [f"two runs with the same seed differ, first at entry {self.index} of the journal"]
        lines += [f"  both:   {text}" for text in self.before]
        lines += [f"  first:  {self.first}", f"  second: {self.second}", "usual causes, most likely first:"]
        return "\n".join([*lines, *(f"  - {cause}" for cause in self.causes)])


def check_determinism(options: Options, node: Sequence[str], *, make_run: MakeRun) -> Difference | None:
    """Make the same run twice, in two new processes, and compare the journals.

    Args:
      options: What to run.
      node: The command-line arguments that name the node under test.
      make_run: Makes one run, in a child process. It must be a top-level function of a module that the child can
        import.

    Returns:
      The first difference; None if the journals are equal.

    Raises:
      RunFailedError: if one of the runs ended without a report.
      RuntimeError: if called from an async function.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.jsonl") for number in range(len(HASH_SEEDS))]
        results: dict[Path, SeedResult] = {}
        trio.run(_run_all, options, tuple(node), make_run, paths, results)
        for path in paths:
            error = results[path].error
            if error is not None:
                raise RunFailedError(error)
        first, second = map(Journal.load, paths)
    return first_difference(first, second)


async def _run_all(
    options: Options, node: tuple[str, ...], make_run: MakeRun, paths: Sequence[Path], results: dict[Path, SeedResult]
) -> None:
    async def run(path: Path, hash_seed: int, delay: float) -> None:
        await trio.sleep(delay)
        async with open_interpreter(hash_seed=hash_seed) as interpreter:
            results[path] = await interpreter.make(make_run, options, node, path)

    async with trio.open_nursery() as nursery:
        for number, (path, hash_seed) in enumerate(zip(paths, HASH_SEEDS, strict=True)):
            nursery.start_soon(run, path, hash_seed, number * LATER)


def first_difference(first: Journal, second: Journal) -> Difference | None:
    """Return the first difference between two journals, compared byte by byte; None if they are equal."""
    for index, (one, other) in enumerate(zip_longest(first.lines(), second.lines())):
        if one != other:
            return _describe(first, second, index)
    return None


def _describe(first: Journal, second: Journal, index: int) -> Difference:
    describe = _Describer(first, index), _Describer(second, index)
    return Difference(
        index=index,
        first=describe[0](index),
        second=describe[1](index),
        before=tuple(map(describe[0], range(max(0, index - BEFORE), index))),
        causes=_causes(_entry(first, index), _entry(second, index)),
    )


def _entry(journal: Journal, index: int) -> Entry | None:
    return journal[index] if index < len(journal) else None


@final
class _Describer:
    """Describes the entries of a journal in words, up to the entry at *last*."""

    def __init__(self, journal: Journal, last: int) -> None:
        self._journal = journal
        self._messages = {
            entry.id: bytes(entry.raw).decode()
            for entry in (journal[index] for index in range(min(last + 1, len(journal))))
            if entry.raw is not None
        }

    def __call__(self, index: int) -> str:
        entry = _entry(self._journal, index)
        if entry is None:
            return "no further entry: this run has ended"
        words = [f"{entry.t / 1e9:.15g} s", entry.event]
        words += [f"node {entry.node}"] if entry.node is not None else []
        words += [f"fault {entry.fault}"] if entry.fault is not None else []
        words += [f"({entry.reason})"] if entry.reason is not None else []
        words += [entry.text] if entry.text is not None else []
        words += [f"message {entry.id}: {self._messages.get(entry.id, '')}"] if entry.id is not None else []
        text = " ".join(words)
        return cut_text(text, ENTRY_CUT_AT)


# Likely causes


def _causes(one: Entry | None, other: Entry | None) -> tuple[str, ...]:
    """Return `CAUSES`, with the causes that the two entries suggest first."""
    likely: tuple[str, ...] = ()
    if one is not None and other is not None:
        if one.raw is None or other.raw is None or one.t != other.t:
            likely = (_CHANCE, _WORLD)  # something took longer, or tasks ran in another order
        else:
            likely = _causes_of_messages(json.loads(bytes(one.raw)), json.loads(bytes(other.raw)))
    return tuple(dict.fromkeys((*likely, *CAUSES)))


def _causes_of_messages(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, ...]:
    if (one["src"], one["dest"]) != (other["src"], other["dest"]):
        return _SET_ORDER, _CHANCE  # the node chose another destination first
    values = _difference(one, other)
    return (_SET_ORDER,) if values is None else _causes_of_values(*values)


def _difference(one: Any, other: Any) -> tuple[Any, Any] | None:
    """Return the first pair of differing values in *one* and *other*; None if only the order of fields differs."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs = [(one[name], other[name]) for name in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other) and not _is_shuffled(one, other):
        pairs = list(zip(one, other, strict=True))
    else:
        return None if one == other else (one, other)
    return next((found for found in (_difference(*pair) for pair in pairs) if found is not None), None)


def _is_shuffled(one: list[Any], other: list[Any]) -> bool:
    return one != other and sorted(map(json.dumps, one)) == sorted(map(json.dumps, other))


def _causes_of_values(one: Any, other: Any) -> tuple[str, ...]:
    """Return the causes that two differing values suggest."""
    if isinstance(one, list) and isinstance(other, list):
        return (_SET_ORDER,)
    if _has_time_of_day(one) and _has_time_of_day(other):
        return (_TIME_OF_DAY,)
    if _has_identity(one) and _has_identity(other):
        return _IDENTITY, _CHANCE
    return (_CHANCE,)


def _has_identity(value: Any) -> bool:
    return " at 0x" in value if isinstance(value, str) else isinstance(value, int) and abs(value) >= _LARGE


def _has_time_of_day(value: Any) -> bool:
    text = str(value)
    numbers = map(float, re.findall(r"\d+(?:\.\d+)?", text))
    return bool(re.search(r"\d{4}-\d\d-\d\d", text)) or any(
        abs(number / unit - time.time()) < _A_DAY for number in numbers for unit in _TIME_OF_DAY_UNITS
    )
