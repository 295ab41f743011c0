"""The space-time diagram of a run: what is in it, not how it looks."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.pictures import NASTY, Events, ends, having, messages, parse, texts, title

from trio_messenger.sim._records.journal import Journal
from trio_messenger.sim.pictures import _arrows, _grid, _labels, _space_time, space_time
from trio_messenger.sim.pictures._labels import Labels
from trio_messenger.sim.pictures._svg import asset


def drawn(events: Events, **arguments: Any) -> ET.Element:
    return parse(space_time(events.journal, **arguments))


def types(root: ET.Element) -> list[str | None]:
    return [message.get("data-type") for message in messages(root)]


def lifeline(root: ET.Element, name: str) -> list[tuple[str | None, float, float]]:
    """Return the parts of a lifeline: what each is, where it begins and where it ends."""
    [life] = [each for each in having(root, "life") if each.get("data-name") == name]
    return [(line.get("class"), float(line.get("y1", "")), float(line.get("y2", ""))) for line in life]


def column(root: ET.Element, name: str) -> float:
    [life] = [each for each in having(root, "life") if each.get("data-name") == name]
    return float(life[0].get("x1", ""))


def footer(root: ET.Element) -> list[str]:
    [group] = having(root, "footer")
    return texts(group)


def small() -> Events:
    """Return a journal with a message of each kind."""
    events = Events()
    events.note(0, "start", node="n1")
    events.note(0, "start", node="n2")
    events.pass_(0, 0, "c1", "n1", "add", element=3, msg_id=1)
    events.pass_(1, 6, "n1", "n2", "gossip", elements=[1, 2, 3], msg_id=1)
    events.pass_(7, 12, "n1", "lin-kv", "cas", key="k", msg_id=2)
    events.pass_(12, 17, "lin-kv", "n1", "error", code=22, in_reply_to=2)
    events.pass_(17, 17, "n1", "c1", "add_ok", in_reply_to=1, msg_id=3)
    return events


# The diagram: messages


def test_every_message_is_there_with_what_it_says() -> None:
    """Each message is an arrow, whose tooltip has the ids, the times, and the body, field by field."""
    root = drawn(small())
    assert types(root) == ["add", "gossip", "cas", "error", "add_ok"]
    gossip = messages(root)[1]
    assert title(gossip).split("\n") == [
        "n1 → n2  gossip  (message 1)",
        "sent at 0.001 s, delivered at 0.006 s, after 5 ms",
        "{",
        '  "type": "gossip",',
        '  "elements": [1, 2, 3],',
        '  "msg_id": 1',
        "}",
    ]
    assert {name: gossip.get(f"data-{name}") for name in ("id", "type", "from", "to", "at", "end")} == {
        "id": "1",
        "type": "gossip",
        "from": "n1",
        "to": "n2",
        "at": "0.001",
        "end": "0.006",
    }


def test_messages_are_told_apart_by_who_talks_and_what_is_said() -> None:
    """Messages of clients, between nodes and of services have classes of their own, and so have errors and replies."""
    classes = [message.get("class") for message in messages(drawn(small()))]
    assert classes == ["m client", "m node", "m service", "m service error reply", "m client reply"]


def test_an_arrow_leads_from_lifeline_to_lifeline() -> None:
    """It begins on the sender's, ends right before the receiver's, and is labelled with its type."""
    root = drawn(small())
    for message in messages(root):
        x1, y1, x2, y2 = ends(message)
        assert x1 == column(root, message.get("data-from", ""))
        assert abs(x2 - column(root, message.get("data-to", ""))) == 2
        assert y1 < y2
        assert message.findtext("text") == message.get("data-type")


def test_what_happens_later_is_lower() -> None:
    """Every sending and every delivery has a place of its own, in the journal's order, even in one instant."""
    events = Events()
    first, second = events.send(0, "n1", "n2"), events.send(0, "n2", "n1")
    events.note(0, "deliver", id=second)
    events.note(0, "deliver", id=first)
    (_, sent1, _, came1), (_, sent2, _, came2) = map(ends, messages(drawn(events)))
    assert sent1 < sent2 < came2 < came1


