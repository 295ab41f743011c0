"""Consistency models: which anomalies each one forbids, and which models and anomalies imply which.

The models and anomalies are those of Elle, with the names that people use: ``serializable``, not ``PL-3``. The sources
are Adya's thesis (*Weak Consistency*, 1999), Bailis and others (*Highly Available Transactions*, 2013), Cerone and
others (*A Framework for Transactional Consistency Models with Atomic Visibility*, 2015), and Daudjee and Salem on
sessions (*Lazy Database Replication with Snapshot Isolation*, 2006).

An anomaly implies another one if a history with the first also shows the second. So a model that forbids an anomaly
also forbids all anomalies that imply it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from ...._protocol.known_names import unknown
from .. import Valid

STRICT_SERIALIZABLE: Final = ("strict-serializable",)
"""The models that are demanded by default, as in Maelstrom."""

SUFFIXES: Final = ("", "-process", "-realtime")
"""Variants of a cycle: of data dependencies only; also of the order of a process; also of the order of real time."""

CYCLE_KINDS: Final = ("G0", "G1c", "G-single-item", "G-nonadjacent-item", "G2-item")
"""Kinds of cycles, the most serious first. ``-item`` says that the dependencies are about single keys, not about sets
of keys that match a predicate."""

_CYCLE_IMPLIES: Final = {
    "G0": ("G1c",),
    "G1c": ("G1",),
    "G-single-item": ("G-single", "G-nonadjacent-item"),
    "G-single": ("G-nonadjacent",),
    "G-nonadjacent-item": ("G-nonadjacent", "G2-item"),
    "G-nonadjacent": ("G2",),
    "G2-item": ("G2",),
    "G1": (),
    "G2": (),
}
"""Cycles and classes of cycles, and what each implies; the same holds within each variant."""

_OTHER_IMPLIES: Final = {
    "G1a": ("G1",),
    "G1b": ("G1",),
    "internal": (),
    "future-read": ("G1c",),  # a cycle of one transaction, which reads what it writes later
    "dirty-update": ("G1a",),
    "lost-update": ("G2-item",),
    "incompatible-order": ("G1a",),  # at least one of the two reads saw what was never committed
    "duplicate-elements": (),
    "garbage-read": (),
    "cyclic-versions": (),
}


def _implications() -> dict[str, tuple[str, ...]]:
    """Return all anomalies, each with those that it implies directly."""
    implied: dict[str, tuple[str, ...]] = dict(_OTHER_IMPLIES)
    for kind, weaker in _CYCLE_IMPLIES.items():
        for suffix, looser in zip(SUFFIXES, (*SUFFIXES[1:], None), strict=True):
            # The order of a process is part of the order of real time, so each variant implies the next one.
            next_variant = () if looser is None else (f"{kind}{looser}",)
            implied[f"{kind}{suffix}"] = (*(f"{each}{suffix}" for each in weaker), *next_variant)
    return implied


ANOMALIES: Final[Mapping[str, tuple[str, ...]]] = _implications()
"""Every anomaly and class of anomalies, with those that it implies directly."""


@attrs.frozen
class ConsistencyModel:
    """A consistency model."""

    implies: tuple[str, ...] = ()
    """The weaker models that hold wherever this one holds; those that these imply are left out."""
    forbids: tuple[str, ...] = ()
    """The anomalies that it forbids, in addition to those that the weaker models forbid."""
    is_complete: bool = True
    """Whether a history without these anomalies satisfies the model. If not, the model also forbids other things, for
    which the checkers do not look."""


MODELS: Final[Mapping[str, ConsistencyModel]] = {
    "read-uncommitted": ConsistencyModel(
        # In the formalism of Adya, no history has one of the last three.
        forbids=("G0", "duplicate-elements", "cyclic-versions", "garbage-read")
    ),
    "read-committed": ConsistencyModel(("read-uncommitted",), ("G1",)),
    "monotonic-view": ConsistencyModel(("read-committed",), is_complete=False),
    "monotonic-snapshot-read": ConsistencyModel(("read-committed",), is_complete=False),
    "monotonic-atomic-view": ConsistencyModel(("read-committed",), is_complete=False),
    "cursor-stability": ConsistencyModel(("read-committed",), ("lost-update",), is_complete=False),
    "consistent-view": ConsistencyModel(("cursor-stability", "monotonic-view"), ("G-single",)),
    "forward-consistent-view": ConsistencyModel(("consistent-view",), is_complete=False),
    "update-serializable": ConsistencyModel(("forward-consistent-view",), is_complete=False),
    "read-atomic": ConsistencyModel(("monotonic-atomic-view",), ("internal", "G1a", "future-read"), is_complete=False),
    "causal-cerone": ConsistencyModel(("read-atomic",), is_complete=False),
    "prefix": ConsistencyModel(("causal-cerone",), is_complete=False),
    "update-atomic": ConsistencyModel(("read-atomic",), ("lost-update",), is_complete=False),
    "parallel-snapshot-isolation": ConsistencyModel(("causal-cerone", "update-atomic"), is_complete=False),
    "snapshot-isolation": ConsistencyModel(
        (
            *("forward-consistent-view", "monotonic-atomic-view", "monotonic-snapshot-read"),
            *("parallel-snapshot-isolation", "prefix"),
        ),
        ("internal", "G1", "G-nonadjacent"),
    ),
    "repeatable-read": ConsistencyModel(("cursor-stability", "monotonic-atomic-view"), ("G1", "G2-item")),
    "serializable": ConsistencyModel(
        ("repeatable-read", "update-serializable", "snapshot-isolation"), ("internal", "G1", "G2")
    ),
    "strong-session-read-uncommitted": ConsistencyModel(("read-uncommitted",), ("G0-process",)),
    "strong-session-read-committed": ConsistencyModel(
        ("read-committed", "strong-session-read-uncommitted"), ("G1-process",)
    ),
    "strong-session-snapshot-isolation": ConsistencyModel(
        ("snapshot-isolation", "strong-session-read-committed"), ("G-nonadjacent-process",)
    ),
    "strong-session-serializable": ConsistencyModel(
        ("serializable", "strong-session-snapshot-isolation"), ("G2-process",)
    ),
    "strong-read-uncommitted": ConsistencyModel(("strong-session-read-uncommitted",), ("G0-realtime",)),
    "strong-read-committed": ConsistencyModel(
        ("strong-session-read-committed", "strong-read-uncommitted"), ("G1-realtime",)
    ),
    "strong-snapshot-isolation": ConsistencyModel(
        ("strong-session-snapshot-isolation", "strong-read-committed"), ("G-nonadjacent-realtime",)
    ),
    "strict-serializable": ConsistencyModel(
        ("strong-session-serializable", "strong-snapshot-isolation"), ("G2-realtime",)
    ),
}
"""The models that the checkers judge."""

OTHER_NAMES: Final[Mapping[str, str]] = {
    "PL-1": "read-uncommitted",
    "PL-2": "read-committed",
    "PL-2L": "monotonic-view",
    "PL-MSR": "monotonic-snapshot-read",
    "PL-CS": "cursor-stability",
    "PL-2+": "consistent-view",
    "PL-FCV": "forward-consistent-view",
    "PL-3U": "update-serializable",
    "PL-SI": "snapshot-isolation",
    "PL-2.99": "repeatable-read",
    "PL-3": "serializable",
    "conflict-serializable": "serializable",
    "PL-SS": "strict-serializable",
    "strong-serializable": "strict-serializable",
    "strong-session-PL-1": "strong-session-read-uncommitted",
    "strong-session-PL-2": "strong-session-read-committed",
    "strong-PL-1": "strong-read-uncommitted",
    "strong-PL-2": "strong-read-committed",
}
"""Other names of models, most of them Adya's."""


