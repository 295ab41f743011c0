"""Statistics: the line that tells them, and counters that add up whatever becomes of RPCs."""

from __future__ import annotations

import itertools
import re
from contextlib import suppress
from random import Random

import attrs
import pytest
import trio
from support.lines import line
from trio.testing import MockClock

from trio_messenger import Body, LocalProtocolError, Message, Node, RpcError, Stats
from trio_messenger._protocol.stats import worth_a_line
from trio_messenger.testing import Network, running

COUNTERS = [field.name for field in attrs.fields(Stats) if str(field.type) == "int"]


@pytest.mark.parametrize("name", COUNTERS)
def test_line_has_each_counter_that_is_not_zero(name: str) -> None:
    """A counter is told by its name, and only if it counted something."""
    stats = Stats()
    setattr(stats, name, 7)
    assert stats.line() == f"statistics: {name}=7"


def test_line_has_all_counters_in_the_order_of_the_record() -> None:
    """The line is one line, with one word for each counter."""
    stats = Stats()
    for number, name in enumerate(COUNTERS, start=1):
        setattr(stats, name, number)
    expected = [f"{name}={number}" for number, name in enumerate(COUNTERS, start=1)]
    assert stats.line() == "statistics: " + " ".join(expected)


def test_line_of_a_node_that_did_nothing_has_no_blank_at_its_end() -> None:
    """With every counter at 0 the line still says what it is, and no more."""
    assert Stats().line() == "statistics: none"


def test_line_ends_with_the_quantiles_of_the_latency() -> None:
    """Once an RPC was answered there are the median, the 95th and 99th percentile and the highest, in milliseconds."""
    stats = Stats(answered=100)
    for number in range(1, 101):
        stats.rpc_latency.record(number / 1000)
    words = stats.line().removeprefix("statistics: answered=100 ").split()
    assert [word.partition("=")[0] for word in words] == ["rpc_p50_ms", "rpc_p95_ms", "rpc_p99_ms", "rpc_p100_ms"]
    assert [float(word.partition("=")[2]) for word in words] == pytest.approx([50, 95, 99, 100], rel=0.015)


def test_line_has_plain_figures_for_long_latencies() -> None:
    """A latency of more than a second is written out: 1.5e+03 is hard to read and to search for."""
    stats = Stats()
    stats.rpc_latency.record(1.5)
    assert re.fullmatch(r"statistics:( rpc_p\d+_ms=1[45]\d0){4}", stats.line())


def test_everything_starts_at_zero() -> None:
    """A new record has counted nothing, and no two records share their latencies."""
    assert {getattr(Stats(), name) for name in COUNTERS} == {0}
    assert Stats().rpc_latency.count == 0
    assert Stats().rpc_latency is not Stats().rpc_latency


class Load:
    """RPCs to n2 that come to all sorts of ends, by a seed; and n2, which answers or does not."""

    def __init__(self, node: Node, network: Network, seed: int) -> None:
        self._node = node
        self._network = network
        self._random = Random(seed)

    def check(self, _: object = None) -> None:
        """Assert that each RPC so far pends or is counted once under the way it ended."""
        stats = self._node.stats
        ended = stats.answered + stats.reaped + stats.abandoned + stats.closed
        assert stats.rpcs == ended + len(self._node.pending)

    async def make(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(self._random.choice([self._await, self._await, self._call_back, self._fail]))
                await trio.sleep(self._random.uniform(0, 0.05))
                self.check()

    async def answer(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._reply, await self._network.receive())

    async def _await(self) -> None:
        with trio.move_on_after(self._random.choice([0.25, 4.0])), suppress(RpcError):
            await self._node.rpc("n2", {"type": "ask"}, timeout=self._random.choice([0.5, 1.0, 60.0]))
        self.check()

    async def _call_back(self) -> None:
        self._node.rpc_callback("n2", {"type": "ask"}, self.check, timeout=self._random.uniform(0, 1.5))

    async def _fail(self) -> None:
        with pytest.raises(LocalProtocolError):
            await self._node.rpc("n2", {"type": "ask", "x": float("nan")})
        self.check()

    async def _reply(self, message: Message) -> None:
        await trio.sleep(self._random.choice([0.125, 0.75, 1.25, 1000.0]))
        for _ in range(self._random.choice([1, 1, 2])):
            bodies: list[Body] = [{"type": "ask_ok"}, {"type": "error", "code": 11}]
            await self._network.reply(message, self._random.choice(bodies))
        self.check()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_rpcs_are_the_sum_of_what_became_of_them(seed: int, autojump_clock: MockClock) -> None:
    """Under a mixed load each RPC is at any time either pending or counted once under the way it ended."""
    node = Node()
    async with running(node) as network, trio.open_nursery() as nursery:
        load = Load(node, network, seed)
        nursery.start_soon(load.answer)
        await load.make()
        for _ in range(10):
            node.rpc_callback("n2", {"type": "ask"}, load.check, timeout=60)
        nursery.cancel_scope.cancel()
    load.check()
    stats = node.stats
    assert len(node.pending) == 0
    assert min(stats.answered, stats.reaped, stats.abandoned, stats.closed) > 0
    assert min(stats.late_replies, stats.duplicate_replies) > 0
    assert stats.rpc_latency.count == stats.answered


async def test_each_kind_of_trouble_is_counted(autojump_clock: MockClock) -> None:
    """Whatever a node drops, refuses or sheds is in the line that it reports."""
    node = Node(max_handlers=1)
    node.on("slow")(lambda: {})
    node.on("fail")(lambda: 1 / 0)

    @node.on("wait")
    async def wait() -> None:
        await trio.sleep_forever()

    async with running(node, init=False) as network:
        await network.send_bytes(
            line({"type": "slow", "msg_id": 1})
            + line({"type": "init", "msg_id": 2, "node_id": "n1", "node_ids": ["n1"]})
            + line({"type": "slow"}, dest="n9")
            + b"rubbish\n"
            + line({"type": "error", "code": 1})
            + line({"type": "unknown", "msg_id": 3})
            + line({"type": "fail", "msg_id": 4})
            + line({"type": "wait", "msg_id": 5})
            + line({"type": "wait", "msg_id": 6})
            + line({"type": "ask_ok", "in_reply_to": 77})
        )
        for _ in range(5):
            await network.receive()
    assert node.stats.line() == (
        "statistics: received=10 sent=5 malformed=1 misdirected=1 early=1 unsupported=1 shed=1 "
        "stray_errors=1 handler_failures=1 unknown_replies=1"
    )


def test_first_ten_of_a_kind_and_then_powers_of_two_are_worth_a_line() -> None:
    """A flood of events is logged ever more rarely, but never not at all."""
    worth = itertools.filterfalse(lambda count: not worth_a_line(count), range(1, 200))
    assert list(worth) == [*range(1, 11), 16, 32, 64, 128]


def test_counters_are_those_that_are_not_zero() -> None:
    """As a dict they are what the line tells, without the latencies."""
    stats = Stats(sent=3, late_replies=1)
    stats.rpc_latency.record(0.25)
    assert stats.counters() == {"sent": 3, "late_replies": 1}
    assert Stats().counters() == {}
