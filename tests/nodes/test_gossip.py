"""All ready-made nodes that gossip: they wait while the network is slow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from support.lines import line
from support.slow_reader import slow_reader
from trio.testing import MockClock

from trio_messenger import Body, Node
from trio_messenger.nodes import (
    broadcast,
    g_counter,
    g_set,
    pn_counter,
    txn_rw_register_read_committed,
    txn_rw_register_read_uncommitted,
)


@pytest.mark.parametrize(
    ("build", "request_body"),
    [
        (broadcast.build, {"type": "broadcast", "message": 1}),
        (g_set.build, {"type": "add", "element": 1}),
        (g_counter.build, {"type": "add", "delta": 1}),
        (pn_counter.build, {"type": "add", "delta": 1}),
        (txn_rw_register_read_committed.build, {"type": "txn", "txn": [["w", 1, 1]]}),
        (txn_rw_register_read_uncommitted.build, {"type": "txn", "txn": [["w", 1, 1]]}),
    ],
    ids=["broadcast", "g-set", "g-counter", "pn-counter", "read-committed", "read-uncommitted"],
)
async def test_gossip_waits_for_a_slow_network(
    build: Callable[[], Node], request_body: Body, autojump_clock: MockClock
) -> None:
    """With the outbox full a node gossips no more, and does so again when there is room: it does not fail of it."""
    node = build()
    node._service.outbox.limit = node._service.outbox.busy_from = 1
    async with slow_reader(node, batches=1) as reader:
        await reader.send(line({**request_body, "msg_id": 2}))
        await trio.sleep(60)
        so_far = node.stats.sent
        await trio.sleep(60)
        assert node.stats.sent == so_far
        with trio.move_on_after(60):
            async for _ in reader.transport:
                pass
        assert node.stats.sent > so_far + 10
        assert node.stats.handler_failures == 0
        reader.nursery.cancel_scope.cancel()
