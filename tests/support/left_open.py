"""Nodes whose code leaves cancel scopes and nurseries open, and how to see that nobody else is disturbed."""

from __future__ import annotations

from typing import Any, Final

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_messenger import Body, Node
from trio_messenger.testing import Network

STRAY: Final = (
    "ended by {}, which the node did not send: from a cancel scope or nursery that it left open, or from another task;"
    " enter cancel scopes and nurseries using 'with', and do not yield inside them in a generator"
)


def stray(kind: str = "Cancelled") -> str:
    """Return the text of error 13 for a request that an exception of this kind ended."""
    return f"trio_messenger._user_code.failures.StrayCancellation: {STRAY.format(kind)}"


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the node has logged, and not what Trio has to say of generators."""
    return [record.getMessage() for record in caplog.records if record.name == "trio_messenger"]


def cancel_kept(kept: list[Any]) -> None:
    """Cancel what was kept, if that can be cancelled."""
    for thing in kept:
        if isinstance(thing, trio.CancelScope):
            thing.cancel()


def slow_node(**options: Any) -> Node:
    """Return a node whose ``slow`` handler takes two seconds, and whose ``echo`` handler none."""
    node = Node(**options)

    @node.on("slow")
    async def slow() -> Body:
        await trio.sleep(2)
        return {}

    node.on("echo")(lambda: {})
    return node


async def expect_undisturbed(network: Network, kept: list[Any]) -> None:
    """See that three requests that take two seconds are answered, though what was kept is cancelled meanwhile; and that
    the node ends as soon as its input does."""
    for msg_id in range(3):
        await network.send("c2", {"type": "slow", "msg_id": msg_id})
    await wait_all_tasks_blocked()
    cancel_kept(kept)
    assert sorted([(await network.receive()).body["in_reply_to"] for _ in range(3)]) == [0, 1, 2]
    await network.request("echo")
    network.send_eof()
    before = trio.current_time()
    with pytest.raises(trio.EndOfChannel):
        await network.receive()
    assert trio.current_time() == before
