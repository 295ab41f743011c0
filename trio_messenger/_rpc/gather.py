"""Ask many nodes at once, and wait for all of them or for a quorum.

The records of one call share one channel, so the call needs no task for each node. It drops records that are no longer
needed at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import attrs
import trio

from .._protocol.errors import QuorumNotReached, RpcError
from .._protocol.messages import Body, check_dest
from .calls import Calls
from .record import PendingRpc


@final
@attrs.define
class Gathered:
    """The results of one call. A node that has answered or failed is in exactly one of the two fields."""

    replies: dict[str, Body] = attrs.field(factory=dict)
    """The whole bodies of the replies, by node, in the order of arrival."""
    errors: dict[str, RpcError] = attrs.field(factory=dict)
    """The errors of the other nodes, `RpcTimeout` included, by node."""


async def gather(calls: Calls, dests: Iterable[str], body: object, timeout: float | None) -> Gathered:
    """Ask every node of *dests*, and wait until each has answered or failed; see `Node.rpc_all`."""
    nodes = _distinct(dests)
    return await _gather(calls, nodes, body, timeout, need=None)


async def gather_quorum(calls: Calls, dests: Iterable[str], body: object, timeout: float | None, need: int) -> Gathered:
    """Ask every node of *dests*, and return once *need* have answered; see `Node.rpc_quorum`."""
    nodes = _distinct(dests)
    if not 0 <= need <= len(nodes):
        raise ValueError(f"need is {need}, of {len(nodes)} nodes; give 0 to {len(nodes)}")
    gathered = await _gather(calls, nodes, body, timeout, need)
    if len(gathered.replies) < need:
        raise QuorumNotReached(need, gathered.replies, gathered.errors)
    return gathered


def _distinct(dests: Iterable[str]) -> list[str]:
    nodes = [dests] if isinstance(dests, str) else list(dests)
    for node in nodes:
        check_dest(node)
    twice = [node for node in dict.fromkeys(nodes) if nodes.count(node) > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is asked more than once; give each node once")
    return nodes


async def _gather(calls: Calls, nodes: list[str], body: object, timeout: float | None, need: int | None) -> Gathered:
    """Collect outcomes until *need* nodes have replied, or until it is certain that this cannot happen."""
    gathered = Gathered()
    asked: list[PendingRpc] = []
    await calls.wait_for_room()
    send_channel, receive_channel = trio.open_memory_channel[PendingRpc](len(nodes))
    with send_channel, receive_channel:
        try:
            for node in nodes:
                rpc = calls.open(node, body, timeout, send_channel)
                asked.append(rpc)
            while not _is_decided(gathered, len(nodes), need):
                rpc = await receive_channel.receive()
                outcome = calls.outcome(rpc)
                if isinstance(outcome, RpcError):
                    gathered.errors[rpc.dest] = outcome
                elif isinstance(outcome, Exception):
                    try:
                        raise outcome
                    finally:
                        del outcome  # otherwise this frame and the error would be in a cycle
                else:
                    gathered.replies[rpc.dest] = outcome
        finally:
            for rpc in asked:
                calls.forget(rpc)
    return gathered


def _is_decided(gathered: Gathered, nodes: int, need: int | None) -> bool:
    replies = len(gathered.replies)
    still_open = nodes - replies - len(gathered.errors)
    if need is None or not still_open:
        return not still_open
    return replies >= need or replies + still_open < need
