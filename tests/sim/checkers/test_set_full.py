"""The checker of broadcast and g-set: what it calls stable, lost, stale, duplicated and unexpected."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from random import Random
from typing import Any

import attrs
import pytest
from support.histories import (
    MS,
    add,
    audits,
    begin,
    checked,
    checking,
    fail,
    history,
    info,
    ok,
    pairs,
    random_history,
    read,
    same,
    system_history,
)

from trio_messenger.sim._checkers import Results
from trio_messenger.sim._checkers.set_full import set_full
from trio_messenger.sim._records.history import History, Op

NOTHING: Results = {
    "valid?": "unknown",
    "attempt-count": 0,
    "stable-count": 0,
    "lost-count": 0,
    "lost": [],
    "never-read-count": 0,
    "never-read": [],
    "stale-count": 0,
    "stale": [],
    "worst-stale": [],
    "duplicated-count": 0,
    "duplicated": [],
    "unexpected-count": 0,
    "unexpected": [],
}
"""What there is to say of an empty history."""


def no_latency(of: str) -> dict[str, dict[str, int]]:
    """Return quantiles that are all zero."""
    return {f"{of}-latencies": {"0": 0, "0.5": 0, "0.95": 0, "0.99": 0, "1": 0}}


check = checking(set_full)


# By hand: one anomaly each


def test_nothing_happened() -> None:
    """Of an empty history nothing is known, and no latency is told."""
    assert check() == NOTHING


def test_an_element_that_every_read_sees_is_stable() -> None:
    """An element that is added and then read is stable, at once."""
    assert check(add(0, 7), read(1, [7])) == {
        **NOTHING,
        "valid?": True,
        "attempt-count": 1,
        "stable-count": 1,
        **no_latency("stable"),
    }


def test_an_element_that_a_later_read_does_not_see_is_lost() -> None:
    """An acknowledged element that a read after that does not see, nor any later one, is lost."""
    assert check(add(0, 7), read(1, [])) == {
        **NOTHING,
        "valid?": False,
        "attempt-count": 1,
        "lost-count": 1,
        "lost": [7],
        **no_latency("lost"),
        "worst-lost": [
            {
                "element": 7,
                "outcome": "lost",
                "lost-latency": 0,
                "known": {"index": 1, "time": MS, "process": 0, "type": "ok", "f": "add"},
                "last-absent": {"index": 2, "time": 2 * MS, "process": 1, "type": "invoke", "f": "read"},
                "missing-from": [],
            }
        ],
    }


def test_an_element_that_vanishes_is_lost() -> None:
    """Lost is lost, seen or not; the latency ends with the last read that saw it, in whole milliseconds."""
    results = check(
        *(begin(0, "add", 7, at=0), ok(0, at=1)),
        *(begin(1, "read", at=2), ok(1, [7], at=3)),
        *(begin(1, "read", at=8.9), ok(1, [7], at=9)),
        *(begin(1, "read", at=20), ok(1, [], at=21)),
    )
    assert (results["valid?"], results["lost"]) == (False, [7])
    assert results["lost-latencies"] == {"0": 7, "0.5": 7, "0.95": 7, "0.99": 7, "1": 7}
    [told] = results["worst-lost"]
    assert (told["lost-latency"], told["last-present"]["index"], told["last-absent"]["index"]) == (7, 4, 6)


def test_an_element_seen_once_is_known_though_its_add_had_no_reply() -> None:
    """A read that sees an element is as good as an acknowledgement: after that, it may be lost."""
    results = check(begin(0, "add", 7), info(0), read(1, [7]), read(1, []))
    assert (results["valid?"], results["lost"]) == (False, [7])


def test_an_element_that_is_not_known_cannot_be_lost() -> None:
    """An element whose add had no reply, and that nobody saw, is never-read: it need not exist."""
    results = check(begin(0, "add", 7), read(1, []), info(0), read(1, []))
    assert results == {**NOTHING, "attempt-count": 1, "never-read-count": 1, "never-read": [7]}


def test_an_element_whose_add_failed_cannot_be_lost() -> None:
    """Nor need an element whose add was refused."""
    results = check(begin(0, "add", 7), fail(0), read(1, []))
    assert results == {**NOTHING, "attempt-count": 1, "never-read-count": 1, "never-read": [7]}


def test_an_add_that_never_ends_is_an_attempt() -> None:
    """An add without an end counts as one whose outcome is unknown."""
    assert check(begin(0, "add", 7)) == {**NOTHING, "attempt-count": 1, "never-read-count": 1, "never-read": [7]}


def test_a_read_at_the_same_time_as_the_add_may_miss_it() -> None:
    """A read that began before the add was acknowledged may not see it: nothing is known then."""
    results = check(begin(1, "read"), begin(0, "add", 7), ok(0), ok(1, []))
    assert (results["valid?"], results["never-read"]) == ("unknown", [7])


def test_a_read_that_begins_after_the_acknowledgement_must_see_it() -> None:
    """The same read begun a moment later has lost it: it is the order that counts, not the clock."""
    results = check(begin(0, "add", 7, at=5), ok(0, at=5), begin(1, "read", at=5), ok(1, [], at=5))
    assert (results["valid?"], results["lost"]) == (False, [7])


def test_reads_before_the_add_do_not_count() -> None:
    """A read that was over before the add began makes the element neither stale nor lost."""
    assert check(read(1, []), add(0, 7), read(1, [7]))["stale"] == []
    assert check(read(1, []), add(0, 7))["never-read"] == [7]


def test_a_read_that_fails_shows_nothing() -> None:
    """Only reads that are ok are looked at."""
    results = check(add(0, 7), begin(1, "read"), fail(1), begin(1, "read"), info(1), begin(2, "read"))
    assert (results["valid?"], results["never-read"]) == ("unknown", [7])


def test_the_last_read_is_the_one_that_began_last() -> None:
    """Of two reads at the same time, the one that began later decides, whichever ends first."""
    late_one_sees_it = check(add(0, 7), begin(1, "read"), begin(2, "read"), ok(2, [7]), ok(1, []))
    assert (late_one_sees_it["valid?"], late_one_sees_it["stable-count"]) == (True, 1)
    late_one_misses_it = check(add(0, 7), begin(1, "read"), begin(2, "read"), ok(2, []), ok(1, [7]))
    assert (late_one_misses_it["valid?"], late_one_misses_it["lost"]) == (False, [7])


def test_an_element_that_is_seen_late_is_stale_and_valid() -> None:
    """A read that misses a known element makes it stale if a later read sees it; how stale, is told with both ends."""
    results = check(
        *(begin(0, "add", 7, at=0), ok(0, at=10)),
        *(begin(1, "read", at=12.5), ok(1, [], at=13)),
        *(begin(2, "read", at=20), ok(2, [7], at=21)),
    )
    assert results == {
        **NOTHING,
        "valid?": True,
        "attempt-count": 1,
        "stable-count": 1,
        "stale-count": 1,
        "stale": [7],
        "stable-latencies": {"0": 2, "0.5": 2, "0.95": 2, "0.99": 2, "1": 2},
        "worst-stale": [
            {
                "element": 7,
                "outcome": "stable",
                "stable-latency": 2,
                "known": {"index": 1, "time": 10 * MS, "process": 0, "type": "ok", "f": "add"},
                "last-absent": {"index": 2, "time": 12_500_000, "process": 1, "type": "invoke", "f": "read"},
            }
        ],
    }


@pytest.mark.parametrize(("nanoseconds", "stale"), [(MS - 2, []), (MS - 1, [7])])
def test_less_than_a_millisecond_is_not_stale(nanoseconds: int, stale: list[int]) -> None:
    """Latencies reach to one nanosecond after the last read that missed the element, and are cut to milliseconds."""
    results = check(
        *(begin(0, "add", 7, at=0), ok(0, at=10)),
        *(begin(1, "read", at=10 + nanoseconds / MS), ok(1, [], at=13)),
        *(begin(1, "read", at=20), ok(1, [7], at=21)),
    )
    assert results["stale"] == stale


def test_the_eight_stalest_are_described() -> None:
    """The greatest latencies come first, equal ones in the order of their adds; no more than eight are told."""
    adds = [event for n in range(12) for event in (begin(0, "add", n, at=n // 2), ok(0, at=n // 2))]
    missed = (begin(1, "read", at=100), ok(1, [], at=100))
    results = check(*adds, missed, read(1, list(range(12))))
    assert [each["element"] for each in results["worst-stale"]] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert [each["stable-latency"] for each in results["worst-stale"]] == [100, 100, 99, 99, 98, 98, 97, 97]
    assert results["stale"] == list(range(12))
    assert results["stable-latencies"] == {"0": 95, "0.5": 98, "0.95": 100, "0.99": 100, "1": 100}


def test_what_the_last_read_of_one_node_lacks_is_lost() -> None:
    """That others, read at the same time and begun later, have the element does not help; who lacks it is told."""
    results = check(add(0, 7), add(0, 8), audits(n1=[7, 8], n2=[8], n3=[7, 8]))
    assert (results["valid?"], results["stable-count"], results["lost"]) == (False, 1, [7])
    assert results["missing"] == {"n2": [7]}
    assert [(each["element"], each["missing-from"]) for each in results["worst-lost"]] == [(7, ["n2"])]
    assert "late" not in results


def test_what_only_an_earlier_final_read_of_a_node_lacks_is_stale() -> None:
    """The second round decides; the first one is told, as an element that came late."""
    results = check(add(0, 7), audits(n1=[7], n2=[]), audits(n1=[7], n2=[7]))
    assert (results["valid?"], results["lost"], results["stale"]) == (True, [], [7])
    assert results["late"] == {"n2": [7]}
    assert "missing" not in results


def test_what_any_node_knew_in_the_first_round_all_must_know_in_the_second() -> None:
    """An element whose add had no reply need not exist; but if the first round shows it, it does."""
    unknown = (begin(0, "add", 7), info(0), add(3, 8))
    assert check(*unknown, audits(n1=[7, 8], n2=[8]))["valid?"] is True
    results = check(*unknown, audits(n1=[7, 8], n2=[8]), audits(n1=[7, 8], n2=[8]))
    assert (results["valid?"], results["missing"]) == (False, {"n2": [7]})


def test_only_final_reads_that_are_ok_say_what_a_node_lacks_in_the_end() -> None:
    """An earlier read may miss what spreads later, and one that failed shows nothing; that before it decides then."""
    early = (begin(1, "read", node="n2"), ok(1, []))
    failed = (begin(9, "read", final=True, node="n2"), info(9))
    assert check(add(0, 7), early, audits(n1=[7]), failed)["valid?"] is True
    assert check(add(0, 7), audits(n1=[7], n2=[]), failed)["missing"] == {"n2": [7]}


def test_the_first_eight_lost_elements_are_described() -> None:
    """Of many lost elements eight are described, in the order of their adds; all are in the lists."""
    results = check(*(add(0, n) for n in range(12)), audits(n1=[], n2=[]))
    assert [each["element"] for each in results["worst-lost"]] == list(range(8))
    assert results["missing"] == {"n1": list(range(12)), "n2": list(range(12))}


def test_an_element_twice_in_one_read_is_invalid() -> None:
    """A duplicate is told with the greatest number of times it is in one read, and makes the history invalid."""
    results = check(
        *(add(0, 8), add(0, 7), add(0, 9)),
        *(read(1, [7, 8, 9, 7]), read(2, [7, 8, 7, 9, 8, 7]), read(1, [9, 8, 7, 7]), read(1, [7, 8, 9])),
    )
    assert results == {
        **NOTHING,
        "valid?": False,
        "attempt-count": 3,
        "stable-count": 3,
        **no_latency("stable"),
        "duplicated-count": 2,
        "duplicated": [[7, 3], [8, 2]],
    }


def test_an_element_in_many_reads_is_no_duplicate() -> None:
    """It takes one read that has it twice."""
    assert check(add(0, 7), read(1, [7]), read(1, [7]))["duplicated"] == []


def test_an_element_that_nobody_added_is_invalid() -> None:
    """What comes from nowhere is unexpected, each such element told once, and makes the history invalid."""
    results = check(add(0, 7), read(1, [9, 7, 8]), read(1, [7, 9]))
    assert results == {
        **NOTHING,
        "valid?": False,
        "attempt-count": 1,
        "stable-count": 1,
        **no_latency("stable"),
        "unexpected-count": 2,
        "unexpected": [8, 9],
    }


def test_an_element_read_before_it_is_added_is_unexpected() -> None:
    """A read that ended before the add began cannot know the element, nor does it make it known."""
    results = check(read(1, [7]), begin(0, "add", 7), info(0), read(1, []))
    assert results == {
        **NOTHING,
        "valid?": False,
        "attempt-count": 1,
        "never-read-count": 1,
        "never-read": [7],
        "unexpected-count": 1,
        "unexpected": [7],
    }


def test_a_read_before_the_add_does_not_make_an_element_stable() -> None:
    """A read that had the element too early is no proof against one that missed it while it was added."""
    results = check(begin(1, "read"), read(2, [7]), add(0, 7), ok(1, []))
    assert (results["valid?"], results["stable-count"], results["never-read"]) == (False, 0, [7])


def test_an_element_read_while_it_is_added_is_expected() -> None:
    """From the moment the add begins, a read may see the element, and it is known from that read's end."""
    assert check(begin(1, "read"), begin(0, "add", 7), ok(1, [7]))["valid?"] is True
    assert check(begin(1, "read"), begin(0, "add", 7), ok(1, [7]), read(1, []))["lost"] == [7]