def test_longer_waits_are_longer_up_to_a_point() -> None:
    """Distances are to scale for usual waits; a much longer one is folded, with a mark, and the picture says so."""
    events = Events()
    times = [0, 10, 20, 30, 50, 1_050]
    for at in times:
        events.send(at, "n1", "n2")
    root = drawn(events)
    ys = [ends(message)[1] for message in messages(root)]
    gaps = [after - before for before, after in itertools.pairwise(ys)]
    assert gaps[0] == gaps[1] == gaps[2] == gaps[3] / 2
    assert gaps[3] < gaps[4] < 80
    [fold] = having(root, "fold")
    assert ys[4] < float(fold.get("y", "")) < ys[5]
    assert "Time runs down, not to scale: long waits are folded (⋮)." in footer(root)
    assert footer(drawn(small())) == []


def test_the_times_of_the_axis_are_true() -> None:
    """Beside each time there is an event at that time."""
    root = drawn(busy())
    at: dict[float, str | None] = {}
    for message in messages(root):
        _, y1, _, y2 = ends(message)
        at |= {y1: message.get("data-at"), y2: message.get("data-end")}
    at |= {float(mark.get("data-y", "")): mark.get("data-at") for mark in having(root, "mark")}
    for band in having(root, "band"):
        [rect] = band.findall("rect")
        y = float(rect.get("y", ""))
        at |= {y: band.get("data-begin"), y + float(rect.get("height", "")): band.get("data-end")}
    told = having(root, "time")
    assert len(told) > 5
    assert [each.text for each in told] == [at[float(each.get("y", "")) - 4] for each in told]


def test_the_times_of_the_axis_do_not_lie_on_one_another() -> None:
    """An instant right below another one is left without its time."""
    events = Events()
    for at in [0, 1, 2, 3, 50, 100, 150, 200, 250, 300, 350]:
        events.send(at, "n1", "n2")
    ys = [float(each.get("y", "")) for each in having(drawn(events), "time")]
    assert len(ys) == 9
    assert all(after - before >= 13 for before, after in itertools.pairwise(ys))


def test_a_lost_message_ends_before_the_receiver_with_the_reason() -> None:
    """Its arrow is marked, ends in a cross short of the receiver, and tells why it was lost, with the fault's text."""
    events = Events()
    events.note(0, "begin", fault=0, text="partition n1 -> n2")
    cut = events.send(1, "n1", "n2")
    lost = events.send(2, "n2", "n1")
    events.note(3, "drop", id=cut, reason="partition", fault=0)
    events.note(4, "drop", id=lost, reason="loss")
    root = drawn(events)
    first, second = having(root, "m", "lost")
    assert [each.findtext("g[@class='end']/text") for each in (first, second)] == ["partition", "loss"]
    assert "lost at 0.003 s, after 2 ms: partition (partition n1 -> n2)" in title(first)
    assert "lost at 0.004 s, after 2 ms: loss\n" in title(second)
    n1, n2 = column(root, "n1"), column(root, "n2")
    assert n1 < ends(second)[2] < ends(first)[2] < n2
    assert (n1 + n2) / 2 < ends(first)[2]


def test_the_reason_stays_in_the_picture() -> None:
    """At the edge it stands on the near side of the cross."""
    events = Events()
    for number, dest in enumerate(["n2", "n1"]):
        src = "n1" if dest == "n2" else "n2"
        lost = events.send(number, src, dest)
        events.note(number, "drop", id=lost, reason="partition")
    nodes = [f"n{number}" for number in range(1, 16)]
    for src, dest in itertools.pairwise(nodes):
        lost = events.send(5, src, dest)
        events.note(5, "drop", id=lost, reason="partition")
    root = drawn(events)
    width = float(root.get("width", ""))
    for message in messages(root):
        [text] = message.findall("g/text")
        x, is_left = float(text.get("x", "")), text.get("text-anchor") == "end"
        reach = len("partition") * 5.5
        assert (x - reach if is_left else x) > 0
        assert (x if is_left else x + reach) < width
    assert {text.get("text-anchor") for message in messages(root) for text in message.findall("g/text")} == {
        None,
        "end",
    }


