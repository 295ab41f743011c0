"""lww-kv: the last write wins, by replicas that merge or do not."""

from __future__ import annotations

import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from support.services import (
    MAKERS,
    MERGING,
    asked,
    cas,
    make,
    read,
    requests,
    text,
    write,
)

from trio_messenger import (
    LWW_KV,
)
from trio_messenger.sim._services import SERVICES, SimulatedService

pytestmark = pytest.mark.slow


class Scripted(Random):
    """A source of chance that knows its draws beforehand, as letters: a or b for the first or the second replica."""

    def __init__(self, draws: str) -> None:
        super().__init__(0)
        self._draws = iter(draws)

    def random(self) -> float:
        return {"a": 0.0, "b": 0.5}[next(self._draws)]


def scripted(*draws: str) -> SimulatedService:
    """Return a merging lww-kv that draws these: source, destination and server, for each request."""
    return MAKERS[MERGING](Scripted("".join(draws)))


def test_replicas_never_merge() -> None:
    """As in Maelstrom, each replica keeps its own entries and clock, whatever is drawn for a merge."""
    service = SERVICES[LWW_KV](Scripted("".join(["aaa", "abb", "baa", "abb", "abb", "baa", "aba"])))
    write(service, "n1", "x", 1)
    assert read(service, "n1", "x") == "none"
    assert read(service, "n1", "x") == 1
    assert cas(service, "n1", "x", 1, 2) == 20
    write(service, "n1", "x", 3)
    assert cas(service, "n1", "x", 1, 2) == 0  # it was never told of the 3
    assert read(service, "n1", "x") == 2


@pytest.mark.parametrize("number", [1, 6, 12])
def test_half_of_all_reads_miss_a_key_forever(number: int) -> None:
    """After one write each read finds the key or not, as if a coin were thrown, however much later it comes."""

    def run(service: SimulatedService) -> Any:
        write(service, "n1", "x", 1)
        return [read(service, "n1", "x") for _ in range(number)][-1]

    counts = Counter(run(make(LWW_KV, seed)) for seed in range(500))
    assert set(counts) == {1, "none"}
    assert 200 < counts["none"] < 300


def test_both_variants_draw_the_same() -> None:
    """Whether or not replicas merge, a request is served by the same one of them."""
    served = []
    for name in (LWW_KV, MERGING):
        random = Random(3)
        service = MAKERS[name](random)
        for n in range(10):
            write(service, "n1", "x", n)
        served.append(random.getstate())
    assert served[0] == served[1]


def test_lww_kv_merges_and_serves_as_drawn() -> None:
    """The first drawn replica is merged into the second, and nothing is merged the other way; the third serves."""
    service = scripted("aaa", "aab", "baa", "abb", "aba")
    write(service, "n1", "x", 1)
    assert read(service, "n1", "x") == "none"
    assert read(service, "n1", "x") == 1  # b, merged into a, brings nothing
    assert read(service, "n1", "x") == 1  # now b has it
    assert read(service, "n1", "x") == 1


@pytest.mark.parametrize("merges", [["ab"], ["ba"], ["ab", "ba"], ["ba", "ab"]])
@pytest.mark.parametrize("first", ["a", "b"])
def test_a_tie_does_not_depend_on_the_direction_of_the_merge(merges: list[str], first: str) -> None:
    """Of two writes with the same stamp that of the second replica survives, whichever came first or is merged."""
    other = {"a": "b", "b": "a"}[first]
    # Both have written once, so both stamps are 0; then come the merges, and each replica is told of the other.
    service = scripted("aa" + first, "aa" + other, *(merge + "a" for merge in merges), "aba", "baa", "aaa", "aab")
    write(service, "n1", "x", first)
    write(service, "n1", "x", other)
    for _ in range(len(merges) + 2):
        read(service, "n1", "x")
    assert [read(service, "n1", "x"), read(service, "n1", "x")] == ["b", "b"]


def test_the_tie_is_broken_by_the_writer_and_not_by_the_value() -> None:
    """Neither the greater nor the smaller value has an advantage."""
    for mine, theirs in [(1, 2), (2, 1)]:
        service = scripted("aaa", "aab", "baa")
        write(service, "n1", "x", theirs)
        write(service, "n1", "x", mine)
        assert read(service, "n1", "x") == mine