def test_an_element_whose_add_failed_may_be_seen() -> None:
    """A refusal that came in vain, a copy of the request having been granted, is no element from nowhere."""
    results = check(begin(0, "add", 7), fail(0), read(1, [7]))
    assert (results["valid?"], results["unexpected"], results["stable-count"]) == (True, [], 1)


def test_an_element_added_twice_is_one() -> None:
    """Of several adds of an element the first that begins, and the first that is ok, count."""
    results = check(add(0, 7), add(0, 7), read(1, [7]))
    assert (results["valid?"], results["attempt-count"], results["stable-count"]) == (True, 1, 1)
    results = check(
        *(begin(0, "add", 7), info(0), begin(1, "add", 7), begin(2, "read"), ok(2, []), ok(1)),
        *(begin(2, "read"), begin(3, "add", 7), ok(2, []), ok(3)),
    )
    assert results["lost"] == [7]


def test_elements_are_compared_as_json() -> None:
    """Numbers, texts, truths, lists and objects are told apart, and what cannot be in a Python set does no harm."""
    elements: list[Any] = [1, "1", True, 1.0, None, [1], {"a": 1, "b": [2]}]
    results = check(*(add(0, element) for element in elements), read(1, [*elements[1:], False, [True], {}, "x"]))
    assert results["valid?"] is False
    assert (results["lost"], results["stable-count"]) == ([1], 6)
    assert same(results["unexpected"], ["x", [True], False, {}])
    assert check(add(0, {"a": 1, "b": 2}), read(1, [{"b": 2, "a": 1}]))["valid?"] is True