def test_a_duplicate_is_an_arrow_of_its_own() -> None:
    """A message that was duplicated has an arrow for the original and one for the copy, both from its sending."""
    events = Events()
    twice = events.send(0, "n1", "n2")
    events.note(5, "duplicate", id=twice)
    events.note(5, "deliver", id=twice)
    half = events.send(6, "n1", "n2")
    events.note(7, "duplicate", id=half)
    events.note(7, "deliver", id=half)
    events.note(8, "deliver", id=twice)
    root = drawn(events)
    assert [message.get("class") for message in messages(root)] == [
        "m node",
        "m node copy",
        "m node",
        "m node copy flying",
    ]
    original, copy, *_ = messages(root)
    assert original.get("data-id") == copy.get("data-id")
    assert ends(original)[1] == ends(copy)[1]
    assert ends(original)[3] < ends(copy)[3]
    assert "a duplicate" in title(copy)
    assert "a duplicate" not in title(original)


def test_what_is_on_its_way_at_the_end_says_so() -> None:
    """A message that was neither delivered nor lost leaves its sender and ends halfway."""
    events = Events()
    events.send(0, "n1", "n2")
    root = drawn(events)
    [message] = having(root, "m", "flying")
    assert "still on its way at the end" in title(message)
    assert message.get("data-end") is None
    x1, y1, x2, y2 = ends(message)
    assert x1 < x2 < (x1 + column(root, "n2")) / 2
    assert y1 < y2


def test_a_message_to_oneself_is_a_loop() -> None:
    """It leaves the lifeline and comes back to it; a lost one does not come back unmarked."""
    events = Events()
    events.pass_(0, 5, "n1", "n1", "tick")
    lost = events.send(10, "n1", "n1", "tock")
    events.note(15, "drop", id=lost, reason="loss")
    events.send(20, "n1", "n1", "tack")
    root = drawn(events)
    x = column(root, "n1")
    for message in messages(root):
        [path] = message.findall("path")
        y1, y2 = (path.get("data-y") or "").split()
        assert path.get("d") == f"M{x:g} {y1}h30V{y2}H{x + 2:g}"
        assert float(y1) < float(y2)
    assert [message.findtext("text") for message in messages(root)] == ["tick", None, "tack"]
    assert having(root, "lost")[0].findtext("g/text") == "loss"  # which stands where its type would


def test_a_body_of_any_form_is_shown() -> None:
    """Numbers of any size stay what they are; a body without a type, or with one that is no text, is drawn as well."""
    events = Events()
    events.send_raw(0, b'{"src":"n1","dest":"n2","body":{"big":123456789012345678901234567890,"x":1e400}}')
    events.send_raw(1, b'{"src":"n1","dest":"n2","body":{"type":[1]}}')
    first, second = messages(drawn(events))
    assert '"big": 123456789012345678901234567890,\n  "x": 1e400' in title(first)
    assert [each.get("data-type") for each in (first, second)] == ["", "[1]"]


def test_a_very_long_body_is_cut() -> None:
    """A tooltip has some thousand characters of it, and says where all of them are."""
    events = Events()
    events.send(0, "n1", "n2", values=list(range(3_000)))
    [message] = messages(drawn(events))
    assert len(title(message)) < 4_200
    assert title(message).endswith("…\n(16,924 characters; journal.jsonl has all of them)")


# The diagram: who takes part


def test_lifelines_stand_in_order() -> None:
    """Clients as they come, nodes by number, services as ever."""
    events = Events()
    for number, (src, dest) in enumerate(
        [("n10", "lin-tso"), ("c7", "n2"), ("n2", "lin-kv"), ("c1", "n10"), ("n2", "m")]
    ):
        events.send(number, src, dest)
    events.send(9, "c7", "n2")
    root = drawn(events)
    names = [each.get("data-name") or "" for each in having(root, "head")]
    assert sorted(names, key=lambda name: column(root, name)) == ["c7", "c1", "m", "n2", "n10", "lin-kv", "lin-tso"]
    assert [each.findtext("text") for each in having(root, "head")] == names
    kinds = {each.get("data-name"): each.get("class") for each in having(root, "life")}
    assert (kinds["c7"], kinds["m"], kinds["lin-kv"]) == ("life client", "life node", "life service")


