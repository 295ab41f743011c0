"""The space-time diagram of a run: messages, and who takes part."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

from support.pictures import Events, ends, having, messages, texts, title
from support.space_time import busy, drawn, footer, lifeline, small, types


def column(root: ET.Element, name: str) -> float:
    [life] = [each for each in having(root, "life") if each.get("data-name") == name]
    return float(life[0].get("x1", ""))


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