def test_duplicates_of_any_json_value_are_found() -> None:
    """A list twice in one read is a duplicate; true beside 1 is none."""
    results = check(add(0, [1]), add(0, 1), add(0, True), read(1, [[1], 1, [1], True]))
    assert (results["valid?"], results["duplicated"]) == (False, [[[1], 2]])


def test_lists_are_in_order() -> None:
    """Elements are told in the order of their size, others behind the numbers, whatever the order of the adds."""
    results = check(*(add(0, element) for element in (10, "b", 9, 2.5, "a", -1)), read(1, []))
    assert same(results["lost"], [-1, 2.5, 9, 10, "a", "b"])


def test_the_names_of_the_functions_are_given() -> None:
    """Broadcast's elements are added by ``broadcast``; operations with other names are left alone."""
    made = history(add(0, 7, f="broadcast"), add(0, 8, f="add"), read(1, [7]))
    results = checked(set_full(made, add="broadcast"))
    assert (results["valid?"], results["attempt-count"], results["stable-count"]) == (True, 1, 1)
    other = set_full(history(add(0, 7), begin(1, "list"), ok(1, [7])), read="list")
    assert (other["valid?"], other["stable-count"]) == (True, 1)


# Against the definition, spelt out for each element and each read


def by_definition(of: History) -> Results:
    """Judge a history by the text of the definition, in as many steps as it takes."""
    operations = list(pairs(of))
    adds = [(begun, end) for begun, end in operations if begun.f == "add"]
    reads = [(begun, end) for begun, end in operations if begun.f == "read" and end is not None and end.type == "ok"]
    found: dict[str, list[tuple[Any, int]]] = {"stable": [], "lost": [], "never-read": []}
    described = []
    known_at: dict[Any, int] = {}
    for n, (first, _) in enumerate(adds):
        if any(same(first.value, earlier.value) for earlier, _ in adds[:n]):
            continue
        acknowledged = [end for begun, end in adds if same(begun.value, first.value) and end and end.type == "ok"]
        later = [(begun, end) for begun, end in reads if end.index > first.index]
        with_it = [(begun, end) for begun, end in later if any(same(each, first.value) for each in end.value)]
        without = [(begun, end) for begun, end in later if not any(same(each, first.value) for each in end.value)]
        known = min(acknowledged + [end for _, end in with_it], key=lambda op: op.index, default=None)
        present = max((begun for begun, _ in with_it), key=lambda op: op.index, default=None)
        absent = max((begun for begun, _ in without), key=lambda op: op.index, default=None)
        known_at |= {} if known is None else {first.value: known.index}
        outcome, last = "never-read", None
        if any(lacks(some[-1], first.value, known_at) for some in final_reads(reads).values()):
            outcome, last = "lost", present
        elif present is not None and (absent is None or present.index > absent.index):
            outcome, last = "stable", absent
        elif known is not None and absent is not None and absent.index > known.index:
            outcome, last = "lost", present
        latency = 0 if last is None or known is None else max(0, math.floor((last.time + 1 - known.time) / MS))
        found[outcome].append((first.value, latency))
        if outcome == "stable" and latency:
            described.append((latency, first.value, known and known.index, absent and absent.index))
    had = [[value for value in end.value if same(value, each)] for _, end in reads for each in end.value]
    duplicated = {each[0]: max(len(other) for other in had if other[0] == each[0]) for each in had if len(each) > 1}
    unexpected = {
        each
        for _, end in reads
        for each in end.value
        if not any(same(begun.value, each) and begun.index < end.index for begun, _ in adds)
    }
    stale = [(value, latency) for value, latency in found["stable"] if latency]
    wrong = found["lost"] or duplicated or unexpected
    lists = {"lost": found["lost"], "never-read": found["never-read"], "stale": stale}
    return {
        "valid?": False if wrong else True if found["stable"] else "unknown",
        "attempt-count": sum(map(len, found.values())),
        "stable-count": len(found["stable"]),
        **{f"{name}-count": len(values) for name, values in lists.items()},
        **{name: sorted(value for value, _ in values) for name, values in lists.items()},
        **{
            f"{name}-latencies": {
                f"{q:g}": nth(sorted(latency for _, latency in found[name]), q) for q in (0, 0.5, 0.95, 0.99, 1)
            }
            for name in ("stable", "lost")
            if found[name]
        },
        "worst-stale": [each[1:] for each in sorted(described, key=lambda each: -each[0])],
        "duplicated-count": len(duplicated),
        "duplicated": [[each, duplicated[each]] for each in sorted(duplicated)],
        "unexpected-count": len(unexpected),
        "unexpected": sorted(unexpected),
        **lacked(reads, known_at),
    }