def test_what_a_journal_calls_a_node_is_one() -> None:
    """Whoever was started is a node, whatever the name."""
    events = Events()
    events.note(0, "start", node="cat")
    events.send(0, "cat", "n1")
    [message] = messages(drawn(events))
    assert message.get("class") == "m node flying"


def test_clients_share_columns_one_after_the_other() -> None:
    """A client whose predecessor in a column has finished stands below it, with its name where it begins."""
    events = Events()
    for number, client in enumerate(["c0", "c1", "c0", "c2", "c0"]):
        events.pass_(number, number, client, "n1", "read")
        events.pass_(number, number, "n1", client, "read_ok")
    root = drawn(events)
    assert column(root, "c1") == column(root, "c2") != column(root, "c0")
    [(_, top0, bottom0)], [(_, top1, bottom1)], [(_, top2, bottom2)] = (lifeline(root, f"c{n}") for n in range(3))
    assert top0 == top1 < bottom1 < top2 < bottom2 == bottom0
    lanes = [head.get("data-lane") for head in having(root, "head")]
    assert lanes == ["0", "1", "1", "2"]
    first_of_c2 = min(ends(message)[1] for message in messages(root) if message.get("data-from") == "c2")
    [head] = [each for each in having(root, "head") if each.get("data-name") == "c2"]
    assert bottom1 < float(head.get("data-y", "")) < top2 < first_of_c2


def test_clients_at_the_same_time_have_columns_of_their_own() -> None:
    """Even if it is for a moment only; right after it, the next one has the column, and room for its name."""
    events = Events()
    events.pass_(0, 0, "c0", "n1")
    reply = events.send(0, "n1", "c0", "echo_ok")
    request = events.send(0, "c1", "n1")
    events.note(0, "deliver", id=reply)
    events.note(0, "deliver", id=request)
    events.pass_(0, 0, "c2", "n1")
    root = drawn(events)
    assert column(root, "c0") == column(root, "c2") != column(root, "c1")
    [head] = [each for each in having(root, "head") if each.get("data-name") == "c2"]
    assert float(head.get("data-y", "")) > ends(messages(root)[2])[3]


def test_a_picture_of_few_fits_a_page() -> None:
    """Seven who take part need 700 pixels, and a long name is cut, not the picture made wide."""
    events = Events()
    for number in range(1, 6):
        events.pass_(number, number, f"c{number}", f"n{number}")
    assert float(drawn(events).get("width", "")) <= 702
    events.send(9, "n1", "a-name-that-is-" + "long" * 40)
    root = drawn(events)
    assert float(root.get("width", "")) < 1000
    heads = [each.findtext("text") or "" for each in having(root, "head")]
    assert "a-name-that-…" in heads
    assert "a-name-that-is-" + "long" * 40 in map(title, having(root, "head"))


def test_an_empty_journal_gives_a_picture() -> None:
    """It says that there was nothing."""
    root = drawn(Events())
    assert messages(root) == []
    assert footer(root) == ["No message was sent in this window of time."]


def test_the_legend_has_what_there_is() -> None:
    """Kinds of messages that are not in the picture are not in the legend."""

    def legend(events: Events) -> list[str]:
        [group] = drawn(events).findall("g[@class='legend']")
        return texts(group)

    assert legend(small()) == ["clients", "between nodes", "services", "errors"]
    events = Events()
    both = events.send(0, "n1", "n2")
    events.note(1, "duplicate", id=both)
    events.note(1, "deliver", id=both)
    events.note(2, "drop", id=both, reason="partition")
    assert legend(events) == ["between nodes", "lost", "duplicates"]


def test_the_title_stands_above() -> None:
    """It is text, whatever is in it."""
    [text] = having(drawn(small(), title="A <b>title</b>"), "title")
    assert text.text == "A <b>title</b>"


# The diagram: faults


