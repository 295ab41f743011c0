"""Calls that are tried again: a request, a backoff without jitter, and what must not be left."""

from __future__ import annotations

from trio_messenger import (
    Backoff,
    Node,
)
from trio_messenger.testing import assert_no_rpc_leaked

ASK = {"type": "ask"}
STEADY = Backoff(base=0.25, factor=2, cap=8, jitter=0)
"""Waits 0.25, 0.5, 1 s and so on; with a timeout of 0.5 s, unanswered attempts begin at 0, 0.75, 1.75 and 3.25 s."""


def assert_nothing_left(node: Node) -> None:
    """Assert that every attempt is counted as ended, and that no record waits for a late reply."""
    assert_no_rpc_leaked(node)
    assert node._service.table._lingering == {}
