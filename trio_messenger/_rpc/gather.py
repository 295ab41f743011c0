"""Ask many nodes at once, and wait for all of them or for a quorum.

The records of one call share one channel, so the call needs no task for each node. It drops records that are no longer
needed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeAlias, TypeVar, final

import attrs
import trio

from .._protocol.errors import QuorumNotReached, RpcError
from .._protocol.lines import check_request
from .._protocol.messages import check_dest
from .calls import Calls
from .record import PendingRpc

_T = TypeVar("_T")

BodyFor: TypeAlias = Callable[[str], object]
"""Returns the body for the node with this id."""


@final
@attrs.define
class Gathered(Generic[_T]):
    """The results of one call. A node that has answered or failed is in exactly one of the fields."""

    replies: dict[str, _T] = attrs.field(factory=dict)
    """The replies, by node, in the order of arrival: whole bodies, or records if the call has ``as_``."""
    errors: dict[str, RpcError] = attrs.field(factory=dict)
    """The errors of nodes, `RpcTimeout` and `RemoteProtocolError` included, by node."""
    refused: dict[str, _T] = attrs.field(factory=dict)
    """The replies that ``accept`` did not accept, by node."""


@final
@attrs.frozen
class Question:
    """What a call asks every node."""

    body: object
    """The body for all nodes, or a `BodyFor`."""
    timeout: float | None
    """Seconds for each RPC; None for the node's default."""
    as_: type[Any] | None = None
    """The class of the replies; None for plain bodies."""
    accept: Callable[[Any], object] | None = None
    """Tells whether a reply counts; None if every reply does."""

    def bodies(self, nodes: list[str]) -> list[object]:
        """Return the bodies for *nodes*, in their order. If they differ, each one is checked before any is sent."""
        if not callable(self.body):
            return [self.body] * len(nodes)
        bodies = [self.body(node) for node in nodes]
        for body in bodies:
            check_request(body)
        return bodies


async def gather(calls: Calls, dests: Iterable[str], question: Question) -> Gathered[Any]:
    """Ask every node of *dests*, and wait until each has answered or failed; see `Node.rpc_all`."""
    return await _gather(calls, _distinct(dests), question, need=None)


async def gather_quorum(calls: Calls, dests: Iterable[str], question: Question, need: int) -> Gathered[Any]:
    """Ask every node of *dests*, and return once *need* have answered; see `Node.rpc_quorum`."""
    nodes = _distinct(dests)
    if not 0 <= need <= len(nodes):
        raise ValueError(f"need is {need}, of {len(nodes)} nodes; give 0 to {len(nodes)}")
    gathered = await _gather(calls, nodes, question, need)
    if len(gathered.replies) < need:
        raise QuorumNotReached(need, gathered.replies, gathered.errors, gathered.refused)
    return gathered


def _distinct(dests: Iterable[str]) -> list[str]:
    nodes = [dests] if isinstance(dests, str) else list(dests)
    for node in nodes:
        check_dest(node)
    twice = [node for node in dict.fromkeys(nodes) if nodes.count(node) > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is asked more than once; give each node once")
    return nodes


async def _gather(calls: Calls, nodes: list[str], question: Question, need: int | None) -> Gathered[Any]:
    """Collect outcomes until *need* nodes have replied, or until it is certain that this cannot happen."""
    gathered = Gathered[Any]()
    asked: list[PendingRpc] = []
    await calls.wait_for_room()
    bodies = question.bodies(nodes)
    send_channel, receive_channel = trio.open_memory_channel[PendingRpc](len(nodes))
    with send_channel, receive_channel:
        try:
            for node, body in zip(nodes, bodies, strict=True):
                rpc = calls.open(node, body, question.timeout, send_channel)
                asked.append(rpc)
            while not _is_decided(gathered, len(nodes), need):
                rpc = await receive_channel.receive()
                _enter(gathered, rpc.dest, calls.outcome(rpc, question.as_), question.accept)
        finally:
            for rpc in asked:
                calls.forget(rpc)
    return gathered


def _enter(gathered: Gathered[Any], node: str, outcome: Any, accept: Callable[[Any], object] | None) -> None:
    """Put the outcome of one RPC where it belongs; raise it if it ends the whole call."""
    if isinstance(outcome, RpcError):
        gathered.errors[node] = outcome
    elif isinstance(outcome, Exception):
        try:
            raise outcome
        finally:
            del outcome  # otherwise this frame and the error would be in a cycle
    elif accept is None or accept(outcome):
        gathered.replies[node] = outcome
    else:
        gathered.refused[node] = outcome


def _is_decided(gathered: Gathered[Any], nodes: int, need: int | None) -> bool:
    replies = len(gathered.replies)
    still_open = nodes - replies - len(gathered.errors) - len(gathered.refused)
    if need is None or not still_open:
        return not still_open
    return replies >= need or replies + still_open < need