def busy() -> Events:
    """Return a journal with faults of links and of nodes."""
    events = Events()
    events.note(0, "start", node="n1")
    events.note(0, "start", node="n2")
    events.pass_(0, 0, "c0", "n1", "init")
    events.note(0, "ready", node="n1")
    events.pass_(1, 2, "n1", "n2")
    events.note(10, "begin", fault=0, text="partition n1 -> n2; n2 -> n1")
    events.pass_(11, 12, "n1", "n1")
    events.note(20, "end", fault=0)
    events.note(30, "begin", fault=1, text="kill n2")
    events.note(30, "kill", node="n2", fault=1)
    lost = events.send(31, "n1", "n2")
    events.note(32, "drop", id=lost, reason="down")
    events.note(40, "end", fault=1)
    events.note(40, "start", node="n2")
    events.note(50, "begin", fault=2, text="pause n1")
    events.note(50, "pause", node="n1", fault=2)
    events.note(55, "pause", node="n1", fault=4)  # one who pauses cannot pause
    events.pass_(51, 52, "n2", "n1")
    events.note(60, "resume", node="n1")
    events.note(70, "begin", fault=3, text="loss between all nodes rate=0.5")
    events.pass_(71, 75, "n2", "n1")
    events.note(80, "exit", node="n2", text="died: ValueError: <x>")
    events.pass_(90, 95, "n1", "c0")
    return events


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


# The diagram: windows, filters and limits


def test_a_window_has_what_was_sent_or_arrived_in_it() -> None:
    """Messages of other times are left out; those that cross an edge are drawn whole."""
    events = Events()
    for name, at, until in [("before", 0, 5), ("into", 8, 12), ("in", 12, 14), ("out", 18, 25), ("after", 21, 22)]:
        events.pass_(at, until, "n1", "n2", name)
    assert types(drawn(events, since=0.010, until=0.020)) == ["into", "in", "out"]
    assert types(drawn(events, since=0.012, until=0.018)) == ["into", "in", "out"]
    assert types(drawn(events, since=0.010)) == ["into", "in", "out", "after"]
    assert types(drawn(events, until=0.008)) == ["before", "into"]
    assert types(drawn(events, since=0.0255)) == []


@pytest.mark.parametrize(
    ("only", "found"),
    [
        (["clients"], ["add", "add_ok"]),
        (["nodes"], ["gossip"]),
        (["services"], ["cas", "error"]),
        (["errors"], ["error"]),
        (["nodes", "errors"], ["gossip", "error"]),
        (["n2"], ["gossip"]),
        (["cas"], ["cas"]),
        (["lost"], []),
        (["duplicates"], []),
        ([], []),
    ],
)
def test_only_what_is_asked_for_is_drawn(only: list[str], found: list[str]) -> None:
    """A message is drawn if one of the words holds for it: a kind, an id, a type."""
    assert types(drawn(small(), only=only)) == found


def test_only_lost_ones_or_duplicates() -> None:
    """Of a message that was duplicated, only what is asked for is drawn."""
    events = Events()
    both = events.send(0, "n1", "n2")
    events.note(1, "duplicate", id=both)
    events.note(1, "deliver", id=both)
    events.note(2, "drop", id=both, reason="partition")
    events.pass_(3, 4, "n1", "n2")
    assert len(messages(drawn(events))) == 3
    assert [message.get("class") for message in messages(drawn(events, only=["lost"]))] == ["m node lost copy"]
    assert [message.get("class") for message in messages(drawn(events, only=["duplicates"]))] == ["m node lost copy"]
    events.note(5, "drop", id=events.send(5, "n2", "n1"), reason="loss")
    lost = events.send(6, "n3", "n1")
    events.note(7, "duplicate", id=lost)
    events.note(7, "drop", id=lost, reason="loss")
    events.note(8, "deliver", id=lost)
    found = [(message.get("data-id"), message.get("class")) for message in messages(drawn(events, only=["lost"]))]
    assert found == [("0", "m node lost copy"), ("2", "m node lost"), ("3", "m node lost")]


