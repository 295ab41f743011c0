"""Fixtures for nodes that are processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.process_runs import (
    assert_nothing_is_left,
)

from trio_messenger import Body
from trio_messenger.sim._cluster.clients import Client


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for nodes, in which nothing runs after the test."""
    yield tmp_path
    assert_nothing_is_left(tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients, and who sends init, wait for 2 s only, in which even a busy machine starts a node."""
    rpc = Client.rpc

    async def short(self: Client, dest: str, body: Body, timeout: float = 2.0) -> Body:
        return await rpc(self, dest, body, min(timeout, 2.0))

    monkeypatch.setattr(Client, "rpc", short)
