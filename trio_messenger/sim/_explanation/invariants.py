"""Explanations of broken invariants and assertions: which one, when, after which event, and what the nodes showed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .._checkers import Results
from . import Finding
from .words import LISTED, quantity, seconds

_DETAILS: Final = 5
"""The number of broken assertions that get a sentence each."""


def explain_invariants(results: Results) -> Iterator[Finding]:
    """Yield a sentence for each invariant that was violated, and for what the nodes showed."""
    for name, told in results.get("invariants", {}).get("by-name", {}).items():
        found = told["violation"]
        if found is None:
            continue
        numbers = tuple(found["messages"])
        yield Finding(
            f"invariant {name} is violated at {seconds(found['time'])}, when {found['event']}: {found['message']}",
            numbers,
        )
        shown = [(node, text) for node, text in found["nodes"].items() if text]
        for node, text in shown[:LISTED]:
            yield Finding(f"{node} then showed {text}", is_detail=True)


def explain_assertions(results: Results) -> Iterator[Finding]:
    """Yield a sentence for each assertion that must always hold and did not."""
    stated = results.get("assertions", {}).get("always", {})
    broken = [(message, told) for message, told in stated.items() if told["first-broken"] is not None]
    for message, told in broken[:_DETAILS]:
        first, count = told["first-broken"], told["calls"] - told["held"]
        times = "" if count == 1 else f", and {quantity(count - 1, 'more time')} in the run"
        text = f"{first['node']} broke always({message!r}) at {seconds(first['time'])}, in {first['place']}{times}"
        yield Finding(text, tuple(first["messages"]))
    if len(broken) > _DETAILS:
        yield Finding(f"{quantity(len(broken) - _DETAILS, 'more assertion')} did not always hold; see results.json")


def warn_of_invariants(results: Results) -> Iterator[str]:
    """Yield a warning for each invariant that was never checked, and for assertions that were not counted."""
    for name, told in results.get("invariants", {}).get("by-name", {}).items():
        if not told["checks"] and told["violation"] is None:
            yield f"invariant {name} was never checked: no node was alive"
    left_out = results.get("assertions", {}).get("left-out", 0)
    if left_out:
        yield (
            f"{quantity(left_out, 'assertion')} not counted: there are too many different messages;"
            " give each call one fixed text"
        )
