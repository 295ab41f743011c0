"""The picture of operations that no order explains: what is in it, not how it looks."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from random import Random

import attrs
import pytest
from support.histories import Events, begin, history, info, ok
from support.models import Queue
from support.pictures import NASTY, having, parse, texts, title
from support.registers import cas, read, write

from trio_messenger.sim import CasRegisters, History, Model, Op, Violation, linearizable
from trio_messenger.sim._checkers.lin_kv import lin_kv
from trio_messenger.sim._explanation.lin_kv import told
from trio_messenger.sim.pictures import linear
from trio_messenger.sim.pictures._lin_kv import pictures_of_lin_kv


def violation(*events: Events, model: Model | None = None) -> Violation:
    [found] = linearizable(history(*events), model or CasRegisters()).violations
    return found


def bars(root: ET.Element, kind: str) -> dict[str, tuple[float, float]]:
    """Return the bars of a kind: the left and the right end of each, by its text."""
    found = {}
    for each in having(root, "operation"):
        for bar in having(each, "bar", kind):
            left = float(bar.get("x", ""))
            found[each.findtext("text") or ""] = (left, left + float(bar.get("width", "")))
    return found


def test_bars_are_in_the_order_of_the_history() -> None:
    """Each has a text; those that had ended are told from those that had not, and from the one without explanation."""
    busy = [begin(1, "write", ["x", 2]), begin(2, "cas", ["x", [1, 3]]), begin(4, "write", ["x", 5]), info(4)]
    root = parse(linear(violation(write(0, 1), *busy, read(3, 9), ok(1, ["x", 2])), label=told))
    [before] = bars(root, "ok").values()
    [failure] = bars(root, "failure").values()
    open_ = bars(root, "open")
    assert (list(bars(root, "ok")), list(bars(root, "failure"))) == (["write 1"], ["read 9"])
    assert list(open_) == ["write 2", "cas 1 to 3", "write 5"]
    lefts = [before[0], *(left for left, _ in open_.values()), failure[0]]
    assert lefts == sorted(lefts)
    assert before[1] < open_["write 2"][0]
    assert all(right > failure[1] for _, right in open_.values())  # they go on after the failure


def test_the_point_of_failure_is_marked_with_what_was_possible() -> None:
    """A line at the end of the operation, and the states at its right."""
    root = parse(linear(violation(write(0, 1), begin(1, "write", ["x", 2]), read(3, 9)), title="the title"))
    [(_, right)] = bars(root, "failure").values()
    [point] = having(root, "point")
    assert float((point.get("d") or "M").split()[0][1:]) == pytest.approx(right, abs=0.2)
    assert len(having(root, "cross")) == 1
    assert [each.text for each in having(root, "possible")] == ["possible then:", "1", "2"]
    assert "the title" in texts(root)
    many = [begin(process, "write", ["x", process]) for process in range(12)]
    assert [each.text for each in having(parse(linear(violation(*many[:6], read(20, 99)))), "possible")][-1] == "absent"


def test_long_lists_of_states_are_cut() -> None:
    """The first ten are named."""
    found = attrs.evolve(violation(read(0, 99)), states=[f"{n}" for n in range(15)])
    named = [each.text for each in having(parse(linear(found)), "possible")]
    assert named[1:] == [*(f"{n}" for n in range(10)), "5 more"]


def test_dots_show_one_order() -> None:
    """Each operation of the order has a dot on its bar, and the dots are in this order."""
    made = violation(begin(0, "write", ["x", 1]), write(1, 2), read(2, 2), ok(0, ["x", 1]), read(2, 1), read(2, 2))
    root = parse(linear(made, label=told))
    dots = [float(each.get("cx", "")) for each in having(root, "effect")]
    [line] = having(root, "order")
    assert len(dots) == len(made.linearization) + 1  # and that of the legend
    order = [float(point.split()[0]) for point in (line.get("d") or "")[1:].split("L")]
    assert order == dots[1:] == sorted(dots[1:])


def test_a_row_is_a_process() -> None:
    """It is named, with its node if that is known."""
    root = parse(linear(violation(write(7, 1), begin(2, "read", ["x", None], node="n2"), ok(2, ["x", 9]))))
    assert [text for text in texts(root) if text.startswith("process")] == ["process 2, n2", "process 7"]


def test_what_an_operation_is_can_be_read_of_its_bar() -> None:
    """Whoever wants to know more points at it."""
    nasty: list[Events] = [
        begin(0, "write", ["x", NASTY], node="n1"),
        ok(0, ["x", NASTY]),
        begin(1, "write", ["x", 1]),
        read(2, 9),
    ]
    titles = [title(each) for each in having(parse(linear(violation(*nasty))), "operation")]
    assert titles[0].endswith("process 0, from 0.000000 s, until 0.001000 s: ok")
    assert titles[1:] == [
        "write 1\nprocess 1, from 0.002000 s, without an end",
        "read 9\nprocess 2, from 0.003000 s, until 0.004000 s: ok",
    ]


def test_any_object_has_a_picture() -> None:
    """By default a bar has the function and the value, without the key if the value has it."""
    wrong = [begin(0, "enqueue", "a"), ok(0, "a"), begin(1, "enqueue", "b"), ok(1, "b")]
    root = parse(linear(violation(*wrong, begin(0, "dequeue"), ok(0, "b"), model=Queue())))
    assert list(bars(root, "ok")) == ['enqueue "a"', 'enqueue "b"']
    assert list(bars(root, "failure")) == ['dequeue "b"']
    assert list(bars(parse(linear(violation(cas(0, [1], 2)))), "failure")) == ["cas [[1], 2]"]
    unkeyed = attrs.evolve(violation(read(0, 1)), key="y")
    assert list(bars(parse(linear(unkeyed)), "failure")) == ['read ["x", 1]']
    assert list(bars(parse(linear(violation(begin(0, "dequeue"), ok(0), model=Queue()))), "failure")) == ["dequeue"]


@pytest.mark.parametrize(("count", "shown"), [(6, 7), (2000, 17)])
def test_a_long_history_is_cut(count: int, shown: int) -> None:
    """The last operations are drawn, and the picture says how many it leaves out."""
    root = parse(linear(late_violation(count), label=told))
    assert len(having(root, "operation")) == shown
    assert (float(root.get("width", "")), float(root.get("height", ""))) < (1800, 1000)
    notes = [text for text in texts(root) if text.startswith("Left out")]
    assert notes == (
        [] if count == 6 else [f"Left out: {count + 1 - shown:,} earlier operations; the same order explains them."]
    )


def late_violation(count: int) -> Violation:
    """Return a violation after *count* reads and writes of four clients."""
    random = Random(1)
    made: list[Op] = []
    state, begun = None, dict.fromkeys(range(4), 0)
    for number in range(count + 1):
        process = random.randrange(4)
        f, value = ("write", random.randrange(5)) if number % 2 else ("read", state)
        state = value
        found = value if number < count else 99
        for type_, its in (("invoke", None if f == "read" else value), ("ok", found)):
            op = Op(index=len(made), time=len(made), type=type_, process=process, f=f, value=["x", its])  # type: ignore[arg-type]
            made.append(op)
        begun[process] += 1
    [found_violation] = linearizable(History(made), CasRegisters()).violations
    return found_violation


def test_a_wide_picture_is_cut_further() -> None:
    """Operations one after the other with long values need more room than there is."""
    values = [f"{number}{'a' * 20}" for number in range(20)]
    root = parse(linear(violation(*(write(0, value) for value in values), read(0, 9)), label=told))
    assert 8 <= len(having(root, "operation")) < 20
    assert float(root.get("width", "")) < 1900


def test_old_operations_without_an_end_are_left_out() -> None:
    """The last twelve are drawn."""
    lost = [(begin(process, "write", ["x", 1]), info(process)) for process in range(30)]
    root = parse(linear(violation(*lost, write(40, 1), read(40, 9)), label=told))
    assert "Left out: 18 older operations without a result." in texts(root)
    assert "process 12" not in texts(root)
    assert "process 29" in texts(root)


def test_each_of_the_first_keys_has_a_picture() -> None:
    """They are numbered from the second one on; a valid run has none."""
    made = history(*(read(0, 1, key=key) for key in range(5)))
    found = pictures_of_lin_kv(lin_kv(made), made)
    assert [each.name for each in found] == ["linear.svg", "linear-2.svg", "linear-3.svg"]
    assert found[1].title == "Key 1 is not linearizable"
    assert "Key 1" in texts(parse(found[1].svg))
    valid = history(read(0, None))
    assert pictures_of_lin_kv(lin_kv(valid), valid) == []
