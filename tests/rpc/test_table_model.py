"""The table of pending RPCs against a model that is slow and obvious."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings, strategies as st
from support.pending_table import BUCKET, Desk
from trio.testing import MockClock

from trio_messenger import RpcTimeout
from trio_messenger._rpc import columns, table, wheel

TIMEOUTS = st.sampled_from([0.0, BUCKET, 0.1, 0.25, 2.0, math.inf]) | st.floats(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["open", "open_callback"]), TIMEOUTS),
        st.tuples(st.just("settle"), st.integers(-1, 40)),
        st.tuples(st.just("forget"), st.integers(0, 40)),
        st.tuples(st.just("advance"), st.sampled_from([BUCKET, 0.25]) | st.floats(0, 3)),
        st.tuples(st.just("close"), st.just(0)),
    ),
    max_size=60,
)


@attrs.define
class Model:
    """The table as one would write it without a thought for speed."""

    deadlines: dict[int, float] = attrs.field(factory=dict)
    callbacks: set[int] = attrs.field(factory=set)
    slots: dict[int, tuple[int, str]] = attrs.field(factory=dict)
    counts: dict[str, int] = attrs.field(factory=dict)
    outcomes: list[tuple[int, str]] = attrs.field(factory=list)

    def count(self, what: str) -> None:
        """Add one to a counter."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def end(self, msg_id: int, how: str) -> None:
        """Take a record out and remember how it ended, for as long as nobody needs its place."""
        del self.deadlines[msg_id]
        self.count(how)
        if how != "closed":
            self.slots[msg_id % 8] = (msg_id, "duplicate_replies" if how == "answered" else "late_replies")
        if how != "abandoned":
            self.outcomes.append((msg_id, how))

    def settle(self, msg_id: int) -> None:
        """Take a reply."""
        if msg_id in self.deadlines:
            self.end(msg_id, "answered")
            return
        known, how = self.slots.get(msg_id % 8, (msg_id, "unknown_replies"))
        self.count(how if known == msg_id else "unknown_replies")

    def due(self, msg_id: int) -> float:
        """Return when a record is to expire."""
        deadline = self.deadlines[msg_id]
        return deadline if deadline == math.inf else math.ceil(Fraction(deadline) * 128) / 128

    def expire(self, now: float) -> None:
        """End what is due, the earliest first."""
        for msg_id in sorted(self.deadlines, key=lambda msg_id: (self.due(msg_id), msg_id in self.callbacks)):
            if self.due(msg_id) <= now:
                self.end(msg_id, "reaped")

    def close(self) -> None:
        """End everything, callback RPCs last."""
        for msg_id in sorted(self.deadlines, key=self.callbacks.__contains__):
            self.end(msg_id, "closed")


HOW = {dict: "answered", RpcTimeout: "reaped", trio.ClosedResourceError: "closed"}


class Pair:
    """A table and its model, which take the same steps."""

    def __init__(self, clock: MockClock) -> None:
        self.awaited, self.callbacks, self.model = Desk(), Desk(callbacks=True), Model()
        self.callbacks.table = self.awaited.table
        self._clock = clock
        self._opened = 0
        self._closed = False

    def open(self, timeout: float) -> None:
        """Open an RPC that a task waits for, unless the table is closed."""
        self._open(self.awaited, timeout)

    def open_callback(self, timeout: float) -> None:
        """Open a callback RPC, unless the table is closed."""
        self.model.callbacks.add(self._opened)
        self._open(self.callbacks, timeout)

    def _open(self, desk: Desk, timeout: float) -> None:
        if not self._closed:
            self.model.deadlines[self._opened] = trio.current_time() + timeout
            self.model.count("rpcs")
            desk.open(self._opened, timeout)
            self._opened += 1

    def settle(self, msg_id: int) -> None:
        """Take a reply, to an RPC or to nothing."""
        self.awaited.table.settle(msg_id, "n2", {})
        self.model.settle(msg_id)

    def forget(self, msg_id: int) -> None:
        """Forget an RPC, if there was one of that number, wherever it is by now."""
        if msg_id < self._opened:
            (self.callbacks if msg_id in self.model.callbacks else self.awaited).forget(msg_id)
            if msg_id in self.model.deadlines:
                self.model.end(msg_id, "abandoned")

    def advance(self, seconds: float) -> None:
        """Let time pass, and expire what is due then."""
        self._clock.jump(seconds)
        self.model.expire(trio.current_time())
        while expired := self.awaited.table.expire_slice(trio.current_time()):
            assert expired <= 3

    def close(self, _: int) -> None:
        """Close the table, which may be closed."""
        self.awaited.table.close()
        self.model.close()
        self._closed = True

    def check(self) -> None:
        """Assert that table and model agree."""
        table, model = self.awaited.table, self.model
        assert self.awaited.numbers() == list(model.deadlines)
        assert len(table) == len(model.deadlines)
        assert table.next_due() == min(map(model.due, model.deadlines), default=math.inf)
        assert self.awaited.counts() == model.counts


@pytest.mark.slow
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_the_table_behaves_as_its_model(steps: list[tuple[str, float]]) -> None:
    """After any steps the table holds, counts, returns and awaits what a naive table would."""

    async def main() -> None:
        pair = Pair(clock)
        for step, value in steps:
            getattr(pair, step)(value)
            pair.check()
        assert [(rpc.msg_id, HOW[type(rpc.outcome)]) for rpc in pair.awaited.ended()] == pair.model.outcomes

    clock = MockClock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "SLICE", 3)
        patch.setattr(table, "REMEMBERED", 8)
        patch.setattr(columns, "_PAGE", 4)
        patch.setattr(wheel, "_FEW", 2)
        trio.run(main, clock=clock)


@pytest.mark.slow
async def test_many_rpcs_at_random_all_leave(desk: Desk, mock_clock: MockClock) -> None:
    """Of 20,000 RPCs that end in every way at random, none stays, and the counters add up."""
    rng = random.Random(7)
    for number in range(20_000):
        desk.open(number, rng.choice((0.1, 0.5, 2.0, rng.random())))
        end = rng.random()
        if end < 0.4:
            desk.table.settle(rng.randrange(number + 1), "n2", {})
        elif end < 0.6:
            desk.forget(number)
        elif end < 0.7:
            mock_clock.jump(rng.random() / 100)
            while desk.table.expire_slice(trio.current_time()):
                pass
        assert all(rpc.deadline + BUCKET > trio.current_time() for rpc in itertools.islice(desk.table, 1))
    mock_clock.jump(3.0)
    while desk.table.expire_slice(trio.current_time()):
        pass
    assert len(desk.table) == 0
    assert desk.table.next_due() == math.inf
    stats = desk.stats
    assert min(stats.answered, stats.reaped, stats.abandoned) > 1000
    assert stats.answered + stats.reaped + stats.abandoned == stats.rpcs == 20_000
    assert len(desk.ended()) == stats.answered + stats.reaped
