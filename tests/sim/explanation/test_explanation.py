"""Explanations: sentences that say who, what and when, and which messages show it."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import msgspec
import pytest
from support.histories import add, audits, begin, fail, history, info, ok, read
from support.wrong_nodes import broadcast as wrong_broadcast, g_set as wrong_g_set

from trio_messenger import SEQ_KV, Body, KeyValue, Node, Request
from trio_messenger.sim import WORKLOADS, Fault, Kill, Loss, Partition, Report, simulate
from trio_messenger.sim._checkers.counters import counters
from trio_messenger.sim._checkers.echo import echo
from trio_messenger.sim._checkers.set_full import set_full
from trio_messenger.sim._checkers.unique_ids import unique_ids
from trio_messenger.sim._explanation import Finding, generic
from trio_messenger.sim._explanation.counters import explain as explain_counters
from trio_messenger.sim._explanation.echo import explain as explain_echo
from trio_messenger.sim._explanation.scene import Scene
from trio_messenger.sim._explanation.sets import explain as explain_sets
from trio_messenger.sim._explanation.stale_answers import explain as explain_services
from trio_messenger.sim._explanation.unique_ids import explain as explain_unique_ids
from trio_messenger.sim._explanation.words import listed, quantity, seconds
from trio_messenger.sim._records.history import History
from trio_messenger.sim._records.journal import Journal
from trio_messenger.sim._services.seq_kv import SeqKv
from trio_messenger.sim.pictures import space_time

NOBODY = Journal()
"""A journal without messages."""


class Wire:
    """A journal, written by hand, a millisecond from line to line."""

    def __init__(self) -> None:
        self.journal = Journal()

    def note(self, event: Any, **fields: Any) -> None:
        """Note what happened."""
        self.journal.note(len(self.journal) * 1_000_000, event, **fields)

    def send(self, number: int, src: str, dest: str, **body: Any) -> None:
        """Note a message."""
        line = msgspec.json.encode({"src": src, "dest": dest, "body": {"type": "told", **body}})
        self.note("send", id=number, raw=msgspec.Raw(line))


def texts(findings: list[Finding], *, reasons: bool = True) -> list[str]:
    """Return the sentences that are reasons, or those that are not."""
    return [finding.text for finding in findings if finding.is_reason is reasons]


def of_set(made: History, journal: Journal = NOBODY) -> list[Finding]:
    """Return what there is to say of a set."""
    return explain_sets(set_full(made), Scene(made, journal), add="add", read="read")


def of_counter(*events: Any) -> list[str]:
    """Return why a counter is wrong."""
    made = history(*events)
    return texts(explain_counters(counters(made), Scene(made, NOBODY)))


def told_by(node: str, value: int) -> tuple[Any, Any]:
    """Return an add of *value* that *node* acknowledged."""
    return begin(0, "add", value, node=node), ok(0, value)


# Sets in runs: the message that did not come


def gossip(*, times: int = 1) -> Node:
    """Return a broadcast node that tells the others a number of times, a second apart, whatever becomes of it."""
    node = Node()
    seen: dict[int, None] = {}
    untold: list[tuple[int, int]] = []

    node.on("topology")(lambda _: {})
    node.on("read")(lambda _: {"messages": list(seen)})

    @node.on("broadcast")
    def hear(request: Request) -> Body:
        seen[request.body["message"]] = None
        tell(request.body["message"])
        untold.append((request.body["message"], times - 1))
        return {}

    @node.on("told")
    def told(request: Request) -> None:
        seen[request.body["message"]] = None

    def again() -> None:
        for message, left in untold[:]:
            untold.remove((message, left))
            if left:
                tell(message)
                untold.append((message, left - 1))

    def tell(message: int) -> None:
        for peer in node.peers:
            node.send_nowait(peer, {"type": "told", "message": message})

    node.every(1.0, again)
    return node


def run(faults: list[Fault], times: int = 1, **options: Any) -> Report:
    """Return the report of three such nodes."""
    return simulate("broadcast", lambda: gossip(times=times), nodes=3, rate=10, time_limit=6, faults=faults, **options)


def test_a_value_that_is_missing_is_told_with_the_message_that_was_lost() -> None:
    """Who acknowledged it, who lacks it, and when what would have delivered it was dropped, by which fault."""
    report = run([Partition(links=[("n1", "n2")], at=1, until=5)], latency=10)
    summary, detail, *_ = report.findings()
    missing = report.results["workload"]["missing"]["n2"]
    assert summary.text.startswith(f"n2 lacks {len(missing)} of the ")
    pattern = (
        rf"{missing[0]}: acknowledged by n1 at [\d.]+ s, missing from n2's last read;"
        r" the message that would have delivered it, from n1, was dropped at [\d.]+ s by fault 0 \(partition\)"
    )
    assert re.fullmatch(pattern, detail.text)
    *_, lost = detail.messages
    drop = next(entry for entry in report.journal if entry.id == lost and entry.event == "drop")
    assert (drop.reason, drop.fault) == ("partition", 0)
    sends = {entry.id: bytes(entry.raw).decode() for entry in report.journal if entry.raw is not None}
    assert f'"message": {missing[0]}' in sends[lost]
    assert ['"type":"read"' in sends[number] for number in summary.messages] == [True, False]
    assert '"messages"' in sends[summary.messages[1]]


def test_of_many_messages_that_were_lost_the_last_is_told() -> None:
    """All that carried the value count, and all of them are linked."""
    report = run([Partition(links=[("n1", "n2")], at=0)], times=3)
    detail = report.findings()[1]
    assert re.search(r"; none of 3 messages that carried it to n2 arrived: the last one was dropped at ", detail.text)
    assert len(detail.messages) == 2 + 3  # the request and its acknowledgement


def test_loss_and_dead_receivers_are_told_apart() -> None:
    """A message may be lost by a fault or by chance, or because there was nobody to take it."""
    reasons = "\n".join(run([Loss(links=[("n1", "n2")], rate=1.0, at=1, until=4)]).reasons())
    assert re.search(r"was dropped at [\d.]+ s by fault 0 \(loss\)$", reasons, re.M)
    assert re.search(r"was lost at [\d.]+ s by chance$", "\n".join(run([], loss=0.5).reasons()), re.M)
    down = run([Kill(nodes=["n3"], at=2, until=5)], seed=3)
    missing = down.results["workload"]["missing"]["n3"]
    wanted = r"was dropped at [\d.]+ s because n3 was down"
    assert any(re.search(wanted, why(down, value)) for value in missing)


def why(report: Report, value: int) -> str:
    """Return why n3 lacks *value*, however many others it lacks."""
    results = {**report.results["workload"], "missing": {"n3": [value]}}
    scene = Scene(report.history, report.journal)
    return explain_sets(results, scene, add="broadcast", read="read")[1].text


def test_what_a_node_had_and_forgot_is_told() -> None:
    """What it received before it was killed is lost by the kill, not by the network."""
    first = run([Kill(nodes=["n3"], at=4, until=4.5)]).reasons()[1]
    assert re.search(
        r"; n3 received it from (n\d|a client) at [\d.]+ s, and was killed by fault 0 \(kill\) at 4 s$", first
    )


def test_what_a_node_received_and_lacks_all_the_same_is_told() -> None:
    """Where the network did its part the fault is the node's, and the message is there to look at."""
    report = simulate("broadcast", wrong_broadcast.never_listens, nodes=3, topology="total", rate=10, time_limit=5)
    summary, detail, *_ = report.findings()
    assert summary.text.startswith("n2 lacks ")
    assert re.search(
        r"missing from n2's last read; n2 received it from n\d at [\d.]+ s, but still lacks it", detail.text
    )


