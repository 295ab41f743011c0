"""The chart of rates: what is in it, not how it looks."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import attrs
import pytest
from support.pictures import NASTY, Events, having, level, ops, panels, parse, texts, title

from trio_messenger.sim._records.history import History, OpType
from trio_messenger.sim.pictures import rate


def reads(start: int, stop: int, step: int, took: float = 0, f: str = "read") -> list[tuple[float, float, str, OpType]]:
    """Return operations that are ok, one every *step* milliseconds."""
    return [(at, took, f, "ok") for at in range(start, stop, step)]


def lines(panel: ET.Element) -> dict[str, ET.Element]:
    """Return the lines of a panel, by the outcome that each is about."""
    return {(each.get("class") or "").split()[1]: each for each in panel.iter() if "line " in (each.get("class") or "")}


def told(panel: ET.Element) -> list[str]:
    """Return what is said of each window."""
    return [title(each) for each in having(panel, "window")]


def test_each_function_has_a_panel_with_a_line_for_each_outcome() -> None:
    """There is none for an outcome that never came; the counts stand beside the name."""
    history = ops((0, 10, "read", "ok"), (100, 20, "add", "ok"), (200, 500, "read", "fail"), (300, 900, "read", "info"))
    root = parse(rate(history))
    assert {f: list(lines(panel)) for f, panel in panels(root).items()} == {
        "read": ["ok", "info", "fail"],
        "add": ["ok"],
    }
    assert "1 ok, 1 info, 1 fail" in texts(panels(root)["read"])
    assert "operations completed per second" in texts(root)
    assert told(panels(root)["add"]) == ["from 0.000 s until 1.200 s\n1 ok, 0.833/s"]


def test_rates_are_of_completions() -> None:
    """An operation counts when it ends, not when it begins; one without an end counts nowhere."""
    root = parse(rate(ops(*reads(0, 5000, 50, took=4000), (0, None, "read", "info"))))
    [panel] = panels(root).values()
    windows = told(panel)
    assert len(windows) == 4  # for a hundred operations, over nine seconds
    assert windows[0] == "from 0.000 s until 2.237 s\n0 ok, 0/s"
    assert windows[-1] == "from 6.712 s until 8.950 s\n45 ok, 20.1/s"
    assert "100 ok, 1 info" in texts(panel)
    assert list(lines(panel)) == ["ok"]


def test_lines_are_level_in_each_window_on_a_linear_scale() -> None:
    """Twice as many are twice as high, in every panel; nothing stands at the bottom."""
    history = ops(
        *reads(0, 5000, 100),
        *reads(5000, 10_000, 50),
        *reads(5000, 10_001, 100, f="add"),
    )
    root = parse(rate(history))
    read, add = panels(root).values()
    ticks = {each.text: float(each.get("y", "")) - 4 for each in having(read, "y")}
    assert list(ticks) == ["0/s", "10/s", "20/s"]
    heights = [ticks["0/s"] - y for y in level(lines(read)["ok"])]
    assert max(heights) == pytest.approx(2 * min(heights), rel=0.05)
    zero = max(float(each.get("y", "")) - 4 for each in having(add, "y"))
    in_add = [zero - y for y in level(lines(add)["ok"])]
    assert min(in_add) == pytest.approx(0, abs=0.1)
    assert max(in_add) == pytest.approx(min(heights), rel=0.1)


@pytest.mark.parametrize("count", [1, 0])
def test_few_operations_are_a_chart_as_well(count: int) -> None:
    """One, that took no time and began at once, or none."""
    root = parse(rate(ops(*reads(0, count, 1))))
    assert len(panels(root)) == count
    assert ("There were no operations." in texts(root)) == (count == 0)


def test_operations_without_an_end_alone_are_no_line() -> None:
    """They have a panel, whose scale has something to show all the same."""
    root = parse(rate(ops((0, None, "read", "info"))))
    [panel] = panels(root).values()
    assert lines(panel) == {}
    assert len(having(panel, "y")) > 1


def test_audits_are_left_out() -> None:
    """What the simulator reads beyond the workload is in no rate."""
    [*first, invoke, end] = ops((0, 100, "read", "ok"), (5000, 100, "read", "ok"))
    audited = History([*first, *(attrs.evolve(op, audit=True) for op in (invoke, end))])
    root = parse(rate(audited))
    assert told(root) == ["from 0.000 s until 0.100 s\n1 ok, 10/s"]


def test_faults_are_bands_behind_the_lines() -> None:
    """They are those of the chart of latencies: a band in every panel, a bar with its text above them all."""
    events = Events()
    events.note(2500, "begin", fault=0, text="kill n1")
    events.note(5000, "end", fault=0)
    root = parse(rate(ops((0, 10, "read", "ok"), (9_990, 10, "add", "ok")), events.journal))
    for panel in panels(root).values():
        [band] = having(panel, "band")
        assert float(band.get("width", "")) == pytest.approx((720 - 74 - 62) / 4, abs=0.5)
    [bar] = having(root, "fault")
    assert title(bar) == "kill n1\nfrom 2.500 s until 5.000 s"


def test_what_histories_say_is_text() -> None:
    """Functions of any characters leave the document well formed; so does the title."""
    picture = rate(ops((0, 10, NASTY, "fail"), error=NASTY), title=NASTY)
    root = parse(picture)
    assert list(root.iter("script")) == []
    assert rate(ops((0, 10, NASTY, "fail"), error=NASTY), title=NASTY) == picture
    assert re.search(r"class=\"line fail\"", picture)
