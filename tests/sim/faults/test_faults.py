"""Faults as data: what they refuse, how they read, and that a file gives back what was saved."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import attrs
import pytest
from hypothesis import given

from trio_messenger.sim._faults.faults import (
    BETWEEN_NODES,
    KINDS,
    ClockSkew,
    Duplication,
    Fault,
    Kill,
    Loss,
    Partition,
    Pause,
    Reordering,
    SlowLinks,
    Storage,
    describe,
    fault_from_json,
    fault_to_json,
    when,
)
from trio_messenger.sim.strategies import fault_schedules

ONE_OF_EACH: list[Fault] = [
    Partition(at=1, until=2.5, links=[("n1", "n2"), ("all", "lin-kv")]),
    Loss(rate=0.3),
    Duplication(at=0.1, rate=1),
    Reordering(rate=0.5, seconds=2),
    SlowLinks(factor=3, extra=0.2),
    Kill(at=3, until=4, nodes=["n1", "n3"]),
    Pause(nodes=["n2"]),
    ClockSkew(nodes=["n1"], seconds=-1.5),
    Storage(nodes=["n1"], seconds=0.25, torn=1),
]


def test_there_is_one_of_each() -> None:
    """The table of kinds has each record under its own name, and these tests have one of each."""
    assert [fault.kind for fault in ONE_OF_EACH] == list(KINDS)
    assert [type(fault) for fault in ONE_OF_EACH] == list(KINDS.values())
    assert list(KINDS) == ["partition", "loss", "duplicate", "reorder", "slow", "kill", "pause", "clock", "storage"]


@pytest.mark.parametrize("fault", ONE_OF_EACH, ids=lambda fault: fault.kind)
def test_a_fault_comes_back_from_json(fault: Fault) -> None:
    """A fault that was saved as JSON text is the same after it was read, one without an end as well."""
    assert fault_from_json(json.loads(json.dumps(fault_to_json(fault), allow_nan=False))) == fault


@pytest.mark.slow
@given(fault_schedules(["n1", "n2", "n3"]))
def test_every_schedule_comes_back_from_json(faults: list[Fault]) -> None:
    """So does every schedule that Hypothesis can think of."""
    text = json.dumps([fault_to_json(fault) for fault in faults], allow_nan=False)
    assert [fault_from_json(value) for value in json.loads(text)] == faults


def test_the_form_of_the_file() -> None:
    """A fault is an object of its kind and its fields; one that lasts to the end has null for its end."""
    loss = {"kind": "loss", "at": 2, "until": None, "links": [["nodes", "nodes"]], "rate": 0.5}
    assert list(fault_to_json(Loss(at=2, rate=0.5)).items()) == list(loss.items())
    assert fault_to_json(Kill(until=3, nodes=["n1"])) == {"kind": "kill", "at": 0, "until": 3, "nodes": ["n1"]}


def test_what_a_file_leaves_out_is_as_in_python() -> None:
    """Fields with a default may be missing, in a file as in Python."""
    assert fault_from_json({"kind": "partition"}) == Partition(at=0, until=math.inf, links=BETWEEN_NODES)
    assert fault_from_json({"kind": "slow"}) == SlowLinks(factor=10, extra=0)
    assert fault_from_json({"kind": "reorder", "rate": 1}) == Reordering(rate=1, seconds=0.1)


def test_when_in_words() -> None:
    """Also of a fault that is never healed it is told until when."""
    assert when(Kill(nodes=["n1"], at=1.5, until=20)) == "from 1.5 s until 20 s"
    assert when(Kill(nodes=["n1"])) == "from 0 s until the end"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {},
            f"there is no fault of kind None; there are: {', '.join(KINDS)}",
        ),
        (
            {"kind": ["kill"]},
            f"there is no fault of kind ['kill']; there are: {', '.join(KINDS)}",
        ),
        ({"kind": "partition", "untill": 3}, "a fault of kind 'partition' has no 'untill'; it has: at, until, links"),
        ({"kind": "loss"}, "Object missing required field `rate`"),
        ({"kind": "loss", "rate": 2}, "rate is 2.0; give a probability from 0 to 1"),
        ({"kind": "loss", "rate": "much"}, "Expected `float`, got `str` - at `$.rate`"),
        ({"kind": "loss", "rate": 1, "at": None}, "Expected `float`, got `null` - at `$.at`"),
        ({"kind": "kill", "nodes": "n1"}, "Expected `array`, got `str` - at `$.nodes`"),
        ({"kind": "partition", "links": [["a", "b", "c"]]}, "Expected `array` of length 2, got 3 - at `$.links[0]`"),
    ],
)
def test_a_file_that_is_wrong_says_where(value: dict[str, Any], text: str) -> None:
    """What is no fault is a ValueError that names what is wrong; a misspelt field is not passed over."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        fault_from_json(value)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Pause(at=-1, nodes=[]), "at is -1; give a finite number of 0 or more"),
        (lambda: Pause(at=math.nan, nodes=[]), "at is nan; give a finite number of 0 or more"),
        (lambda: Pause(at=math.inf, nodes=[]), "at is inf; give a finite number of 0 or more"),
        (
            lambda: Pause(at=3, until=3, nodes=[]),
            "a pause from 3 s until 3 s has no duration; give a later end",
        ),
        (
            lambda: Partition(at=3, until=math.nan),
            "a partition from 3 s until nan s has no duration; give a later end",
        ),
        (lambda: Loss(rate=-0.1), "rate is -0.1; give a probability from 0 to 1"),
        (lambda: Duplication(rate=1.1), "rate is 1.1; give a probability from 0 to 1"),
        (lambda: Reordering(rate=math.nan), "rate is nan; give a probability from 0 to 1"),
        (lambda: Reordering(rate=1, seconds=-1), "seconds is -1; give a finite number of 0 or more"),
        (lambda: SlowLinks(factor=-1), "factor is -1; give a finite number of 0 or more"),
        (lambda: SlowLinks(extra=math.inf), "extra is inf; give a finite number of 0 or more"),
        (lambda: ClockSkew(nodes=["n1"], seconds=math.inf), "seconds is inf; give a finite number"),
        (lambda: Storage(nodes=["n1"], seconds=-1), "seconds is -1; give a finite number of 0 or more"),
        (lambda: Storage(nodes=["n1"], torn=2), "torn is 2; give a probability from 0 to 1"),
        (lambda: Kill(nodes="n1"), "nodes is 'n1'; give a list of ids"),
        (lambda: Kill(nodes=["n1", "n2", "n1"]), "a kill names 'n1' twice; name each node once"),
        (
            lambda: Pause(nodes=["nodes"]),
            "a pause names the group 'nodes'; groups are for links: name each node",
        ),
        (lambda: Partition(links=("n1", "n2")), "a link is 'n1'; give pairs of a sender and a receiver"),
        (
            lambda: Partition(links=[("n1", "n2", "n3")]),
            "a link is ('n1', 'n2', 'n3'); give pairs of a sender and a receiver",
        ),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(make: Any, text: str) -> None:
    """What makes no sense is a ValueError where it is made; the text names the value, and what would do."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        make()


def test_the_bounds_are_allowed() -> None:
    """Probabilities of 0 and 1, no delay, no effect, and no nodes are all right."""
    assert Loss(rate=0).rate == 0
    assert Duplication(rate=1).rate == 1
    assert Reordering(rate=1, seconds=0).seconds == 0
    assert SlowLinks(factor=0, extra=0).factor == 0
    assert Kill(nodes=[]).nodes == ()
    assert Partition(links=[]).links == ()


def test_links_are_pairs_each_once() -> None:
    """Links may be given as lists; one that is named twice is there once."""
    assert Partition(links=[["n1", "n2"], ("n2", "n1"), ["n1", "n2"]]).links == (("n1", "n2"), ("n2", "n1"))


def test_faults_are_values() -> None:
    """Equal faults are interchangeable, as keys as well, and cannot be changed."""
    other: Fault = Duplication(rate=0.5)
    assert Loss(rate=0.5) == Loss(rate=0.5) != other
    assert {Loss(rate=0.5): 1}[Loss(rate=0.5)] == 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ONE_OF_EACH[0].at = 3  # type: ignore[misc]


def test_a_partition_between_groups() -> None:
    """It cuts each link between nodes of different groups, both ways, and none within a group."""
    partition = Partition.between(["n1"], ["n2", "n3"], ["n4"], at=1, until=2)
    assert (partition.at, partition.until) == (1, 2)
    cut = set(partition.links)
    assert len(cut) == len(partition.links) == 10
    together = {("n2", "n3"), ("n3", "n2")}
    nodes = ["n1", "n2", "n3", "n4"]
    assert cut == {(one, other) for one in nodes for other in nodes if one != other} - together


def test_a_partition_of_one_group_cuts_nothing() -> None:
    """Without a second side there is nothing to cut."""
    assert Partition.between(["n1", "n2"]).links == ()
    assert Partition.between(["n1", "n2"], []).links == ()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Partition(), "partition between all nodes"),
        (Partition.between(["n1"], ["n2", "n3"]), "partition n1 -> n2,n3; n2,n3 -> n1"),
        (Partition(links=[("nodes", "lin-kv"), ("clients", "n1")]), "partition nodes -> lin-kv; clients -> n1"),
        (Partition(links=[]), "partition nowhere"),
        (Loss(rate=0.25), "loss between all nodes rate=0.25"),
        (Reordering(rate=1, links=[("n1", "n2")]), "reorder n1 -> n2 rate=1 seconds=0.1"),
        (SlowLinks(), "slow between all nodes factor=10 extra=0"),
        (Kill(at=3, until=4, nodes=["n1", "n3"]), "kill n1, n3"),
        (ClockSkew(nodes=["n1"], seconds=-1.5), "clock n1 seconds=-1.5"),
        (Storage(nodes=["n1"]), "storage n1 seconds=0.1 torn=0.5"),
    ],
)
def test_a_description_is_one_line(fault: Fault, text: str) -> None:
    """A fault is described by its kind, where it is, and its figures; links to the same receivers are put together."""
    assert describe(fault) == text
