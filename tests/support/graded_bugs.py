"""Nodes with bugs that only some schedules of faults bring to light, and right nodes like them; `GRADED`.

Each needs something else: a fault in a few milliseconds, a long or a short one, two kinds at once, or traffic. They
compare ways to draw schedules, in `tests/bench/search.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
import trio

from trio_messenger import LIN_KV, Body, DurableStore, ErrorCode, KeyValue, Node, Request, RpcError
from trio_messenger.nodes import g_set, lin_kv_proxy, unique_ids
from trio_messenger.sim import Invariant, Options
from trio_messenger.sim._cluster.durable import Build

NODES = ("n1", "n2", "n3")

KINDS = ("partition", "oneway", "links", "loss", "duplicate", "reorder", "slow", "kill", "pause")


WITH_SERVICES = (*KINDS, "services")


@attrs.frozen(kw_only=True)
class Graded:
    """A node, and the options of its runs but for seed and search."""

    name: str
    build: Build
    options: Options
    is_right: bool = False
    invariants: Callable[[], Sequence[Invariant]] = list
    share: int = 1
    """Of which seeds the benchmark makes runs: each, or only each twelfth; runs of some nodes take long."""


# Unique ids: a number that must outlive the node


def numbers(store: DurableStore, *, late: float) -> Node:
    """Answers *late* seconds before it saves the number of the id."""
    node = Node()
    last: int = store.get("last", 0)

    @node.on("generate")
    async def generate(request: Request) -> None:
        nonlocal last
        last += 1
        number = last
        await node.reply(request, {"id": [node.id, number]})
        await trio.sleep(late)
        store["last"] = max(number, store.get("last", 0))

    return node


def tears_a_save(store: DurableStore) -> Node:
    """Saves the number of a block of ten ids 2 ms after the place in it has begun anew."""
    node = Node()
    block: int = store.get("block", 0)
    place: int = store.get("place", 0)

    @node.on("generate")
    async def generate() -> Body:
        nonlocal block, place
        place += 1
        if place == 10:
            block, place = block + 1, 0
            store["place"] = 0
            await trio.sleep(0.002)
            store["block"] = block
        else:
            store["place"] = place
        return {"id": [node.id, block, place]}

    return node


def restores_once(store: DurableStore) -> Node:
    """Takes the number out of its store when it starts, and saves it again a second later."""
    node = Node()
    last: int = store.pop("last", 0)

    async def save() -> None:
        await trio.sleep(1)
        while True:
            store["last"] = last
            await trio.sleep(0.1)

    @node.on("generate")
    def generate() -> Body:
        nonlocal last
        last += 1
        if "last" in store:
            store["last"] = last
        return {"id": [node.id, last]}

    node.background(save)
    return node


def reads_the_clock() -> Node:
    """Numbers its ids by the hundredth of a second of the wall clock, and within it."""
    node = Node()
    tick, number = 0, 0

    @node.on("generate")
    def generate() -> Body:
        nonlocal tick, number
        now = int(node.wall_time() * 100)
        tick, number = now, number + 1 if now == tick else 0
        return {"id": [node.id, tick, number]}

    return node


def two_sequencers(store: DurableStore) -> Node:
    """Asks n1 for numbers, or n2 if n1 does not answer; n2 gives them once it has not heard of n1 for 3 s."""
    node = Node()
    heard = -3.0

    @node.on("follow")
    def follow(request: Request) -> None:
        nonlocal heard
        heard = trio.current_time()
        store["next"] = max(store.get("next", 0), request.body["next"])

    @node.on("number")
    def number() -> Body:
        if node.id == "n2" and trio.current_time() < heard + 3:
            raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, "n1 gives the numbers")
        store["next"] = store.get("next", 0) + 1
        return {"number": store["next"]}

    @node.on("generate")
    async def generate() -> Body:
        for sequencer in ("n1", "n2"):
            try:
                reply = await node.rpc(sequencer, {"type": "number"}, timeout=0.3)
            except RpcError:
                continue
            return {"id": reply["number"]}
        raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, "no sequencer answers")

    def tell() -> None:
        if node.id == "n1":
            node.send_nowait("n2", {"type": "follow", "next": store.get("next", 0)})

    node.every(0.1, tell)
    return node


# Echo: an answer that belongs to another request


def overlaps() -> Node:
    """Keeps the request that it works on, for 0.5 ms, in a place that all requests share."""
    node = Node()
    shown: dict[str, Any] = {}

    @node.on("echo")
    async def echo(request: Request) -> Body:
        shown["echo"] = request.body["echo"]
        await trio.sleep(0.0005)
        return {"echo": shown["echo"]}

    return node


# Sets and counters: what every node must learn


@attrs.frozen
class Told:
    """Elements from another node."""

    elements: list[int]


def telling(store: DurableStore, tell: Callable[[Node, str, int], object]) -> Node:
    """Return a node that keeps a set, and calls *tell* for each other node and new element."""
    node = Node()

    def keep(elements: list[int]) -> None:
        store["elements"] = sorted({*store.get("elements", []), *elements})

    @node.on("add")
    def add(request: Request) -> Body:
        keep([request.body["element"]])
        for peer in node.peers:
            tell(node, peer, request.body["element"])
        return {}

    @node.on("told")
    def told(body: Told) -> Body:
        keep(body.elements)
        return {}

    @node.on("read")
    def read() -> Body:
        return {"value": store.get("elements", [])}

    return node


def gives_up(store: DurableStore, *, attempts: int) -> Node:
    """Tells each other node of an element, and tries again each second, but not for ever."""

    async def insist(node: Node, peer: str, element: int) -> None:
        for _ in range(attempts):
            try:
                await node.rpc(peer, {"type": "told", "elements": [element]}, timeout=1.0)
            except RpcError:
                continue
            return

    waiting: dict[str, list[tuple[str, int]]] = {"elements": []}
    node = telling(store, lambda _, peer, element: waiting["elements"].append((peer, element)))

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            while True:
                for peer, element in waiting["elements"]:
                    nursery.start_soon(insist, node, peer, element)
                waiting["elements"] = []
                await trio.sleep(0.05)

    node.background(run)
    return node


def believes_any_answer(store: DurableStore) -> Node:
    """Tells one element after another, and takes any answer, also a late one, for that to the last message."""
    queues: dict[str, list[int]] = {}
    node = telling(store, lambda _, peer, element: queues.setdefault(peer, []).append(element))

    @node.on("next")
    def following(request: Request) -> None:
        told = {*store.get("elements", []), request.body["element"]}
        store["elements"] = sorted(told)
        node.send_nowait(request.src, {"type": "got"})

    @node.on("got")
    def got(request: Request) -> None:
        queue = queues.get(request.src, [])
        if queue:
            del queue[0]
            if queue:
                node.send_nowait(request.src, {"type": "next", "element": queue[0]})

    def again() -> None:
        for peer, queue in queues.items():
            if queue:
                node.send_nowait(peer, {"type": "next", "element": queue[0]})

    node.every(0.2, again)
    return node


def forgets_the_silent(store: DurableStore) -> Node:
    """Tells nodes that were silent for 2 s later, and others three times in a row, and that is all."""
    heard: dict[str, float] = {}
    later: dict[str, list[int]] = {}
    soon: list[tuple[str, int, int]] = []
    node = telling(store, lambda _, peer, element: soon.append((peer, element, 3)))

    @node.on("beat")
    def beat(request: Request) -> None:
        heard[request.src] = trio.current_time()
        missed = later.pop(request.src, [])
        if missed:
            soon.extend((request.src, element, 3) for element in missed)

    def turn() -> None:
        waiting, soon[:] = list(soon), []
        for peer, element, left in waiting:
            if trio.current_time() > heard.get(peer, 0.0) + 2:
                later.setdefault(peer, []).append(element)
            else:
                node.send_nowait(peer, {"type": "told", "elements": [element]})
                soon.extend([(peer, element, left - 1)] if left > 1 else [])
        for peer in node.peers:
            node.send_nowait(peer, {"type": "beat"})

    node.every(0.3, turn)
    return node


def remembers_in_memory(store: DurableStore) -> Node:
    """Adds what others tell it once, as long as it lives: what it has added already it remembers in memory only."""
    node = Node()
    seen: set[str] = set()

    @node.on("add")
    def add(request: Request) -> Body:
        number = store.get("number", 0) + 1
        store["number"], store["total"] = number, store.get("total", 0) + request.body["delta"]
        told = [[peer, f"{node.id}-{number}", request.body["delta"]] for peer in node.peers]
        store["waiting"] = store.get("waiting", []) + told
        tell()
        return {}

    @node.on("apply")
    def apply(request: Request) -> None:
        if request.body["key"] not in seen:
            seen.add(request.body["key"])
            store["total"] = store.get("total", 0) + request.body["delta"]
        node.send_nowait(request.src, {"type": "applied", "key": request.body["key"]})

    @node.on("applied")
    def applied(request: Request) -> None:
        done = request.src, request.body["key"]
        store["waiting"] = [each for each in store.get("waiting", []) if (each[0], each[1]) != done]

    @node.on("read")
    def read() -> Body:
        return {"value": store.get("total", 0)}

    def tell() -> None:
        for peer, key, delta in store.get("waiting", []):
            node.send_nowait(peer, {"type": "apply", "key": key, "delta": delta})

    node.every(0.5, tell)
    return node


# Registers: reads that are out of date


def caches_reads(*, seconds: float) -> Node:
    """Serves registers from lin-kv, and answers from memory what it has read in the last *seconds*."""
    node = Node()
    service = KeyValue(node, LIN_KV)
    cached: dict[str, tuple[float, object]] = {}

    @node.on("read")
    async def read(request: Request) -> Body:
        key = f"{request.body['key']}"
        at, value = cached.get(key, (-math.inf, None))
        if trio.current_time() > at + seconds:
            value = await service.read(request.body["key"])
            cached[key] = trio.current_time(), value
        return {"value": value}

    @node.on("write")
    async def write(request: Request) -> Body:
        await service.write(request.body["key"], request.body["value"])
        return {}

    @node.on("cas")
    async def cas(request: Request) -> Body:
        await service.cas(request.body["key"], request.body["from"], request.body["to"])
        return {}

    return node


def _bug(name: str, build: Build, workload: str, **given: Any) -> Graded:
    usual: dict[str, Any] = {"nodes": NODES, "time_limit": 12.0, "nemesis": KINDS, "nemesis_interval": 4.0}
    options = Options(workload=workload, **usual | given)
    return Graded(name=name, build=build, options=options, is_right=name.startswith("right "))


GRADED = (
    _bug("answers 5 ms before it saves", partial(numbers, late=0.005), "unique-ids"),
    _bug("answers 50 ms before it saves", partial(numbers, late=0.05), "unique-ids"),
    _bug("a save torn for 2 ms", tears_a_save, "unique-ids"),
    _bug("a second kill within 1 s", restores_once, "unique-ids"),
    _bug("a clock that is set back", reads_the_clock, "unique-ids", nemesis=("clock", "kill")),
    _bug("two sequencers", two_sequencers, "unique-ids"),
    _bug("overlapping replies", overlaps, "echo", concurrency=9),
    _bug("gives up after 4 s", partial(gives_up, attempts=4), "g-set"),
    _bug("gives up after 9 s", partial(gives_up, attempts=9), "g-set"),
    _bug("believes any answer", believes_any_answer, "g-set"),
    _bug("forgets the silent", forgets_the_silent, "g-set"),
    _bug("duplicates remembered in memory", remembers_in_memory, "g-counter"),
    _bug(
        "reads cached for 20 ms",
        partial(caches_reads, seconds=0.02),
        "lin-kv",
        rate=10.0,
        nemesis=WITH_SERVICES,
    ),
    _bug("right unique-ids", unique_ids.build, "unique-ids"),
    _bug("right g-set", g_set.build, "g-set"),
    _bug("right lin-kv", lin_kv_proxy.build, "lin-kv", rate=10.0, nemesis=WITH_SERVICES),
)
"""The bugs, and right nodes, in which no schedule may find one."""