def test_elements_that_a_node_of_a_g_set_lacks_are_told() -> None:
    """A node that keeps its elements to itself leaves the other one without them, and no message had them."""
    report = simulate("g-set", wrong_g_set.keeps_to_itself, nodes=2, rate=5, time_limit=2)
    summary, detail, *_ = report.findings()
    assert re.match(r"n1 lacks \d of the \d values at the end: ", summary.text)
    assert re.search(r"acknowledged by n2 at [\d.]+ s, missing from n1's last read; no message to n1", detail.text)


def test_what_nobody_sent_is_told() -> None:
    """No message with the value is an answer as well."""
    report = simulate("broadcast", lambda: gossip(times=0), nodes=1, concurrency=1, time_limit=2)
    assert report.valid is True
    made = history(told_by("n1", 7), audits(n1=[7], n2=[]))
    assert (
        of_set(made)[1].text
        == "7: acknowledged by n1 at 0.001 s, missing from n2's last read; no message to n2 carried it"
    )


def test_what_is_under_way_at_the_end_is_told() -> None:
    """A message that is slower than the run has not been lost."""
    report = run([], latency=60_000)
    assert report.reasons()[1].endswith(", was still on its way when the run ended")


# Sets by hand


def test_a_node_that_ended_by_itself_forgot_what_it_had() -> None:
    """No fault did that."""
    wire = Wire()
    wire.send(0, "n1", "n2", m=[{"7": True}])
    wire.note("deliver", id=0)
    wire.note("exit", node="n2")
    made = history(told_by("n1", 7), audits(n1=[7], n2=[]))
    assert of_set(made, wire.journal)[1].text.endswith("; n2 received it from n1 at 0.001 s, and ended at 0.002 s")


