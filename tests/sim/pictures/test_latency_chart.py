"""The chart of latencies: what is in it, not how it looks."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

import pytest
from support.pictures import NASTY, Events, having, level, ops, panels, parse, texts, title

from trio_messenger.sim.pictures import latency


def points(panel: ET.Element, outcome: str) -> list[ET.Element]:
    return [each for each in having(panel, outcome) if each.findall("title")]


def test_each_operation_is_a_point_in_the_panel_of_its_function() -> None:
    """Its class says how it ended, its tooltip what it was."""
    history = ops((0, 10, "read", "ok"), (100, 20, "add", "ok"), (200, 500, "read", "fail"), (300, 900, "read", "info"))
    root = parse(latency(history))
    assert list(panels(root)) == ["read", "add"]
    read, add = panels(root).values()
    assert [len(points(read, outcome)) for outcome in ("ok", "fail", "info")] == [1, 1, 1]
    assert [len(points(add, outcome)) for outcome in ("ok", "fail", "info")] == [1, 0, 0]
    assert "1 ok, 1 info, 1 fail" in texts(read)
    assert title(points(add, "ok")[0]) == "add null\nprocess 1, from 0.100000 s, 20 ms: ok"


def test_an_error_is_told() -> None:
    """The tooltip of an operation that did not end well says why; a value is cut."""
    history = ops((0, 10, "read", "fail"), value="x" * 999, error="error 11 <busy>")
    [point] = points(parse(latency(history)), "fail")
    assert title(point).endswith("10 ms: fail\nerror 11 <busy>")
    assert len(title(point)) < 300


def test_an_operation_without_an_end_lasts_as_long_as_the_run() -> None:
    """It is drawn as one of which nobody knows."""
    root = parse(latency(ops((0, None, "read", "info"), (500, 500, "read", "ok"))))
    [point] = points(root, "info")
    assert title(point) == "read null\nprocess 0, from 0.000000 s, 1 s: info\nno end"


def test_latencies_are_on_a_logarithmic_scale() -> None:
    """Ten times as long is equally far, everywhere and in every panel; nothing at all stands below the least."""
    took = [0, 1, 10, 100, 1000]
    root = parse(
        latency(ops(*((number, each, "read", "ok") for number, each in enumerate(took)), (9, 10, "add", "ok")))
    )
    read, add = panels(root).values()
    ys = [float(point.get("cy", "")) for point in points(read, "ok")]
    gaps = [before - after for before, after in itertools.pairwise(ys)]
    assert gaps[1:] == pytest.approx([gaps[1]] * 3, abs=0.2)
    assert 0 < gaps[0] < gaps[1]
    ticks = {each.text: float(each.get("y", "")) - 4 for each in having(read, "y")}
    assert list(ticks) == ["0 s", "1 ms", "10 ms", "100 ms", "1 s"]
    assert list(ticks.values()) == pytest.approx(ys, abs=0.1)
    [y] = [float(point.get("cy", "")) for point in points(add, "ok")]
    assert y - ys[2] == pytest.approx(150 + 34, abs=0.1)


def test_time_runs_from_left_to_right() -> None:
    """Points stand where their operations began; the axis has round numbers."""
    root = parse(latency(ops(*((at, 10, "read", "ok") for at in (0, 1000, 2000, 3990)))))
    xs = [float(point.get("cx", "")) for point in points(root, "ok")]
    ticks = {each.text: float(each.get("x", "")) for each in having(root, "x")}
    *times, origin = ticks
    assert times == ["0 s", "0.5 s", "1 s", "1.5 s", "2 s", "2.5 s", "3 s", "3.5 s", "4 s"]
    assert origin == "since the main phase began"
    assert xs[:3] == pytest.approx([ticks["0 s"], ticks["1 s"], ticks["2 s"]], abs=0.1)
    assert xs[3] < ticks["4 s"]


@pytest.mark.parametrize(("took", "count"), [([5.0], 1), ([0.0], 1), ([], 0)])
def test_few_operations_are_a_chart_as_well(took: list[float], count: int) -> None:
    """One, one that took no time, or none."""
    root = parse(latency(ops(*((0, each, "read", "ok") for each in took))))
    assert len(points(root, "ok")) == count
    assert ("There were no operations." in texts(root)) == (count == 0)


def test_an_operation_at_the_very_end_counts() -> None:
    """It is in the last window of time."""
    root = parse(latency(ops((0, 0, "read", "ok"), (1000, 0, "read", "ok"))))
    assert len(points(root, "ok")) == 2
    assert [each.text for each in having(root, "quantile")] == ["p50-max"]


def test_thousands_of_points_become_fewer_but_no_extreme_is_lost() -> None:
    """Points on one another are drawn as one, which says how many it stands for; the slowest and the lone one stay."""
    history = ops(
        *((number, 10 + number % 7, "read", "ok") for number in range(10_000)),
        (3_000, 9_000, "read", "ok"),
        (5_000, 0.01, "read", "fail"),
    )
    picture = latency(history)
    root = parse(picture)
    drawn_points = points(root, "ok")
    assert len(drawn_points) < 2_000
    more = [re.search(r"and ([0-9,]+) more here", title(point)) for point in drawn_points]
    assert len(drawn_points) + sum(int(found[1].replace(",", "")) for found in more if found) == 10_001
    assert any("9 s: ok" in title(point) for point in drawn_points)
    assert len(points(root, "fail")) == 1
    assert len(picture) < 1_000_000


def test_quantiles_are_lines_over_windows_of_time() -> None:
    """Each window has the quantiles of what was ok in it: where operations were slower, lines are higher."""
    fast = [(number, 10 if number % 10 else 20, "read", "ok") for number in range(0, 1000, 10)]
    slow = [(number, 1000, "read", "ok") for number in range(7000, 8000, 10)]
    failed = [(number, 5000, "read", "info") for number in range(0, 4000, 300)]
    root = parse(latency(ops(*fast, *slow, *failed)))  # type: ignore[arg-type]
    lines = [each for each in having(root, "line") if each.get("data-quantile")]
    assert [each.get("data-quantile") for each in lines] == ["0.5", "0.95", "0.99", "1"]
    ticks = {each.text: float(each.get("y", "")) - 4 for each in having(root, "y")}
    median, *_, greatest = map(level, lines)
    assert median[-1] == greatest[-1] == ticks["1 s"]
    assert max(median) > ticks["100 ms"]
    assert min(greatest) == ticks["1 s"]  # those that were not ok do not count
    assert (lines[0].get("d") or "").count("M") == 2  # there is a gap where there was nothing
    assert [each.text for each in having(root, "quantile")] == ["p50-max"]


def test_the_names_of_lines_that_are_apart_stand_apart() -> None:
    """Each is at the height of its line."""
    spread = [(number, 1000 if number > 90 else 10, "read", "ok") for number in range(100)]
    root = parse(latency(ops(*spread)))  # type: ignore[arg-type]
    assert [each.text for each in having(root, "quantile")] == ["p50", "p95-max"]


def test_where_nothing_was_ok_there_are_no_lines() -> None:
    """Nor names of lines."""
    root = parse(latency(ops((0, 10, "read", "info"))))
    assert having(root, "quantile") == []
    assert all(level(each) == [] for each in having(root, "line") if each.get("data-quantile"))


def test_faults_are_bands_behind_the_points() -> None:
    """Each lasts from its beginning to its end, in every panel, and has a bar with its text above them all."""
    history = ops((0, 10, "read", "ok"), (10_000, 10, "add", "ok"))
    events = Events()
    events.note(2500, "begin", fault=0, text="partition n1 -> n2")
    events.note(3000, "begin", fault=1, text="kill n1")
    events.note(3000, "kill", node="n1", fault=1)
    events.note(3001, "end", fault=1)
    events.note(5000, "end", fault=0)
    events.note(7500, "begin", fault=2, text="slow between all nodes factor=10 extra=0 and a long story")
    root = parse(latency(history, events.journal))
    ticks = {each.text: float(each.get("x", "")) for each in having(root, "x")}
    for panel in panels(root).values():
        bands = [(float(each.get("x", "")), float(each.get("width", ""))) for each in having(panel, "band")]
        x, width = bands[0]
        second = (ticks["10 s"] - ticks["0 s"]) / 10
        assert (x, width) == pytest.approx((ticks["0 s"] + 2.5 * second, 2.5 * second), abs=0.2)
        assert bands[1][1] == 2  # however short
        assert sum(bands[2]) == pytest.approx(ticks["10 s"], abs=1)
    bars = having(root, "fault")
    assert [bar.findtext("text") for bar in bars] == ["partition n1 -> n2", "slow", ""]
    assert title(bars[0]) == "partition n1 -> n2\nfrom 2.500 s until 5.000 s"
    assert title(bars[1]).endswith("from 7.500 s until the end")
    ys = [float(bar.find("rect").get("y", "")) for bar in bars]  # type: ignore[union-attr]
    assert ys[0] == ys[1] < ys[2]  # those at the same time stand below one another


def test_faults_that_are_very_many_take_four_rows() -> None:
    """They overlap in the last one, rather than push the chart away."""
    events = Events()
    for number in range(9):
        events.note(number, "begin", fault=number, text="loss")
    root = parse(latency(ops((0, 10, "read", "ok")), events.journal))
    ys = [float(bar.find("rect").get("y", "")) for bar in having(root, "fault")]  # type: ignore[union-attr]
    assert (len(ys), len(set(ys))) == (9, 4)


def test_what_histories_say_is_text() -> None:
    """Functions, values and errors of any characters leave the document well formed."""
    root = parse(latency(ops((0, 10, NASTY, "fail"), error=NASTY, value="<b>"), title=NASTY))
    assert list(root.iter("script")) == []
    [panel] = having(root, "panel")
    assert panel.get("data-f") == NASTY.translate({0: "\ufffd", 0x1B: "\ufffd"})