def lacks(read: tuple[Op, Op], element: Any, known_at: dict[Any, int]) -> bool:
    """Tell whether *read* does not see *element*, which was known when it began."""
    return element in known_at and known_at[element] < read[0].index and element not in read[1].value


def final_reads(reads: list[tuple[Op, Op]]) -> dict[str, list[tuple[Op, Op]]]:
    """Return the final reads of each node, in the order in which they began."""
    nodes = {read[0].node for read in reads if read[0].final and read[0].node}
    begun = sorted(reads, key=lambda read: read[0].index)
    return {node: [read for read in begun if read[0].final and read[0].node == node] for node in nodes}


def lacked(reads: list[tuple[Op, Op]], known_at: dict[Any, int]) -> Results:
    """Return what the last final read of each node does not see, and what only an earlier one does not see."""
    missing, late = {}, {}
    for node, some in final_reads(reads).items():
        missing[node] = sorted(element for element in known_at if lacks(some[-1], element, known_at))
        ever = {element for element in known_at if any(lacks(read, element, known_at) for read in some)}
        late[node] = sorted(ever - set(missing[node]))
    found = {"missing": missing, "late": late}
    told = {name: {node: some for node, some in each.items() if some} for name, each in found.items()}
    return {name: each for name, each in told.items() if each}


