"""The messenger: a node whose messages show how RPCs end, especially the leaked ones."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Annotated, Any

import attrs
import msgspec
import trio

from trio_messenger import (
    AtMostOnce,
    Backoff,
    Body,
    ErrorCode,
    Latencies,
    MessageLoss,
    Node,
    Request,
    Retried,
    RetriesExhausted,
    RpcError,
    can_be_sent,
)


@attrs.frozen
class ToTarget:
    """Send ``payload`` to ``target`` as an RPC."""

    target: str
    payload: Body = attrs.field(validator=can_be_sent)


@attrs.frozen
class Proxy:
    """Send ``inner`` to ``target`` as an RPC."""

    target: str
    inner: Body = attrs.field(validator=can_be_sent)


@attrs.frozen
class BatchEcho:
    """Send each of ``values`` to this node itself through the network, and collect the echoes."""

    values: list[Any]


@attrs.frozen
class ComputeBackoff:
    """The parameters of a backoff to show."""

    max_retries: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5
    base_delay: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.1
    max_delay: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 2.0


@attrs.frozen
class Validate:
    """A string that may contain a message as JSON."""

    payload: str


@attrs.frozen
class GetLog:
    """The number of envelopes to show."""

    count: Annotated[int, msgspec.Meta(ge=0)]


@attrs.frozen
class ChaosOn:
    """The fraction of messages to lose."""

    drop_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1


def build() -> Node:
    """Return a messenger node.

    Example:
      >>> from trio_messenger.nodes import messenger
      >>> async def main():
      ...     async with running(messenger.build()) as network:
      ...         reply = await network.request("echo", echo="hi")
      ...         print(reply["echo"], (await network.request("pending_count"))["count"])
      >>> trio.run(main)
      hi 0
    """
    chaos = MessageLoss(exempt=("init_ok", "chaos_on_ok", "chaos_off_ok", "chaos_stats_ok"))
    node = Node(envelope_log=100, wrap_transport=chaos.wrap)
    add_echoes(node)
    add_rpcs(node)
    add_retries(node)
    add_inspection(node)
    add_chaos(node, chaos)
    return node


def add_echoes(node: Node) -> None:
    """Add the messages that reply with the value they receive."""
    dedup = AtMostOnce(capacity=1000, mark="was_duplicate")
    latencies = Latencies()
    began = ended = 0.0

    @node.on("echo")
    def echo(request: Request) -> Body:
        return {"echo": request.require("echo")}

    @node.on("dedup_echo", at_most_once=dedup)
    def dedup_echo(request: Request) -> Body:
        return {"echo": request.require("echo")}

    @node.on("dedup_stats")
    def dedup_stats() -> Body:
        return {"total": dedup.total, "duplicates": dedup.duplicates, "cache_size": len(dedup)}

    @node.on("bench_echo")
    def bench_echo(request: Request) -> Body:
        nonlocal began, ended
        echoed = request.require("echo")
        ended = trio.current_time()
        began = began if latencies.count else request.received_at
        latencies.record(ended - request.received_at)
        return {"echo": echoed, "latency_us": round((ended - request.received_at) * 1e6)}

    @node.on("bench_stats")
    def bench_stats() -> Body:
        elapsed = ended - began
        return {
            "total_messages": latencies.count,
            "elapsed_ms": round(elapsed * 1000, 3),
            "throughput_per_sec": round(latencies.count / elapsed, 1) if elapsed else 0,
            "avg_latency_us": round(latencies.mean() * 1e6),
            "p99_latency_us": round(latencies.quantile(0.99) * 1e6),
        }


def add_rpcs(node: Node) -> None:
    """Add RPCs: leaked, awaited, and many at a time; and their statistics."""

    @node.on("pending_count")
    def pending_count() -> Body:
        return {"count": len(node.pending)}

    @node.on("send_fire_forget")
    def send_fire_forget(body: ToTarget) -> Body:
        node.rpc_callback(body.target, body.payload, lambda _: None)
        return {"pending": len(node.pending)}

    @node.on("reaper_stats")
    def reaper_stats() -> Body:
        oldest = next(iter(node.pending), None)
        return {
            "pending": len(node.pending),
            "sent": node.stats.rpcs,
            "answered": node.stats.answered,
            "reaped": node.stats.reaped,
            "late_replies": node.stats.late_replies,
            "oldest_age_ms": round((trio.current_time() - oldest.sent_at) * 1000) if oldest else 0,
        }

    @node.on("proxy")
    async def proxy(body: Proxy) -> Body:
        return {"result": await node.rpc(body.target, body.inner, timeout=1.0)}

    @node.on("batch_echo")
    async def batch_echo(body: BatchEcho) -> Body:
        called_back, outcomes = trio.open_memory_channel[tuple[int, Any]](len(body.values))

        def keep(index: int, outcome: Any) -> None:
            called_back.send_nowait((index, outcome))

        for index, value in enumerate(body.values):
            await node.wait_for_room()
            node.rpc_callback(node.id, {"type": "echo", "echo": value}, partial(keep, index))
        results = dict([await outcomes.receive() for _ in body.values])
        for failure in filter(lambda outcome: isinstance(outcome, Exception), results.values()):
            raise failure
        return {"results": [results[index]["echo"] for index in range(len(results))]}


def add_retries(node: Node) -> None:
    """Add RPCs with retries, and the schedule of a backoff."""

    @node.on("relay")
    async def relay(body: ToTarget) -> Body:
        done = await retry(body, attempts=3, backoff=Backoff(base=0))
        return {"attempts": done.attempts, "result": done.reply}

    @node.on("backoff_relay")
    async def backoff_relay(body: ToTarget) -> Body:
        done = await retry(body, attempts=6, backoff=Backoff())
        return {"attempts": done.attempts, "total_delay_ms": round(done.delay * 1000)}

    async def retry(body: ToTarget, attempts: int, backoff: Backoff) -> Retried[Body]:
        try:
            return await node.rpc_retry(body.target, body.payload, attempts=attempts, backoff=backoff, timeout=0.5)
        except RetriesExhausted as exc:
            raise RpcError(ErrorCode.TIMEOUT, f"RPC failed after {exc.attempts} attempts") from exc

    @node.on("compute_backoff")
    def compute_backoff(body: ComputeBackoff) -> Body:
        schedule = Backoff(base=body.base_delay, cap=body.max_delay).schedule(body.max_retries)
        schedule_ms = [round(delay * 1000) for delay in schedule]
        return {"schedule_ms": schedule_ms, "total_ms": sum(schedule_ms), "retries": body.max_retries}


def add_inspection(node: Node) -> None:
    """Add messages that inspect: the contents of a string, and the latest messages received and sent."""

    @node.on("validate")
    def validate(body: Validate) -> Body:
        try:
            message = msgspec.json.decode(body.payload, type=dict[str, Any])
        except (ValueError, RecursionError):
            return {"valid": False, "fields": []}
        keys = message["body"] if isinstance(message.get("body"), dict) else ()
        return {"valid": True, "fields": [k for k in ("src", "dest") if k in message] + [f"body.{k}" for k in keys]}

    @node.on("get_log")
    def get_log(body: GetLog) -> Body:
        return {"entries": [attrs.asdict(envelope) for envelope in node.envelopes.latest(body.count)]}


def add_chaos(node: Node, chaos: MessageLoss) -> None:
    """Add messages that turn deliberate message loss on and off."""

    @node.on("chaos_on")
    def chaos_on(body: ChaosOn) -> Body:
        chaos.turn_on(body.drop_rate, Random(42))
        return {"drop_rate": body.drop_rate}

    @node.on("chaos_off")
    def chaos_off() -> Body:
        chaos.turn_off()
        return {}

    @node.on("chaos_stats")
    def chaos_stats() -> Body:
        return {
            "enabled": chaos.is_on,
            "drop_rate": chaos.drop_rate,
            "total_sent": chaos.total_sent,
            "total_dropped": chaos.total_dropped,
        }