def many(count: int) -> Events:
    events = Events()
    for number in range(count):
        events.pass_(number, number + 0.5, "n1", f"n{2 + number % 3}", msg_id=number)
    return events


def test_a_limit_is_kept_and_told() -> None:
    """The first messages are drawn; the picture says how many are left out, and the command for the next window."""
    root = drawn(many(30), limit=20, command="draw DIR")
    assert len(messages(root)) == 20
    assert footer(root)[-2:] == [
        "These are 20 of 30 messages. 10 more messages from 0.0200 s on are left out. For those:",
        "draw DIR --since 0.0200",
    ]
    rest = drawn(many(30), since=0.0200, limit=20)
    assert [message.get("data-id") for message in messages(rest)] == [str(number) for number in range(20, 30)]
    assert footer(rest) == []
    assert footer(drawn(many(30), limit=29))[0] == (
        "These are 29 of 30 messages. 1 more message from 0.0290 s on is left out. For those:"
    )
    assert footer(drawn(many(30), since=0.0200, limit=4))[0] == (
        "These are 4 of 10 messages, of 30 in the whole run. 6 more messages from 0.0240 s on are left out. For those:"
    )


def test_counts_are_those_of_the_run() -> None:
    """However few messages are drawn, the picture has how many there are, and how many were lost, failed or doubled."""
    events = many(3)
    number = events.send(5, "n1", "n2")
    events.note(6, "drop", id=number, reason="loss")
    events.pass_(7, 7, "n1", "c1", "error", code=11)
    number = events.send(8, "n1", "n2")
    events.note(9, "duplicate", id=number)
    events.note(9, "deliver", id=number)
    events.note(10, "drop", id=number, reason="partition")
    for given in ({}, {"limit": 1}, {"until": 0.001}, {"only": ["errors"]}):
        [group] = having(drawn(events, **given), "messages")
        counts = {name: group.get(f"data-{name}") for name in ("total", "lost", "error", "copy")}
        assert counts == {"total": "6", "lost": "2", "error": "1", "copy": "1"}
    assert drawn(events, limit=1).get("aria-label") == "Space-time diagram of 1 of 6 messages"
    assert drawn(events).get("aria-label") == "Space-time diagram of 6 messages"


SEARCHES = [
    ("", [0, 1, 2, 3, 4]),
    ("read", [1, 2]),
    ("READ_ok", [2]),
    ("n1", [0, 3]),
    ("n10", [1, 2, 3, 4]),
    ("node:n10", [1, 2, 4]),
    ("from:n10", [2]),
    ("from:n10 to:c1", [2]),
    ("to:n10 type:read", [1]),
    ("from:3", [4]),
    ("type:swap", [4]),
    ("type:n1", []),
    ("17", [0, 2]),
    ("7", []),
    ("message:17", [0]),
    ('"message": 17', [0]),
    ('"message":17', [0]),
    ("1", [0, 1, 2]),
    ("17 23", [2]),
    ("[17,23]", [2]),
    ("Please Echo", [3]),
    ('"', [0, 1, 2, 3, 4]),
]
"""What is searched for in `searched`, and which messages have it."""


def searched() -> Events:
    events = Events()
    events.pass_(0, 0, "c1", "n1", "broadcast", message=17, msg_id=1)
    events.pass_(1, 1, "c1", "n10", "read", msg_id=1)
    events.pass_(2, 2, "n10", "c1", "read_ok", messages=[17, 23], in_reply_to=1)
    events.pass_(3, 3, "n1", "n2", "tell", text="please echo n10")
    events.pass_(4, 4, "n3", "n10", "swap", **{"from": 3, "to": 4})
    return events


@pytest.mark.parametrize(("words", "found"), SEARCHES)
def test_messages_are_searched_by_type_node_and_body(words: str, found: list[int]) -> None:
    """All words of a search have to be found, numbers as a whole, wherever there is something written."""
    numbers = [message.get("data-id") for message in messages(drawn(searched(), search=words))]
    assert numbers == [str(number) for number in found]