def test_a_merge_moves_the_clock() -> None:
    """A replica that has heard of a stamp gives a later one, so that its next write wins over all it knew."""
    # The second writes four times, and is merged into the first, which then writes: later, though it wrote but once.
    service = scripted("aab", "aab", "aab", "aab", "baa", "aaa", "aba", "bab")
    for n in range(4):
        write(service, "n1", f"key {n}", n)
    write(service, "n1", "key 3", "later")
    assert [read(service, "n1", "key 3") for _ in range(3)] == ["later"] * 3


def test_the_later_stamp_wins() -> None:
    """Of two writes that did not know of each other that of the replica with more writes survives, first or not."""
    service = scripted("bbb", "bbb", "aaa", "aba", "aab", "baa")
    write(service, "n1", "x", "of 0")
    write(service, "n1", "x", "of 1")
    write(service, "n1", "x", "of 0, acknowledged last")
    assert read(service, "n1", "x") == "of 0, acknowledged last"
    assert read(service, "n1", "x") == "of 1"
    assert read(service, "n1", "x") == "of 1"


def settled(service: SimulatedService, key: Any) -> Any:
    """Return what is read of *key* after many reads, when all further ones agree."""
    for _ in range(60):
        read(service, "n9", key)
    [value] = {text(read(service, "n9", key)) for _ in range(20)}
    return json.loads(value)


def test_replicas_converge() -> None:
    """After any requests, once nobody writes any more all reads of a key come to agree, over 500 seeds."""
    for seed in range(500):
        service = make(MERGING, seed)
        for src, body in itertools.islice(requests(Random(f"converge {seed}"), ["x", "y"], [0, 1, 2, 3]), 30):
            asked(service, src, body)
        settled(service, "x")
        settled(service, "y")


def test_a_merge_looks_at_what_is_new_only() -> None:
    """What the replicas have told each other costs nothing any more, however many keys there are."""

    def calls(keys: int) -> int:
        service = scripted(*["aaa"] * keys, "aba", "baa", "aba", "baa")
        for n in range(keys):
            write(service, "n1", n, n)
        read(service, "n1", 0)
        events: list[str] = []
        sys.setprofile(lambda _frame, event, _arg: events.append(event))
        try:
            for _ in range(3):
                service.handle("n1", {"type": "read", "key": 0})
        finally:
            sys.setprofile(None)
        return len(events)

    assert calls(1000) == calls(1) > 0


def outcomes(run: Callable[[SimulatedService], Any]) -> Counter[Any]:
    return Counter(run(make(MERGING, seed)) for seed in range(500))


def test_acknowledged_writes_can_vanish() -> None:
    """Of two writes, one after the other, the later can lose; with seed 1 it does."""

    def run(service: SimulatedService) -> Any:
        write(service, "n1", "x", "earlier")
        write(service, "n1", "x", "later")
        return settled(service, "x")

    counts = outcomes(run)
    assert set(counts) == {"earlier", "later"}
    assert 55 < counts["earlier"] < 135  # 3 of 16: the second replica, the first one, and no merge in between
    assert run(make(MERGING, 1)) == "earlier"


def test_a_written_key_may_not_be_there() -> None:
    """A read right after an acknowledged write can find no key; it is the same node that asks."""

    def run(service: SimulatedService) -> Any:
        write(service, "n1", "x", 1)
        return read(service, "n1", "x")

    counts = outcomes(run)
    assert set(counts) == {1, "none"}
    assert 140 < counts["none"] < 235  # 3 of 8: the other replica serves, and was not told just before


def test_a_compare_and_set_can_succeed_twice() -> None:
    """Both of two nodes may take the same step, of which a lock or a counter would know nothing."""

    def run(service: SimulatedService) -> Any:
        write(service, "n1", "x", 0)
        settled(service, "x")
        return cas(service, "n1", "x", 0, 1), cas(service, "n2", "x", 0, 2)

    counts = outcomes(run)
    assert set(counts) == {(0, 0), (0, 22)}
    assert 140 < counts[0, 0] < 235


def test_lww_kv_does_not_create() -> None:
    """It does not know create_if_not_exists: a key that is not there is error 20, and stays away."""
    service = make(MERGING)
    for _ in range(20):
        assert cas(service, "n1", "x", None, 1, create_if_not_exists=True) == 20
    assert settled(service, "x") == "none"
