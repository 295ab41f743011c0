"""seq-kv: a sequentially consistent store, whose readers may see the past."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from support.services import (
    LinModel,
    State,
    applied,
    asked,
    cas,
    make,
    read,
    requests,
    text,
    write,
)

from trio_messenger import (
    SEQ_KV,
    Body,
)
from trio_messenger.sim._services import SimulatedService

# The models. States are whole dictionaries, which are copied; keys and values are JSON texts.


def orders(programs: dict[str, list[Any]]) -> Iterator[list[Any]]:
    """Yield each way to interleave the programs."""
    if not programs:
        yield []
    for src, (first, *rest) in programs.items():
        others = {**programs, src: rest} if rest else {other: programs[other] for other in programs if other != src}
        for order in orders(others):
            yield [first, *order]


def is_sequential(programs: dict[str, list[tuple[Body, Body]]]) -> bool:
    """Tell whether one map, asked in some order that keeps each client's own, gives all the replies."""

    def fits(order: list[tuple[Body, Body]]) -> bool:
        state: State = {}
        for body, reply in order:
            state, expected = applied(state, body)
            if text(expected) != text(reply):
                return False
        return True

    return any(map(fits, orders(programs)))


# seq-kv


@pytest.mark.slow
def test_seq_kv_is_sequentially_consistent() -> None:
    """Whatever the nodes are told, one map, asked in an order that keeps each node's own, would have said it too."""
    stale = 0
    for seed in range(250):
        service, one_map = make(SEQ_KV, seed), LinModel(Random())
        programs: dict[str, list[tuple[Body, Body]]] = {}
        for src, body in itertools.islice(requests(Random(f"sequential {seed}"), ["x", "y"], [0, 1]), 8):
            reply = asked(service, src, body)
            reply.pop("text", None)
            programs.setdefault(src, []).append((body, reply))
            stale += reply != one_map.handle(src, body)
        assert is_sequential(programs), f"seed {seed}"
    assert stale > 100  # were nothing stale, this would say little


def test_the_check_for_sequential_consistency_sees_a_view_that_goes_back() -> None:
    """The search that the test above relies on finds no order in which one node reads 2 and then 1."""
    writes: list[tuple[Body, Body]] = [({"type": "write", "key": 1, "value": n}, {"type": "write_ok"}) for n in (1, 2)]
    reads: list[tuple[Body, Body]] = [({"type": "read", "key": 1}, {"type": "read_ok", "value": n}) for n in (1, 2)]
    assert is_sequential({"n1": writes, "n2": reads})
    assert not is_sequential({"n1": writes, "n2": reads[::-1]})


@pytest.mark.slow
@pytest.mark.parametrize(("writes", "seeds"), [(10, 500), (31, 500), (32, 500), (100, 2000)])
def test_a_view_never_goes_back(writes: int, seeds: int) -> None:
    """However many changes a fresh reader has missed, what it reads never gets older, over thousands of seeds."""
    for seed in range(seeds):
        service = make(SEQ_KV, seed)
        for n in range(writes):
            write(service, "n1", "x", n)
        values = [-1 if value == "none" else value for value in (read(service, "n2", "x") for _ in range(8))]
        assert values == sorted(values), f"seed {seed}"


def test_a_fresh_reader_sees_any_state_that_is_kept() -> None:
    """After 15 changes each of 16 states is drawn equally often; after 99, the oldest of 32 stands for 68 more."""
    first: dict[int, Counter[Any]] = {}
    for writes in (15, 99):
        service = make(SEQ_KV, writes)
        for n in range(writes):
            write(service, "n1", "x", n)
        first[writes] = Counter(read(service, f"reader {n}", "x") for n in range(3200))
    assert set(first[15]) == {"none", *range(15)}
    assert all(140 < count < 260 for count in first[15].values())  # 200, and more than four deviations of 14
    assert set(first[99]) == set(range(67, 99))
    assert 2100 < first[99].pop(67) < 2320  # 69 of 100
    assert all(8 < count < 64 for count in first[99].values())  # 1 of 100


@pytest.mark.slow
def test_a_reader_that_keeps_reading_catches_up() -> None:
    """Each read is drawn from what is left, so that 60 reads reach the newest of a hundred states."""
    for seed in range(300):
        service = make(SEQ_KV, seed)
        for n in range(100):
            write(service, "n1", "x", n)
        values = [read(service, "n2", "x") for _ in range(60)]
        assert values[-1] == 99


def test_whoever_changes_something_is_up_to_date() -> None:
    """A node that wrote sees the newest of every key at once, and its change is made to the newest state."""
    for seed in range(300):
        service = make(SEQ_KV, seed)
        for n in range(20):
            write(service, "n1", "x", n)
        write(service, "n2", "y", 1)
        assert read(service, "n2", "x") == 19
        assert read(service, "n2", "y") == 1


def test_a_change_is_made_to_the_newest_state() -> None:
    """A compare-and-set that would do on an old state, and fails on the newest, fails."""
    codes: Counter[int] = Counter()
    for seed in range(300):
        service = make(SEQ_KV, seed)
        write(service, "n1", "x", 1)
        write(service, "n1", "x", 2)
        codes[cas(service, "n2", "x", 1, 3)] += 1
        assert read(service, "n1", "x") == 2
    assert set(codes) == {20, 22}


def newest(service: SimulatedService, key: Any) -> Any:
    """Return the newest value of *key*, read by a node that has just changed something else."""
    write(service, "n9", "other", "changed")
    return read(service, "n9", key)


def test_a_write_of_what_was_there_may_stay_in_the_past() -> None:
    """A second write of 1 may be served before the 2 that came in between, and then 2 stays; or it comes last."""
    last: Counter[Any] = Counter()
    for seed in range(400):
        service = make(SEQ_KV, seed)
        write(service, "n1", "x", 1)
        write(service, "n2", "x", 2)  # no state has that yet, so this goes to the newest
        write(service, "n1", "x", 1)
        last[newest(service, "x")] += 1
    assert set(last) == {1, 2}
    assert 150 < last[1] < 250


def test_setting_a_value_to_itself_may_stay_in_the_past() -> None:
    """A compare-and-set from 1 to 1 succeeds where a node still sees 1, though another has set 2; nothing changes."""
    codes: Counter[int] = Counter()
    for seed in range(400):
        service = make(SEQ_KV, seed)
        write(service, "n1", "x", 1)
        write(service, "n2", "x", 2)
        codes[cas(service, "n1", "x", 1, 1)] += 1
        assert newest(service, "x") == 2
    assert set(codes) == {0, 22}
    assert 150 < codes[0] < 250


def test_clients_of_seq_kv_stand_in_different_places() -> None:
    """What one node has seen says nothing of another: it may still read what was there before."""
    behind = 0
    for seed in range(300):
        service = make(SEQ_KV, seed)
        write(service, "n1", "x", 1)
        assert read(service, "n1", "x") == 1
        behind += read(service, "n2", "x") == "none"
    assert 100 < behind < 200
