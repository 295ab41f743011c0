"""The space-time diagram of a run: faults."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

from support.pictures import Events, ends, having, messages, title
from support.space_time import busy, drawn, lifeline


def rows(root: ET.Element) -> dict[str | None, float]:
    """Return the y of what was sent at each time."""
    return {message.get("data-at"): ends(message)[1] for message in messages(root)}


def test_a_fault_of_links_is_a_band_from_its_beginning_to_its_end() -> None:
    """It spans what happened meanwhile, has its text, and lasts to the end if nothing ended it."""
    root = drawn(busy())
    partition, loss = having(root, "band")
    at = rows(root)
    [rect], [text] = partition.findall("rect"), partition.findall("text")
    top = float(rect.get("y", ""))
    assert at["0.001"] < top < top + float(rect.get("height", "")) < at["0.031"]
    assert [partition.get("data-fault"), loss.get("data-fault")] == ["0", "3"]
    assert (partition.get("data-begin"), partition.get("data-end")) == ("0.010", "0.020")
    assert text.text == "partition n1 -> n2; n2 -> n1"
    assert title(partition) == "partition n1 -> n2; n2 -> n1\nfrom 0.010 s until 0.020 s"
    assert top < float(text.get("y", "")) < at["0.011"]
    [rect] = loss.findall("rect")
    assert at["0.051"] < float(rect.get("y", "")) < at["0.071"]
    assert float(rect.get("y", "")) + float(rect.get("height", "")) == lifeline(root, "n1")[-1][2]
    assert (loss.get("data-begin"), loss.get("data-end")) == ("0.070", None)
    assert title(loss).endswith("until the end")


def test_a_fault_that_began_before_the_window_is_a_band_from_the_top() -> None:
    """Its text stands below the names, one below the other where there are several."""
    events = Events()
    events.note(0, "begin", fault=0, text="slow")
    events.note(1, "begin", fault=1)
    events.note(2, "begin", fault=2, text="gone")
    events.note(3, "end", fault=2)
    events.pass_(100, 101, "n1", "n2")
    events.note(200, "end", fault=0)
    root = drawn(events, since=0.05, until=0.15)
    slow, other = having(root, "band")
    top, bottom = lifeline(root, "n1")[0][1:]
    ys = []
    for band in (slow, other):
        [rect] = band.findall("rect")
        assert (float(rect.get("y", "")), float(rect.get("height", ""))) == (top, bottom - top)
        ys.append(float(band.find("text").get("y", "")))  # type: ignore[union-attr]
    assert [slow.findtext("text"), other.findtext("text")] == ["slow", "fault 1"]
    assert top < ys[0] < ys[1] < ends(messages(root)[0])[1]


def test_a_long_text_of_a_fault_is_cut_to_the_picture() -> None:
    """The tooltip has all of it."""
    events = Events()
    events.note(0, "begin", fault=0, text="partition " + "n1 -> n2; " * 50)
    events.pass_(0, 1, "n1", "n2")
    [band] = having(drawn(events), "band")
    text = band.findtext("text") or ""
    assert text.endswith("…")
    assert len(text) < 70
    assert title(band).startswith("partition " + "n1 -> n2; " * 50)


def test_the_text_of_a_fault_does_not_lie_on_what_follows_at_once() -> None:
    """The label above the next arrow begins below it: both are lines of text, 10.5 px high."""
    events = Events()
    events.note(0, "begin", fault=0, text="partition n1 -> n2")
    events.pass_(0, 0, "c1", "n2", "broadcast", msg_id=1)
    root = drawn(events)
    [band], [message] = having(root, "band"), messages(root)
    [label] = [text for text in message.iter("text") if text.text == "broadcast"]
    [middle] = re.findall(r"translate\([\d.]+ ([\d.]+)\)", label.get("transform", ""))
    baseline = float(middle) + float(label.get("y", ""))
    assert baseline - 10.5 > float(band.find("text").get("y", ""))  # type: ignore[union-attr]


def test_faults_of_nodes_are_on_their_lifelines() -> None:
    """There is no band for them; a killed node's lifeline is another until it starts again, a paused one's likewise."""
    root = drawn(busy())
    marks = reversed(having(root, "mark"))
    at = {(mark.get("data-name"), mark.get("class")): float(mark.get("data-y", "")) for mark in marks}
    n1, n2 = lifeline(root, "n1"), lifeline(root, "n2")
    assert [part[0] for part in n1] == ["up", "paused", "up"]
    assert n1[1][1:] == (at["n1", "mark pause"], at["n1", "mark resume"])
    assert [part[0] for part in n2] == ["up", "down", "up", "down"]
    assert n2[1][1:] == (at["n2", "mark kill"], at["n2", "mark start"])
    assert n2[3][1:] == (at["n2", "mark exit"], n1[2][2])
    for parts in (n1, n2):
        assert all(before[2] == after[1] for before, after in itertools.pairwise(parts))


def test_what_befell_a_node_is_told() -> None:
    """Each event has a mark on the node's lifeline, a word, and a tooltip that says why; a first start has none."""
    root = drawn(busy())
    assert [(mark.get("class"), mark.findtext("text"), title(mark)) for mark in having(root, "mark")] == [
        ("mark ready", None, "n1: ready at 0.000 s"),
        ("mark kill", "killed", "n2: killed at 0.030 s\nkill n2"),
        ("mark start", "restarted", "n2: restarted at 0.040 s"),
        ("mark pause", "paused", "n1: paused at 0.050 s\npause n1"),
        ("mark pause", "paused", "n1: paused at 0.055 s"),
        ("mark resume", "resumed", "n1: resumed at 0.060 s"),
        ("mark exit", "ended", "n2: ended at 0.080 s\ndied: ValueError: <x>"),
    ]


def test_the_word_beside_a_mark_stays_in_the_picture() -> None:
    """In the last column it stands on the left."""
    events = Events()
    for number in range(1, 9):
        events.pass_(number, number, "n1", f"n{number}")
        events.note(number, "kill", node=f"n{number}")
    words = [mark.find("text") for mark in having(drawn(events), "mark")]
    assert [word is not None and word.get("text-anchor") for word in words] == [*[None] * 7, "end"]


def test_a_node_that_is_down_when_the_window_begins_is_down_from_the_top() -> None:
    """What befell it before is not in the picture, but what became of it is."""
    root = drawn(busy(), since=0.0305, until=0.035)
    [(what, top, bottom)] = lifeline(root, "n2")
    assert what == "down"
    assert (top, bottom) == lifeline(root, "n1")[0][1:]
    assert having(root, "mark") == []
