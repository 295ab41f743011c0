"""Benchmarks of messages: echo, relay, a handler that waits, a single message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bench import contestants as c
from bench.contestants import Peer
from bench.table import Case, Row

MESSENGER = "messenger"
NODE = "plain handler"
ASYNCIO = "asyncio"
FLUSHED = "bare, flushed"
CHUNKED = "bare, chunked"
IN_FLIGHT = 100


def _against(title: str, ours: str, peers: Sequence[Peer], figure: str = "cpu") -> list[Row]:
    return [
        Row(f"{title}, {ours}", ours, figure=figure, reference=name) for name in (ASYNCIO, *(p.name for p in peers))
    ]


def _echo(size: float, peers: Sequence[Peer]) -> Case:
    count = int(200_000 * size)
    title = "echo, flood"
    runs = {
        MESSENGER: c.flood(MESSENGER, c.MESSENGER, "echo", count),
        NODE: c.flood(NODE, c.NODE, "echo", count),
        "bare": c.flood("bare", c.BARE, "echo", count),
        FLUSHED: c.flood(FLUSHED, [*c.BARE, "line"], "echo", count),
        ASYNCIO: c.flood(ASYNCIO, c.ASYNCIO, "echo", count),
    } | {p.name: c.flood(p.name, p.command, "echo", count) for p in peers}
    return Case(
        "echo",
        f"{count:,} echo requests as fast as the pipe takes them. *messenger* is the ready-made node, whose handler "
        "takes a validated attrs record; *plain handler* takes the unchanged request. *bare* is a `for` loop over "
        "stdin with msgspec and buffered stdout. It holds replies back while input arrives, so it is a lower bound, "
        "and not a usable node. *bare, flushed* is the same loop, but flushes each reply, as a usable node must. The "
        "figure is the CPU time of the process without its start-up.",
        runs,
        [
            Row(f"{title}, {NODE}", NODE, reference="bare", goals=(1.5, 1.35)),
            Row(f"{title}, {MESSENGER}", MESSENGER, reference="bare", goals=(1.5, 1.35)),
            Row(f"{title}, {NODE}", NODE, reference=FLUSHED, goals=(1.5, 1.35)),
            Row(f"{title}, {MESSENGER}", MESSENGER, reference=FLUSHED, goals=(1.5, 1.35)),
            *_against(title, NODE, peers),
            Row(f"{title}, {NODE}, wall", NODE, figure="wall", reference="bare"),
        ],
    )


def _window(size: float, peers: Sequence[Peer]) -> Case:
    count = int(50_000 * size)
    title = f"echo, {IN_FLIGHT} in flight"
    contestants = {
        MESSENGER: c.MESSENGER,
        NODE: c.NODE,
        FLUSHED: [*c.BARE, "line"],
        CHUNKED: [*c.BARE, "chunk"],
        ASYNCIO: c.ASYNCIO,
    } | {p.name: p.command for p in peers}
    return Case(
        "window",
        f"{count:,} echo requests, {IN_FLIGHT} of them unanswered at any time. *bare, flushed* is the `for` loop that "
        "flushes each reply; *bare, chunked* reads what there is and answers it in one write.",
        {name: c.closed_loop(name, command, "echo", count, IN_FLIGHT) for name, command in contestants.items()},
        [
            Row(f"{title}, {NODE}", NODE, reference=FLUSHED, goals=(1.6,)),
            Row(f"{title}, {MESSENGER}", MESSENGER, reference=FLUSHED, goals=(1.6,)),
            Row(f"{title}, {NODE}", NODE, reference=CHUNKED),
            Row(f"{title}, {MESSENGER}", MESSENGER, reference=CHUNKED),
            *_against(title, NODE, peers),
        ],
    )


def _relay(size: float, peers: Sequence[Peer]) -> Case:
    count, echoes = int(20_000 * size), int(100_000 * size)
    title = f"relay, {IN_FLIGHT} in flight"
    peers = [peer for peer in peers if c.serves(peer, "relay")]
    return Case(
        "relay",
        f"{count:,} requests, {IN_FLIGHT} of them unanswered at any time. For each, the node awaits one RPC to a peer, "
        "which the benchmark plays. *own echo* is the same node in a flood of echo requests.",
        {
            "relay": c.relay("relay", c.NODE, count, IN_FLIGHT),
            "own echo": c.flood("own echo", c.NODE, "echo", echoes),
            ASYNCIO: c.relay(ASYNCIO, c.ASYNCIO, count, IN_FLIGHT),
        }
        | {p.name: c.relay(p.name, p.command, count, IN_FLIGHT) for p in peers},
        [
            Row(title, "relay", reference="own echo", goals=(9,)),
            *(Row(title, "relay", reference=name) for name in (ASYNCIO, *(p.name for p in peers))),
        ],
    )


def _wait(size: float, _: Sequence[Peer]) -> Case:
    count, echoes = int(50_000 * size), int(100_000 * size)
    return Case(
        "wait",
        f"A flood of {count:,} requests to an async handler that passes one checkpoint. *own echo* is the same node in "
        "a flood of echo requests.",
        {
            "waiting": c.flood("waiting", c.NODE, "wait", count),
            "own echo": c.flood("own echo", c.NODE, "echo", echoes),
            ASYNCIO: c.flood(ASYNCIO, c.ASYNCIO, "wait", count),
        },
        [
            Row("handler that waits once, flood", "waiting", reference="own echo", goals=(4,)),
            Row("handler that waits once, flood", "waiting", reference=ASYNCIO),
        ],
    )


def _lone(size: float, peers: Sequence[Peer]) -> Case:
    count = int(4_000 * size)
    contestants = {MESSENGER: c.MESSENGER, NODE: c.NODE, "bare": [*c.BARE, "line"], ASYNCIO: c.ASYNCIO} | {
        p.name: p.command for p in peers
    }
    return Case(
        "lone",
        f"{count:,} echo requests, one after the other. The figure is the median time from request to reply, on the "
        "wall, with the node and the benchmark on one core. *bare* is the `for` loop that flushes each reply.",
        {name: c.lone(name, command, count) for name, command in contestants.items()},
        [
            Row(f"single echo, p50, {NODE}", NODE, figure="p50", reference="bare", goals=(3.5,)),
            Row(f"single echo, p50, {MESSENGER}", MESSENGER, figure="p50", reference="bare", goals=(3.5,)),
            *_against("single echo, p50", NODE, peers, "p50"),
        ],
    )


CASES: Final[dict[str, Callable[[float, Sequence[Peer]], Case]]] = {
    "echo": _echo,
    "window": _window,
    "relay": _relay,
    "wait": _wait,
    "lone": _lone,
}
"""Each makes a benchmark of that share of the messages of a full run, in which those peers take part."""
