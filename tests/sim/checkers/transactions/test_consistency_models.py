"""Consistency models: what each one forbids, and what anomalies say about them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.histories import history
from support.transactions import alone, appends

from trio_messenger.sim._checkers.transactions.consistency_models import (
    ANOMALIES,
    CYCLE_KINDS,
    FORBIDDEN,
    MODELS,
    OTHER_NAMES,
    SUFFIXES,
    boundary,
    canonical_model,
    implied_by,
    unwanted,
)
from trio_messenger.sim._checkers.transactions.list_append import list_append


def test_a_stronger_model_forbids_all_that_a_weaker_one_forbids() -> None:
    """So a history that satisfies the stronger one satisfies the weaker one."""
    for name, model in MODELS.items():
        for weaker in model.implies:
            assert FORBIDDEN[name] >= FORBIDDEN[weaker], (name, weaker)
        assert FORBIDDEN["strict-serializable"] >= FORBIDDEN[name]


def test_a_model_forbids_what_implies_a_forbidden_anomaly() -> None:
    """A more special anomaly is no way around a model."""
    for name, forbidden in FORBIDDEN.items():
        for anomaly in ANOMALIES:
            assert not (implied_by([anomaly]) & forbidden and anomaly not in forbidden), (name, anomaly)


def test_each_name_leads_to_a_model() -> None:
    """Other names are Adya's, mostly."""
    assert all(canonical_model(name) == model for name, model in OTHER_NAMES.items())
    assert all(canonical_model(name) == name for name in MODELS)
    assert unwanted(["PL-3"]) == unwanted(["serializable"])


@pytest.mark.parametrize(
    ("anomaly", "weakest", "strongest"),
    [
        # What Elle says about one anomaly alone.
        ("G0", {"read-uncommitted"}, set()),
        ("G0-process", {"strong-session-read-uncommitted"}, {"serializable"}),
        ("G0-realtime", {"strong-read-uncommitted"}, {"strong-session-serializable"}),
        ("G1a", {"read-committed"}, {"strong-read-uncommitted"}),
        ("G1b", {"read-committed"}, {"strong-read-uncommitted"}),
        ("G1c", {"read-committed"}, {"strong-read-uncommitted"}),
        ("G1c-process", {"strong-session-read-committed"}, {"serializable", "strong-read-uncommitted"}),
        ("G-single-item", {"consistent-view", "repeatable-read"}, {"strong-read-committed"}),
        ("G-single-item-process", {"strong-session-snapshot-isolation"}, {"serializable", "strong-read-committed"}),
        (
            "G-single-item-realtime",
            {"strong-snapshot-isolation"},
            {"strong-session-serializable", "strong-read-committed"},
        ),
        (
            "G-nonadjacent-item",
            {"snapshot-isolation", "repeatable-read"},
            {"consistent-view", "strong-read-committed"},
        ),
        ("G2-item", {"repeatable-read"}, {"strong-snapshot-isolation"}),
        ("G2-item-process", {"strong-session-serializable"}, {"serializable", "strong-snapshot-isolation"}),
        ("G2-item-realtime", {"strict-serializable"}, {"strong-session-serializable", "strong-snapshot-isolation"}),
        ("internal", {"read-atomic"}, {"repeatable-read", "consistent-view", "strong-read-committed"}),
        ("future-read", {"read-committed"}, {"strong-read-uncommitted"}),
        ("dirty-update", {"read-committed"}, {"strong-read-uncommitted"}),
        ("lost-update", {"cursor-stability", "update-atomic"}, {"strong-read-committed"}),
        ("incompatible-order", {"read-committed"}, {"strong-read-uncommitted"}),
        ("duplicate-elements", {"read-uncommitted"}, set()),
        ("garbage-read", {"read-uncommitted"}, set()),
        ("cyclic-versions", {"read-uncommitted"}, set()),
    ],
)
def test_what_an_anomaly_says_about_the_models(anomaly: str, weakest: set[str], strongest: set[str]) -> None:
    """The weakest models that it rules out, and the strongest that it leaves."""
    found, others, left = boundary([anomaly])
    assert set(found) == weakest
    assert set(left) == strongest
    assert set(found) | set(others) == {name for name, forbidden in FORBIDDEN.items() if anomaly in forbidden}


# The page

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "transactions.md").read_text(encoding="utf-8")


def in_code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def test_the_page_lists_all_models() -> None:
    """Each with its other names, what it implies and what it forbids; a star marks those that are not complete."""
    for name, model in MODELS.items():
        others = in_code(other for other, canonical in OTHER_NAMES.items() if canonical == name)
        star = "" if model.is_complete else " *"
        assert f"| `{name}`{star} | {others} | {in_code(model.implies)} | {in_code(model.forbids)} |\n" in PAGE


def test_the_page_lists_all_anomalies() -> None:
    """Each with the weakest models that it contradicts; classes of anomalies need no row."""
    classes = {f"{name}{suffix}" for name in ("G1", "G2", "G-single", "G-nonadjacent") for suffix in SUFFIXES}
    assert {f"{kind}{suffix}" for kind in CYCLE_KINDS for suffix in SUFFIXES} <= ANOMALIES.keys() - classes
    section = PAGE.partition("## Anomalies")[2].partition("## ")[0]
    rows = dict(re.findall(r"^\| `(.+?)` \| .* \| (`.*`) \|$", section, re.MULTILINE))
    assert rows == {name: in_code(boundary([name])[0]) for name in ANOMALIES if name not in classes}


def test_the_page_lists_all_results() -> None:
    """Each key has a row."""
    section = PAGE.partition("## Results")[2].partition("## ")[0]
    keys = re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
    found = list_append(history(alone(0, appends("ax1"))))
    assert {*found} | {"ww", "wr", "rw", "process", "realtime"} == {*keys}
