"""Explanations: what the checkers found, in sentences that say who, what and when, and which messages show it.

A checker judges a history and gives figures. Here these become words for people, with the help of what no checker
sees: the messages of the run, and what became of each. A module for each kind of workload; `generic` for all others.
"""

from __future__ import annotations

from typing import final

import attrs


@final
@attrs.frozen
class Finding:
    """One sentence about a run."""

    text: str
    """The sentence, without a full stop."""
    messages: tuple[int, ...] = ()
    """The network's numbers of the messages that show it, for links to the diagram."""
    is_reason: bool = True
    """Whether it is a reason why the run is not valid; if not, it is a remark."""