def nth(ascending: list[int], q: float) -> int:
    """Return the quantile *q*: the value that so large a part of the others comes before."""
    return ascending[-1] if q == 1 else ascending[math.floor(q * len(ascending))]


def anything(random: Random) -> History:
    """Return a history in which anything may happen to few elements."""
    begun: list[int] = []

    def choose() -> tuple[str, Any]:
        if random.random() < 0.6:
            return "read", None
        begun.append(random.randrange(5))
        return "add", begun[-1]

    def answer(f: str, value: Any) -> Any:
        if f == "add":
            return value
        seen = sorted(set(begun)) if random.random() < 0.6 else [n for n in range(5) if random.random() < 0.5]
        return seen + random.choices(range(7), k=1 if random.random() < 0.1 else 0)

    return random_history(random, choose, answer, most=24, has_nodes=random.random() < 0.5)


@pytest.mark.slow
def test_small_histories_are_judged_by_the_definition() -> None:
    """On thousands of small random histories the results are those of the definition, to the last figure."""
    seen: Counter[str] = Counter()
    for seed in range(3000):
        made = anything(Random(seed))
        results = checked(set_full(made))
        worst = [
            (each["element"], each["known"]["index"], each["last-absent"]["index"]) for each in results["worst-stale"]
        ]
        first_lost = [each["element"] for each in results.pop("worst-lost", [])]
        assert sorted(first_lost) == results["lost"], f"seed {seed}"
        assert {**results, "worst-stale": worst} == by_definition(made), f"seed {seed}"
        seen.update(name for name, value in results.items() if value)
        seen[str(results["valid?"])] += 1
    lists = ("lost", "never-read", "stale", "duplicated", "unexpected", "missing")
    for what in ("True", "False", "unknown", "stable-count", *lists):
        assert seen[what] > 100, what
    assert seen["late"] > 40