def _reached(start: Iterable[str], implied: Mapping[str, Iterable[str]]) -> set[str]:
    """Return *start* and everything that it implies."""
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        each = waiting.pop()
        if each not in reached:
            reached.add(each)
            waiting += implied[each]
    return reached


_WEAKER: Final = {name: _reached([name], {each: model.implies for each, model in MODELS.items()}) for name in MODELS}
"""Each model with all models that it implies, itself among them."""


def _forbidden(model: str) -> frozenset[str]:
    direct = {anomaly for name in _WEAKER[model] for anomaly in MODELS[name].forbids}
    return frozenset(each for each in ANOMALIES if implied_by([each]) & direct)


def implied_by(anomalies: Iterable[str]) -> set[str]:
    """Return *anomalies* and all anomalies and classes that they imply."""
    return _reached(anomalies, ANOMALIES)


FORBIDDEN: Final = {model: _forbidden(model) for model in MODELS}
"""For each model, every anomaly that it forbids, directly or because of what the anomaly implies."""


def canonical_model(name: str) -> str:
    """Return the name in `MODELS` of the model called *name*.

    Raises:
      ValueError: if there is no such model, or if it forbids none of the anomalies for which the checkers look.
    """
    model = OTHER_NAMES.get(name, name)
    if model not in MODELS:
        raise ValueError(unknown("consistency model", name, sorted(MODELS)))
    return model


def unwanted(models: Iterable[str], anomalies: Iterable[str] = ()) -> set[str]:
    """Return every anomaly that one of *models* forbids, or that implies one of *anomalies*.

    Raises:
      ValueError: if there is no such model or anomaly.
    """
    wanted = {anomaly for model in models for anomaly in FORBIDDEN[canonical_model(model)]}
    for name in anomalies:
        if name not in ANOMALIES:
            raise ValueError(unknown("anomaly", name, sorted(ANOMALIES)))
        wanted |= {each for each in ANOMALIES if name in implied_by([each])}
    return wanted


def boundary(anomalies: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """Return what *anomalies* say about the models.

    Returns:
      The weakest models that they contradict; the other ones that they contradict; and the strongest ones that they do
      not contradict, among those that the checkers judge completely.
    """
    found = set(anomalies)
    impossible = {model for model in MODELS if FORBIDDEN[model] & found}
    weakest = {model for model in impossible if not (_WEAKER[model] - {model}) & impossible}
    possible = {name for name, model in MODELS.items() if model.is_complete} - impossible
    strongest = {
        model for model in possible if not any(model in _WEAKER[other] for other in possible if other != model)
    }
    return sorted(weakest), sorted(impossible - weakest), sorted(strongest)


def verdict(forbidden: Iterable[str], reason: str | None) -> Valid:
    """Return the verdict, given the *forbidden* anomalies that were found, and why the search was incomplete, if so."""
    if any(True for _ in forbidden):
        return False
    return True if reason is None else "unknown"