def test_values_are_found_wherever_they_are_in_a_message() -> None:
    """In lists, in objects and among their names; but not in the fields of the protocol, where numbers mean others."""
    wire = Wire()
    bodies: list[Body] = [{"msg_id": 7}, {"in_reply_to": 7}, {"m": 70}, {"m": 7}, {"m": [[7]]}, {"m": {"a": {"7": 1}}}]
    for number, body in enumerate(bodies):
        wire.send(number, "n1", "n2", **body)
    wire.send(9, "n1", "n3", m=7)
    scene = Scene(History(), wire.journal)
    assert [sent.id for sent in scene.carriers(7, "n2", before=10**9)] == [3, 4, 5]
    assert [sent.id for sent in scene.carriers(7, "n2", before=4_000_000)] == [3, 4]
    wire = Wire()
    for number, value in enumerate(["x", ["x"], [1, 2], [[1, 2]], {"a": 1}]):
        wire.send(number, "n1", "n2", m=value)
    scene = Scene(History(), wire.journal)
    assert [sent.id for sent in scene.carriers("x", "n2", before=10**9)] == [0, 1]
    assert [sent.id for sent in scene.carriers([1, 2], "n2", before=10**9)] == [2, 3]
    assert [sent.id for sent in scene.carriers({"a": 1}, "n2", before=10**9)] == [4]


def test_what_was_never_acknowledged_is_known_from_a_read() -> None:
    """Such a value is lost as well; the sentence says by what it is known."""
    made = history(begin(0, "add", 7, node="n1"), info(0), audits(n1=[7], n2=[]), audits(n1=[7], n2=[]))
    assert of_set(made)[1].text.startswith(
        "7: never acknowledged, but read from n1 at 0.004 s, missing from n2's last "
    )


def test_nodes_that_lack_the_same_share_a_sentence() -> None:
    """A few groups are told, the rest is counted."""
    made = history(told_by("n1", 7), told_by("n1", 8), audits(n1=[7, 8], n10=[8], n2=[8], n3=[7], n4=[]))
    assert [text for text in texts(of_set(made)) if "lack" in text.split(":")[0]] == [
        "n2 and n10 lack 1 of the 2 values at the end: 7",
        "n3 lacks 1 of the 2 values at the end: 8",
        "n4 lacks 2 of the 2 values at the end: 7 and 8",
    ]
    reads = {f"n{n}": [m for m in range(8) if m != n] for n in range(8)}
    many = texts(of_set(history(*(told_by("n0", n) for n in range(8)), audits(**reads))))
    assert many[-1] == "3 more nodes lack values at the end; results.json says which"


def test_what_is_lost_where_no_node_is_named() -> None:
    """Without final reads, or in a history that does not say who was asked, the last read of all is told."""
    assert texts(of_set(history(add(0, 7), read(1, [])))) == [
        "7: acknowledged at 0.001 s, missing from the last read, at 0.002 s"
    ]
    found = texts(of_set(history(*(add(0, n) for n in range(4)), read(1, []))))
    assert (len(found), found[-1]) == (3, "in all, 4 values were lost before the last reads of the nodes")


