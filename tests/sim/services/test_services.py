"""Maelstrom's services in the simulator: against models that are slow and obvious, and what holds for all of them."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import trio
from support.services import (
    KEYS,
    KV,
    MERGING,
    VALUES,
    LinModel,
    State,
    applied,
    asked,
    make,
    read,
    requests,
    text,
    write,
)
from trio.testing import MockClock

from trio_messenger import (
    LIN_KV,
    LIN_TSO,
    LWW_KV,
    SEQ_KV,
    Body,
    KeyValue,
    RpcError,
    TimestampOracle,
)
from trio_messenger.sim._services import SERVICES, SimulatedService

# The models. States are whole dictionaries, which are copied; keys and values are JSON texts.


class SeqModel:
    """Every state there ever was, of which the last 32 can be drawn."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.states: list[State] = [{}]
        self.seen: dict[str, int] = {}

    def handle(self, src: str, body: Body) -> Body:
        last, first = len(self.states) - 1, self.seen.get(src, 0)
        drawn = max(first + int(self.random.random() * (last - first + 1)), last - 31)
        state, reply = applied(self.states[drawn], body)
        if state != self.states[drawn]:
            state, reply = applied(self.states[-1], body)
            self.states.append(state)
            drawn = last + 1
        self.seen[src] = drawn
        return reply


class LwwModel:
    """Two replicas, each with a clock and all of its entries: (stamp, writer, value) by key. They do not merge."""

    merges = False

    def __init__(self, random: Random) -> None:
        self.random = random
        self.clocks = [0, 0]
        self.entries: list[dict[str, tuple[int, int, str]]] = [{}, {}]

    def draw(self) -> int:
        return int(self.random.random() * 2)

    def handle(self, _: str, body: Body) -> Body:
        source, dest = self.draw(), self.draw()
        if self.merges:
            self.clocks[dest] = max(self.clocks[source], self.clocks[dest])
            for name, entry in self.entries[source].items():
                self.entries[dest][name] = max(entry, self.entries[dest].get(name, entry))
        at = self.draw()
        entries = self.entries[at]
        values = {name: value for name, (_, _, value) in entries.items()}
        reply = applied(values, body, may_create=False)[1]
        if reply["type"] in ("write_ok", "cas_ok"):
            value = body["value"] if body["type"] == "write" else body["to"]
            entries[text(body["key"])] = (self.clocks[at], at, text(value))
            self.clocks[at] += 1
        return reply


class MergingModel(LwwModel):
    """The same, but they do. Merges look at all entries."""

    merges = True


MODELS: dict[str, Callable[[Random], Any]] = {
    LIN_KV: LinModel,
    SEQ_KV: SeqModel,
    LWW_KV: LwwModel,
    MERGING: MergingModel,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KV)
@pytest.mark.parametrize(("runs", "length", "keys", "values"), [(1000, 12, 2, 2), (200, 40, 8, 8), (20, 300, 3, 3)])
def test_a_service_answers_as_its_model_does(name: str, runs: int, length: int, keys: int, values: int) -> None:
    """On random requests, few or many, about few keys or many, each reply is the model's, given the same draws."""
    seen: Counter[str] = Counter()
    for seed in range(runs):
        service, model = make(name, seed), MODELS[name](Random(seed))
        stream = requests(Random(f"requests {seed}"), KEYS[:keys], VALUES[:values])
        for src, body in itertools.islice(stream, length):
            reply = asked(service, src, copy.deepcopy(body))
            expected = model.handle(src, body)
            assert text({**reply, "text": None}) == text({**expected, "text": None}), f"seed {seed}: {body}"
            seen[f"{body['type']} {reply.get('code', 0)}"] += 1
    assert set(seen) == {"read 0", "read 20", "write 0", "cas 0", "cas 20", "cas 22"}
    assert min(seen.values()) >= 20


# All of them


def test_the_services_are_maelstroms() -> None:
    """There are four, known by the ids that nodes send to."""
    assert set(SERVICES) == {"lin-kv", "seq-kv", "lww-kv", "lin-tso"}


@pytest.mark.parametrize("name", KV)
def test_each_run_has_services_of_its_own(name: str) -> None:
    """Two of a kind share nothing: neither what they hold nor, given different streams, their draws."""
    first, second = make(name), make(name)
    for _ in range(10):
        write(first, "n1", "x", 1)
    assert {read(second, "n1", "x") for _ in range(60)} == {"none"}


@pytest.mark.parametrize("name", [SEQ_KV, LWW_KV])
def test_the_seed_decides(name: str) -> None:
    """The same stream gives the same replies, and another one others."""

    def replies(seed: int) -> list[Body]:
        service = make(name, seed)
        stream = itertools.islice(requests(Random(1), KEYS, VALUES), 300)
        return [asked(service, src, body) for src, body in stream]

    assert replies(1) == replies(1)
    assert replies(1) != replies(2)


@pytest.mark.parametrize("name", KV)
def test_old_values_are_not_kept(name: str) -> None:
    """A service does not grow with the number of writes, only with that of keys."""

    def size(writes: int) -> int:
        service = make(name)
        for n in range(writes):
            write(service, "n1", n % 3, f"{n:09}")
        return len(pickle.dumps(service))

    assert size(6000) < size(600) + 100


class Direct:
    """A caller next to the service: each request takes a millisecond there and one back."""

    def __init__(self, service: SimulatedService, src: str, random: Random) -> None:
        self.id, self.random = src, random
        self._service = service

    async def rpc(self, _: str, body: Any, *, timeout: float | None = None) -> Body:  # noqa: ARG002 - as Node.rpc
        await trio.sleep(0.001)
        reply = asked(self._service, self.id, body)
        await trio.sleep(0.001)
        if reply["type"] == "error":
            raise RpcError.from_body(reply)
        return reply


@pytest.mark.parametrize("name", [LIN_KV, SEQ_KV])
async def test_the_clients_counters_add_up(name: str, autojump_clock: MockClock) -> None:
    """Three nodes that add to one counter with `KeyValue.update` lose nothing, though seq-kv shows them old values."""
    service = make(name, 1)

    async def add(src: str) -> None:
        store = KeyValue(Direct(service, src, Random(src)), name)
        for _ in range(5):
            await store.update("count", lambda count: count + 1, default=0, attempts=200)

    async with trio.open_nursery() as nursery:
        for src in ("n1", "n2", "n3"):
            nursery.start_soon(add, src)
    assert await KeyValue(Direct(service, "n4", Random(4)), name).read("count", fresh=True) == 15


async def test_the_clients_timestamps_are_the_services(autojump_clock: MockClock) -> None:
    """`TimestampOracle` reads them."""
    oracle = TimestampOracle(Direct(make(LIN_TSO), "n1", Random(1)))
    assert [await oracle.ts() for _ in range(3)] == [0, 1, 2]
