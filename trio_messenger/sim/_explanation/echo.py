"""Explanations of echo: the nodes that answered wrongly, with request and reply."""

from __future__ import annotations

from typing import Final

from .._checkers import Results
from .._records.cut_texts import cut_json
from . import Finding
from .scene import Scene
from .words import quantity, seconds

_DETAILS: Final = 5
"""The number of mismatches that get a sentence each."""


def explain(results: Results, scene: Scene) -> list[Finding]:
    """Return the findings of `~trio_messenger.sim._checkers.echo.echo` in sentences."""
    found = [_told(each, scene) for each in results["errors"][:_DETAILS]]
    rest = len(results["errors"]) - len(found)
    if rest:
        found.append(Finding(f"{quantity(rest, 'more request')} came back changed or were refused; see results.json"))
    return found


def _told(error: Results, scene: Scene) -> Finding:
    who, sent, when = error.get("node", "a node"), cut_json(error["sent"]), seconds(error["time"])
    if error["outcome"] == "ok":
        text = f"{who} answered {sent} with {cut_json(error['received'])} at {when}"
    else:
        text = f"{who} refused {sent} at {when}: {error['error']}"
    return Finding(text, scene.messages_of(scene.history[error["index"]]))
