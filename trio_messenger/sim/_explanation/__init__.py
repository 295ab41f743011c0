"""Explanations: the findings of the checkers in sentences that name nodes, values, times and messages.

A checker judges a history and returns figures. The modules here turn figures into sentences for people. They also use
the messages of the run and their fate, which no checker sees. Each kind of workload has a module; `generic` serves all
others.
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
    """The numbers of the messages that show it, for links to the diagram. The network assigns these numbers."""
    is_reason: bool = True
    """True for a reason why the run is not valid; False for a remark."""
    is_detail: bool = False
    """True if it explains the finding before it."""
