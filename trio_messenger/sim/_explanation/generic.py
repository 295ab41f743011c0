"""The explanation of any checker's results: its figures with their names."""

from __future__ import annotations

from typing import Any, Final

from .._checkers import Results
from .._records.cut_texts import cut_json
from . import Finding
from .words import LISTED

_PLACE: Final = ("index", "time", "process", "type")
"""Fields that locate a checker's record in the history. The sentence leaves them out; ``results.json`` has them."""


def explain(results: Results) -> list[Finding]:
    """Return the figures of a workload's *results*, without empty ones, if the results are not valid."""
    if results["valid?"] is True:
        return []
    figures = [(name, value) for name, value in results.items() if name != "valid?" and value not in ([], {}, 0, None)]
    verdict = "invalid" if results["valid?"] is False else "undecided"
    told = ", ".join(f"{name} {_brief(value)}" for name, value in figures)
    return [Finding(f"the workload's checker says {verdict}: {told or 'too little was seen'}")]


def _brief(value: Any) -> str:
    """Return *value* as JSON, cut if it is long; for a list, its first items or first record, and their number."""
    if isinstance(value, list) and isinstance(value[0], dict):
        fields = [f"{name} {cut_json(field)}" for name, field in value[0].items() if name not in _PLACE]
        return f"{len(value)}, the first: {', '.join(fields)}"
    if isinstance(value, list) and len(value) > LISTED:
        return f"{cut_json(value[:LISTED])} and {len(value) - LISTED} more"
    return cut_json(value)