def test_duplicates_and_inventions_are_told_with_the_read() -> None:
    """The first two of each have a sentence, the rest is listed."""
    made = history(*(add(0, n) for n in range(3)), begin(1, "read", node="n1"), ok(1, [0, 0, 1, 1, 1, 2, 2, 7, 8, 9]))
    assert texts(of_set(made)) == [
        "the read of n1 at 0.007 s has the value 0 twice",
        "the read of n1 at 0.007 s has the value 1 3 times",
        "other values that are in one read more than once: 2",
        "the read of n1 at 0.007 s has the value 7, which no client added",
        "the read of n1 at 0.007 s has the value 8, which no client added",
        "other values in reads that no client added: 9",
    ]


def test_too_little_is_told() -> None:
    """Whether clients added nothing, or no read saw anything."""
    assert texts(of_set(history())) == ["too little was seen to judge: clients added nothing"]
    assert texts(of_set(history(begin(0, "add", 7), info(0), read(1, [])))) == [
        "too little was seen to judge: no read saw any of the 1 value that clients tried to add"
    ]


def test_values_that_were_late_are_remarks() -> None:
    """A valid run says which node had to be read twice, and how stale a value was."""
    made = history(told_by("n1", 7), audits(n1=[7], n2=[]), audits(n1=[7], n2=[7]))
    found = of_set(made)
    assert texts(found) == []
    assert texts(found, reasons=False) == [
        "n2 lacked 7 in a final read, but not in the last one",
        "the stalest value was 7: acknowledged by n1 at 0.001 s, still missing from the read of n2 at 0.003 s, 2 ms"
        " later",
    ]
    seen_first = history(begin(0, "add", 7), read(1, [7]), read(2, []), ok(0), read(1, [7]))
    assert "the stalest value was 7: read at 0.002 s, " in texts(of_set(seen_first), reasons=False)[0]


# Counters


def test_who_read_what_is_told() -> None:
    """The few are named, the others are the others."""
    five = {"n1": 46, "n2": 46, "n3": 46, "n4": 46}
    assert of_counter(add(0, 46), audits(**five, n5=40)) == [
        "n5 read 40 at the end, the others 46; the acknowledged adds sum to 46"
    ]
    assert of_counter(add(0, 46), audits(**five, n5=40, n6=1)) == [
        "n5 read 40 at the end, n6 read 1, the others 46; the acknowledged adds sum to 46"
    ]
    assert of_counter(add(0, 3), audits(n1=2, n2=2)) == ["all nodes read 2 at the end; the acknowledged adds sum to 3"]
    assert of_counter(add(0, 3), audits(n1=2)) == ["n1 read 2 at the end; the acknowledged adds sum to 3"]
    assert of_counter(add(0, 3), audits(n1=3)) == []


def test_what_is_possible_is_told() -> None:
    """Adds of unknown outcome make ranges; where each value is possible, the nodes still have to agree."""
    unknown = (add(0, 3), begin(1, "add", 4), info(1), begin(1, "add", 5), info(1))
    assert of_counter(*unknown, audits(n1=2, n2=7)) == [
        "n1 read 2 at the end, n2 7; possible values are 3, 7 to 8 and 12"
    ]
    assert of_counter(*unknown, audits(n1=3, n2=7)) == [
        "n1 read 3 at the end, n2 7; each value is possible because the outcome of 2 adds is unknown, but all nodes"
        " must agree at the end"
    ]


def test_a_wrong_value_that_was_mended_is_told() -> None:
    """Every final read counts, also one that a later one of the same node makes good; and one of an unknown node."""
    assert of_counter(add(0, 3), audits(n1=3, n2=2), audits(n1=3, n2=3)) == [
        "n2 read 2 at 0.005 s and 3 a moment later; the acknowledged adds sum to 3"
    ]
    found = of_counter(add(0, 3), *(read(n, n + 4, final=True) for n in range(5)))
    assert found[0] == "a final read gave 4 at 0.003 s; the acknowledged adds sum to 3"
    assert found[3:] == ["2 more final reads had impossible values"]