@pytest.mark.skipif(shutil.which("node") is None, reason="the script of a picture is run by Node.js")
def test_the_script_searches_in_the_same_way() -> None:
    """What a browser finds is what the command finds."""
    given = [
        {"type": each.get("data-type"), "from": each.get("data-from"), "to": each.get("data-to"), "body": title(each)}
        for each in messages(drawn(searched()))
    ]
    for each in given:
        each["body"] = (each["body"] or "").split("\n", 2)[2]
    code = asset("search.js") + (
        "const [messages, searches] = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "for (const message of messages) for (const key in message) message[key] = squeezed(message[key]);"
        "const find = (words) => [...messages.keys()].filter((index) => compileSearch(words)(messages[index]));"
        "console.log(JSON.stringify(searches.map(find)));"
    )
    done = subprocess.run(
        ["node", "-e", code],
        input=json.dumps([given, [words for words, _ in SEARCHES]]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [found for _, found in SEARCHES]


def test_times_of_the_set_up_are_negative_and_told() -> None:
    """Times count from the main phase; a picture that shows the set-up before it says what negative times are."""
    events = Events()
    events.pass_(-3250, -3000, "c0", "n1", "init")
    events.pass_(500, 750, "c1", "n1")
    root = drawn(events)
    assert [time.text for time in having(root, "time")][:2] == ["-3.25", "-3.00"]
    assert (
        footer(root)[0] == "Times count from when the main phase began: before that, in the set-up, they are negative."
    )
    [unit] = having(root, "unit")
    assert title(unit) == "since the main phase began; before that, in the set-up, times are negative"
    of_set_up = drawn(events, until=-1)
    assert [message.get("data-at") for message in messages(of_set_up)] == ["-3.25"]
    of_main_phase = drawn(events, since=0)
    assert [message.get("data-type") for message in messages(of_main_phase)] == ["echo"]
    assert footer(of_main_phase) == []


def test_faults_after_what_the_limit_keeps_are_left_out() -> None:
    """The picture ends with the last message that is in it."""
    events = many(10)
    events.note(20, "begin", fault=0, text="late")
    assert having(drawn(events, limit=5), "band") == []
    assert len(having(drawn(events), "band")) == 1


def test_the_next_window_misses_nothing() -> None:
    """The time in the command is never later than the first message that was left out, however it is rounded."""
    events = Events()
    for number in range(20):
        events.pass_(number * 1.2379, number * 1.2379, "n1", "n2")
    root = drawn(events, limit=10)
    since = float(footer(root)[-1].rpartition(" ")[2])
    rest = messages(drawn(events, since=since))
    assert {"10", "19"} <= {message.get("data-id") for message in rest}


# The diagram: as a file


@pytest.mark.parametrize("name", [NASTY, "]]>", "a b", "--", "ä" * 3])
def test_what_nodes_write_is_text(name: str) -> None:
    """Ids, types and texts of any characters leave the document well formed, and add no element to it."""

    def elements(name: str) -> list[str]:
        events = Events()
        sent = msgspec.json.encode(name).decode()
        events.send_raw(0, f'{{"src":{sent},"dest":"n1","body":{{"type":{sent},{sent}:{sent}}}}}'.encode())
        events.note(1, "begin", fault=0, text=name)
        events.note(2, "exit", node=name, text=name)
        root = drawn(events, title=name, command=name)
        assert types(root) == [re.sub("[\x00\x1b]", "\ufffd", name)]
        return sorted(each.tag for each in root.iter() if each.tag != "text")  # labels depend on how long it is

    assert elements(name) == elements("plain")


def test_a_picture_needs_nothing_from_elsewhere() -> None:
    """It has its style and its script inside, and refers to nothing but its own parts."""
    picture = space_time(busy().journal)
    assert not re.findall(r"href|src|@import|url\((?!#)", picture)
    assert picture.count("http://") == picture.count("http://www.w3.org/")
    [style] = parse(picture).iter("style")
    assert style.text is not None
    assert "prefers-color-scheme: dark" in style.text
    assert "$" not in style.text


def test_the_script_is_in_the_picture_whole() -> None:
    """What the script is, is what a browser gets, and all that it looks for is there."""
    root = drawn(busy())
    [script] = root.iter("script")
    assert script.text == f"\n{asset('search.js')}{asset('space_time.js')}"
    classes = {name for each in root.iter() for name in (each.get("class") or "").split()}
    for name in sorted(re.findall(r'svg\.querySelector\("\.(\w+)"\)|all\("\.(\w+)', script.text)):
        wanted = name[0] or name[1]
        assert wanted in classes | {"picked", "time", "fold"}


def test_the_script_draws_with_the_same_figures() -> None:
    """When filters have moved the arrows, they look as they did."""
    script = asset("space_time.js")
    figures = {name: float(value) for name, value in re.findall(r"\b([A-Z_]+) = (-?[0-9.]+)[,;]", script)}
    expected = {
        "LEAST_WIDTH": _space_time._LEAST_WIDTH,
        "TIMES": _space_time._TIMES,
        "LOOP": _arrows._LOOP,
        "TIP": _arrows._TIP,
        "EARLIER": _grid.EARLIER,
        "SIZE": _labels.SIZE,
        "STEEPEST": _labels._STEEPEST,
        "HEAD": _labels._HEAD,
        "BAND": _labels._BAND,
        "ABOVE": _labels._MIDDLE["above"],
        "BELOW": _labels._MIDDLE["below"],
    }
    assert {name: figures.get(name) for name in expected} == expected


def test_the_same_journal_gives_the_same_picture(tmp_path: Path) -> None:
    """Also after it was saved and loaded."""
    events = busy()
    events.journal.save(tmp_path / "journal.jsonl")
    assert (
        space_time(events.journal) == space_time(events.journal) == space_time(Journal.load(tmp_path / "journal.jsonl"))
    )


def test_thousands_of_messages_are_all_there() -> None:
    """None is left out below the limit, and labels that have no room give way, not arrows."""
    root = drawn(many(3_000))
    assert len(messages(root)) == 3_000
    assert all(message.findall("title") for message in messages(root))
    assert footer(root) == []


# Labels


def test_labels_do_not_lie_on_one_another() -> None:
    """The second one on the same arrow goes to the next gap; when all are taken there is none."""
    labels = Labels()
    found = [labels.place("gossip", (0, 0), (300, 10), 3, "above") for _ in range(4)]
    assert [label and round(label.x) for label in found] == [50, 150, 250, None]


def test_labels_of_parallel_arrows_keep_apart() -> None:
    """They go elsewhere if the arrow above is too near, and stay if it is not; above and below do not collide."""
    labels = Labels()
    xs = []
    for y, side in [(0, "above"), (5, "above"), (30, "above"), (0, "below")]:
        label = labels.place("gossip", (0, y), (300, y), 3, side)  # type: ignore[arg-type]
        assert label is not None
        xs.append(label.x)
    assert xs == [50, 150, 50, 50]


def test_a_label_lies_along_its_arrow_unless_that_is_steep() -> None:
    """Its slope is that of the arrow, readable from left to right whichever way the arrow goes."""
    angles = []
    for end in [(200, 100), (-200, 100), (100, 200)]:
        label = Labels().place("read", (0, 0), end, 1, "above")
        assert label is not None
        angles.append(label.angle)
    assert angles == [27, -27, 0]


def test_a_label_that_is_longer_than_its_arrow_is_left_out() -> None:
    """It would hide the arrow's ends."""
    assert Labels().place("a_very_long_type", (0, 0), (80, 5), 1, "above") is None
    assert Labels().place("a_very_long_type", (0, 0), (160, 5), 1, "above") is not None


def test_a_picture_for_a_page_brings_no_script() -> None:
    """Without its script the picture is the same, and smaller by it."""
    journal = Journal()
    journal.note(0, "send", id=0, message=msgspec.Raw(b'{"src":"c1","dest":"n1","body":{"type":"echo"}}'))
    journal.note(1_000_000, "deliver", id=0)
    plain = space_time(journal, scripted=False)
    assert "<script" not in plain
    assert plain.rstrip().removesuffix("</svg>").rstrip() == space_time(journal).partition("<script")[0].rstrip()
