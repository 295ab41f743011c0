"""Fixtures for the table of pending RPCs."""

from __future__ import annotations

import pytest
from support.pending_table import Desk


@pytest.fixture(params=["awaited", "callback"])
def desk(request: pytest.FixtureRequest) -> Desk:
    """A new table, at time 0; the same is to hold of either kind of RPC."""
    return Desk(callbacks=request.param == "callback")