def test_an_old_answer_of_a_service_is_told() -> None:
    """Where a node's sum came from a service that answered from an old state, that is why, and it is linked."""
    wire = Wire()
    for number, dest in enumerate(("n2", "n1", "n1")):
        line = msgspec.json.encode({"src": "seq-kv", "dest": dest, "body": {"type": "read_ok", "value": number}})
        age = "answered from a state 12 changes old"
        wire.note("send", id=number, raw=msgspec.Raw(line), text=age if number < 2 else None)
    made = history(add(0, 3), audits(n1=2, n2=3))
    found = explain_counters(counters(made), Scene(made, wire.journal))
    assert found[1] == Finding(
        "seq-kv answered from a state 12 changes old when n1 asked, at 0.001 s", (1,), is_detail=True
    )
    [remark] = explain_services(Scene(made, wire.journal))
    assert remark.text == (
        "seq-kv gave 2 answers from an old state; the first, to n2 at 0 s: answered from a state 12 changes old"
    )
    assert (remark.messages, remark.is_reason) == ((0,), False)


@pytest.mark.slow
def test_runs_note_how_old_the_answers_of_services_are() -> None:
    """A node that reads seq-kv without care is told how old what it read was; the journal has it with the reply."""
    report = simulate("g-counter", careless_counter, nodes=5, rate=50, time_limit=10, latency=1)
    stale = [entry for entry in report.journal if entry.text is not None and entry.event == "send"]
    assert stale
    assert all(re.fullmatch(r"answered from a state \d+ changes? old", f"{entry.text}") for entry in stale)
    assert report.remarks()[-1].startswith(f"seq-kv gave {len(stale):,} answers from an old state; the first, to n")
    assert f"  note        {report.remarks()[0]}" in str(report)
    assert f", after 1 ms\n{stale[0].text}\n" in space_time(report.journal)


def careless_counter() -> Node:
    """Return a counter that keeps its sum in seq-kv, and reads whatever comes."""
    node = Node()
    store = KeyValue(node, SEQ_KV)
    total = 0

    @node.on("add")
    async def add_(request: Request) -> Body:
        nonlocal total
        total += request.body["delta"]
        await store.write(node.id, total)
        return {}

    @node.on("read")
    async def read_() -> Body:
        return {"value": sum([await value_of(each) for each in (node.id, *node.peers)])}

    async def value_of(key: str) -> int:
        value: int = await store.read(key, default=0)
        return value

    return node


def test_only_answers_that_would_be_others_now_are_old() -> None:
    """A state in which the key is what it is now is as good as the newest."""
    service = SeqKv(Random(1))
    for number in (1, 2, 1):
        service.handle("n1", {"type": "write", "key": "k", "value": number})
    service.handle("n1", {"type": "write", "key": "other", "value": 1})
    ages: set[tuple[object, int]] = set()
    for number in range(50):
        reply = service.handle(f"n{number + 2}", {"type": "read", "key": "k"})
        assert reply is not None
        value: object = reply.get("value")
        assert (service.age == 0) == (value == 1)
        ages.add((value, service.age))
    assert ages == {(None, 3), (2, 1), (1, 0)}


# Unique ids and echo


def given(process: int, node: str, value: Any) -> tuple[Any, Any]:
    """Return an operation that gave an id."""
    return begin(process, "generate", node=node), ok(process, value)


