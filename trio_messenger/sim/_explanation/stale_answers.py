"""Remarks on services: how often they answered from an old state, which some services may do."""

from __future__ import annotations

from . import Finding
from .scene import Scene, Sent
from .words import quantity, seconds


def explain(scene: Scene) -> list[Finding]:
    """Return a remark for each service that answered requests from old states."""
    by_service: dict[str, list[Sent]] = {}
    for sent in scene.stale_answers():
        by_service.setdefault(sent.src, []).append(sent)
    return [_told(service, answers) for service, answers in sorted(by_service.items())]


def _told(service: str, answers: list[Sent]) -> Finding:
    first = min(answers, key=lambda sent: sent.entry.i)
    text = (
        f"{service} gave {quantity(len(answers), 'answer')} from an old state; the first, to {first.dest} at"
        f" {seconds(first.entry.t)}: {first.entry.text}"
    )
    return Finding(text, (first.id,), is_reason=False)