def test_what_elements_are_does_not_matter() -> None:
    """The same history with lists for elements has the same results, but for the elements."""
    for seed in range(500):
        made = anything(Random(seed))
        dressed = History(
            attrs.evolve(op, value=[[each] for each in op.value] if isinstance(op.value, list) else [op.value])
            for op in made
        )
        plain, other = set_full(made), set_full(dressed)
        for name in ("lost", "never-read", "stale", "unexpected"):
            assert other[name] == [[each] for each in plain[name]]
        assert other["duplicated"] == [[[each], times] for each, times in plain["duplicated"]]
        assert other["valid?"] == plain["valid?"]


# Systems


class Elements:
    """A set, that may be wrong in one way."""

    def __init__(self, wrong: str = "") -> None:
        self.elements: list[int] = []
        self.wrong = wrong

    def apply(self, f: str, value: Any) -> Any:
        """Carry out an operation."""
        if f == "read":
            return [*self.elements, -1] if self.wrong == "invents" else list(self.elements)
        times = {"forgets": 0, "duplicates": 2}.get(self.wrong, 1) if value == -3 else 1
        self.elements += [value] * times
        return value


def calls(random: Random) -> list[tuple[str, Any]]:
    """Return operations as the workload has them."""
    numbers = itertools.count()
    return [("add", next(numbers)) if random.random() < 0.5 else ("read", None) for _ in range(30)]


@pytest.mark.slow
def test_a_correct_set_is_never_invalid() -> None:
    """A set that is right, behind a network that is not, loses nothing, and nothing of it is ever stale."""
    for seed in range(300):
        random = Random(seed)
        made = system_history(random, calls(random), ("read", None), Elements().apply)
        results = checked(set_full(made))
        assert results["valid?"] is (True if results["stable-count"] else "unknown"), f"seed {seed}"
        assert (results["lost"], results["stale"]) == ([], [])


@pytest.mark.parametrize(
    ("wrong", "name", "expected"),
    [("forgets", "lost", [-3]), ("duplicates", "duplicated", [[-3, 2]]), ("invents", "unexpected", [-1])],
)
def test_a_wrong_set_is_invalid(wrong: str, name: str, expected: Any) -> None:
    """A set that forgets an element, has one twice, or makes one up is invalid in every run, and the reason is told."""
    for seed in range(100):
        random = Random(seed)
        asked = [*calls(random), ("add", -3)]
        made = system_history(random, asked, ("read", None), Elements(wrong).apply, reliable=True)
        results = checked(set_full(made))
        assert (results["valid?"], results[name]) == (False, expected), f"seed {seed}"