def test_who_gave_an_id_twice_is_told() -> None:
    """Two nodes, one node, more than two times, and many ids."""
    made = history(
        *(given(0, "n1", 7), given(1, "n2", 7)),
        *(given(0, "n1", "x"), given(0, "n1", "x")),
        *(given(n % 2, f"n{n % 2 + 1}", [1]) for n in range(6)),
        *(given(0, "n1", n // 2) for n in range(200, 212)),
    )
    three = history(*(given(n, f"n{n}", 5) for n in (1, 2, 3)))
    assert texts(explain_unique_ids(unique_ids(three), Scene(three, NOBODY))) == [
        "id 5 was returned 3 times: by n1 at 0.001 s, by n2 at 0.003 s and by n3 at 0.005 s"
    ]
    found = texts(explain_unique_ids(unique_ids(made), Scene(made, NOBODY)))
    assert found[0] == (
        "id [1] was returned 6 times: by n1 at 0.009 s, by n2 at 0.011 s, by n1 at 0.013 s, by n2 at 0.015 s"
        " and 2 more times"
    )
    assert found[1:3] == [
        "n1 and n2 both returned id 7, at 0.001 s and at 0.003 s",
        'n1 returned id "x" twice, at 0.005 s and at 0.007 s',
    ]
    assert found[5:] == ["4 more ids came more than once; results.json lists the most frequent"]


def test_who_answered_what_is_told() -> None:
    """A wrong answer with both texts, a refusal with its error, and how many more there are."""
    wrong = [begin(0, "echo", "a", node="n1"), ok(0, "b"), begin(1, "echo", "c"), fail(1, "not now")]
    more = [event for _ in range(6) for event in (begin(2, "echo", "d", node="n2"), ok(2, "D"))]
    made = history(*wrong, *more)
    found = texts(explain_echo(echo(made), Scene(made, NOBODY)))
    assert found[:2] == ['n1 answered "a" with "b" at 0 s', 'a node refused "c" at 0.002 s: not now']
    assert (len(found), found[5]) == (6, "3 more requests came back changed or were refused; see results.json")


# Any workload


def test_any_results_are_told_by_their_names() -> None:
    """A workload without words of its own has figures: all but those that say nothing."""
    assert generic.explain({"valid?": True, "wrong": []}) == []
    records = [{"index": 1, "time": 5, "node": "n1", "value": "x" * 200}, {}]
    results = {"valid?": False, "greatest": 5, "none": 0, "wrong": [], "many": list(range(20)), "records": records}
    [found] = generic.explain(results)
    assert found.text == (
        "the workload's checker says invalid: greatest 5, many [0, 1, 2, 3, 4, 5, 6, 7] and 12 more,"
        f' records 2, the first: node "n1", value "{"x" * 119}...'
    )
    assert generic.explain({"valid?": "unknown"})[0].text == (
        "the workload's checker says undecided: too little was seen"
    )


def test_a_workload_that_has_no_words_for_a_verdict_has_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is not valid always has a reason, whatever `Workload.explain` returns."""
    remark = Finding("so be it", is_reason=False)
    monkeypatch.setattr(WORKLOADS["echo"], "explain", lambda *_: [remark])
    report = simulate("echo", shouting, nodes=1, time_limit=2)
    assert report.valid is False
    assert [text.partition(":")[0] for text in report.reasons()] == ["the workload's checker says invalid"]
    assert report.remarks() == ["so be it"]


def shouting() -> Node:
    """Return a node that does not give back what it was given."""
    node = Node()
    node.on("echo")(lambda request: {"echo": request.body["echo"].upper()})
    return node


def test_words() -> None:
    """Times to the millisecond, counts with their noun, long lists counted."""
    assert [seconds(time) for time in (0, 16 * 10**9, 13_717_499_999, 500_000_000)] == [
        "0 s",
        "16 s",
        "13.717 s",
        "0.5 s",
    ]
    assert [quantity(count, "value") for count in (0, 1, 2000)] == ["0 values", "1 value", "2,000 values"]
    assert listed(range(9)) == "0, 1, 2, 3, 4, 5, 6, 7 and 8"
    assert listed(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["broadcast", "g-set"])
def test_stable_latencies_stand_beside_those_of_clients(workload: str) -> None:
    """The summary has quantiles in milliseconds, as the checker found them."""
    module = {"broadcast": "broadcast", "g-set": "g_set"}[workload]
    build = __import__(f"trio_messenger.nodes.{module}", fromlist=["build"]).build
    report = simulate(workload, build, nodes=5, rate=20, time_limit=5, latency=50)
    found = report.results["workload"]["stable-latencies"]
    told = re.search(
        r"^  stable      p50 (\S+), p95 (\S+), p99 (\S+), p100 (\S+) ms from when a value", str(report), re.M
    )
    assert told is not None
    assert [float(text) for text in told.groups()] == [float(f"{found[q]:.3g}") for q in ("0.5", "0.95", "0.99", "1")]
