"""The messenger: a node that shows what becomes of RPCs, the leaked ones above all."""

from __future__ import annotations

from typing import Any

import attrs
import trio

from trio_messenger import Body, Node


def _has_type(_: object, field: attrs.Attribute[Body], body: Body) -> None:
    if not isinstance(body.get("type"), str):
        raise ValueError(f"Expected a `type` that is a string in `$.{field.name}`, got {body.get('type')!r:.80}")


@attrs.frozen
class Echo:
    """Any JSON value."""

    echo: Any


@attrs.frozen
class SendFireForget:
    """``payload`` goes to ``target`` as an RPC whose reply nobody waits for."""

    target: str
    payload: Body = attrs.field(validator=_has_type)


@attrs.frozen
class Proxy:
    """``inner`` goes to ``target`` as an RPC whose reply is the result."""

    target: str
    inner: Body = attrs.field(validator=_has_type)


def build() -> Node:
    """Return a messenger node."""
    node = Node()

    @node.on("echo")
    def echo(body: Echo) -> Body:
        return {"echo": body.echo}

    @node.on("pending_count")
    def pending_count() -> Body:
        return {"count": len(node.pending)}

    @node.on("send_fire_forget")
    def send_fire_forget(body: SendFireForget) -> Body:
        node.rpc_callback(body.target, body.payload, lambda _: None)
        return {"pending": len(node.pending)}

    @node.on("reaper_stats")
    def reaper_stats() -> Body:
        oldest = next(iter(node.pending), None)
        age = trio.current_time() - oldest.sent_at if oldest else 0.0
        return {
            "pending": len(node.pending),
            "sent": node.stats.rpcs,
            "answered": node.stats.answered,
            "reaped": node.stats.reaped,
            "late_replies": node.stats.late_replies,
            "oldest_age_ms": round(age * 1000),
        }

    @node.on("proxy")
    async def proxy(body: Proxy) -> Body:
        return {"result": await node.rpc(body.target, body.inner, timeout=1.0)}

    return node
