"""The kafka workload: its clients, its runs, and the page about it."""

from __future__ import annotations

import json
import re
from collections import Counter
from random import Random
from typing import Any

import msgspec
import pytest
from support import log_nodes
from support.paths import DOCS
from support.wrong_nodes import kafka as wrong

from trio_messenger import Body, ErrorCode, Node, RpcError
from trio_messenger.sim import ClientCrash, GeneratorContext, Loss, Op, Setting, WorkloadClient, simulate
from trio_messenger.sim._explanation.kafka import ERROR_TYPES
from trio_messenger.sim._workloads.kafka import Kafka


class Scripted:
    """A client whose requests get these replies, in order; an `RpcError` is raised."""

    def __init__(self, *replies: Body | RpcError) -> None:
        self.requests: list[Body] = []
        self._replies = list(replies)
        self.client = WorkloadClient(
            id="c1", worker=0, process=0, node="n1", state=Kafka().client_state(), ask=self._ask, timeout=5.0
        )

    async def _ask(self, body: Body, _timeout: float) -> Body:
        self.requests.append(body)
        reply = self._replies.pop(0)
        if isinstance(reply, RpcError):
            raise reply
        return {"type": f"{body['type']}_ok", "in_reply_to": 1, **reply}


def ended(f: str, value: Any = None, kind: Any = "ok", *, process: int = 0, final: bool = False) -> Op:
    """Return the end of an operation."""
    return Op(index=1, time=1, type=kind, process=process, f=f, value=value, final=final)


def context(worker: int = 0, seconds: float = 0.0) -> GeneratorContext:
    """Return what a generator is told."""
    return GeneratorContext(worker=worker, process=worker, node="n1", time=round(seconds * 1e9))


# The client


async def test_a_send_gets_an_offset() -> None:
    """The value of an acknowledged send has the offset and the message."""
    script = Scripted({"offset": 4})
    assert await Kafka().invoke(script.client, "send", [["send", "k", 7]]) == [["send", "k", [4, 7]]]
    assert script.requests == [{"type": "send", "key": "k", "msg": 7}]


async def test_a_client_goes_on_after_what_it_has_polled_and_committed() -> None:
    """Polls ask for the offsets after the last ones, and commit these; what came with no message stays as it was."""
    script = Scripted(
        {"offsets": {"a": 4}},
        {"msgs": {"a": [[5, 1], [9, 2]], "b": []}},
        {},
        {"msgs": {}},
        {"offsets": {"a": 2, "c": 0}},
    )
    workload, client = Kafka(), script.client
    assert await workload.invoke(client, "assign", ["a", "b"]) == ["a", "b"]
    assert await workload.invoke(client, "poll", [["poll"]]) == [["poll", {"a": [[5, 1], [9, 2]], "b": []}]]
    assert await workload.invoke(client, "poll", [["poll"]]) == [["poll", {}]]
    await workload.invoke(client, "assign", ["c", "a"])
    assert client.state == {"c": 1, "a": 10}
    assert script.requests == [
        {"type": "list_committed_offsets", "keys": ["a", "b"]},
        {"type": "poll", "offsets": {"a": 5, "b": 0}},
        {"type": "commit_offsets", "offsets": {"a": 9}},
        {"type": "poll", "offsets": {"a": 10, "b": 0}},
        {"type": "list_committed_offsets", "keys": ["c", "a"]},
    ]


async def test_a_client_stays_where_it_was_if_its_commit_fails() -> None:
    """A poll that failed has not happened, so the next one asks for the same messages."""
    script = Scripted({"offsets": {}}, {"msgs": {"a": [[0, 1]]}}, RpcError(ErrorCode.ABORT), {"msgs": {}})
    workload, client = Kafka(), script.client
    await workload.invoke(client, "assign", ["a"])
    with pytest.raises(RpcError) as caught:
        await workload.invoke(client, "poll", [["poll"]])
    assert workload.outcome("poll", caught.value) == "fail"
    await workload.invoke(client, "poll", [["poll"]])
    assert script.requests[-1] == {"type": "poll", "offsets": {"a": 0}}


async def test_a_node_may_return_keys_that_were_not_asked_for() -> None:
    """As in Maelstrom, the client then also polls these."""
    script = Scripted({"msgs": {"z": [[3, 1]]}}, {}, {"msgs": {}})
    await Kafka().invoke(script.client, "poll", [["poll"]])
    await Kafka().invoke(script.client, "poll", [["poll"]])
    assert [request.get("offsets") for request in script.requests] == [{}, {"z": 3}, {"z": 4}]


@pytest.mark.parametrize(
    ("f", "value", "reply"),
    [
        ("send", [["send", "k", 7]], {"offset": "4"}),
        ("send", [["send", "k", 7]], {"offset": 4, "more": 1}),
        ("poll", [["poll"]], {"msgs": {"k": [[1]]}}),
        ("poll", [["poll"]], {"msgs": [[1, 2]]}),
        ("assign", ["k"], {"offsets": [4]}),
    ],
)
async def test_malformed_replies_are_refused(f: str, value: Any, reply: Body) -> None:
    """Replies have exactly the fields of Maelstrom's, with these types."""
    with pytest.raises(msgspec.ValidationError):
        await Kafka().invoke(Scripted(reply).client, f, value)


async def test_a_client_crashes_without_asking() -> None:
    """The simulator replaces the client."""
    script = Scripted()
    with pytest.raises(ClientCrash):
        await Kafka().invoke(script.client, "crash", None)
    assert script.requests == []


async def test_final_polls_begin_at_the_beginning() -> None:
    """In the final phase, an assignment asks for no committed offsets; each worker has its own polls."""
    workload = Kafka()
    workload.update(ended("send", [["send", "k", [4, 7]]]))
    first, second = (workload.final_invocations(context(worker)) for worker in (0, 1))
    assert [next(first), next(second)] == [("crash", None)] * 2
    for process in (0, 1):
        workload.update(ended("crash", kind="info", process=process, final=True))
    assert [next(first), next(second)] == [("assign", ["k"])] * 2
    script = Scripted()
    assert await workload.invoke(script.client, "assign", ["k"]) == ["k"]
    assert (script.client.state, script.requests) == ({"k": 0}, [])
    workload.update(ended("poll", kind="invoke", process=5, final=True))
    workload.update(ended("poll", [["poll", {"k": [[4, 7]]}]], process=5, final=True))
    assert next(first, None) is None
    assert next(second) == ("poll", [["poll"]])


# Which operations


def test_clients_crash_every_thirty_seconds() -> None:
    """With 10 workers, there is a crash every 3 s, on average."""
    workload, random = Kafka(), Random(1)
    workload.setting = Setting(concurrency=10)
    kinds = Counter(workload.next_invocation(context(seconds=step / 10), random)[0] for step in range(6000))
    assert 160 < kinds["crash"] < 240


def test_a_worker_polls_when_its_client_has_keys() -> None:
    """An assignment that was ok gives keys to a client; after an unknown outcome the next client has none."""
    workload, random = Kafka(), Random(1)
    workload.setting = Setting(concurrency=1)

    def kinds() -> set[str]:
        return {workload.next_invocation(context(), random)[0] for _ in range(20)}

    assert "poll" not in kinds()
    workload.update(ended("assign", ["k"], "fail"))
    assert "poll" not in kinds()
    workload.update(ended("assign", ["k"]))
    assert "poll" in kinds()
    workload.update(ended("send", [["send", "k", 1]], "info"))
    assert "poll" not in kinds()


def test_the_options_say_how_many_keys_there_are() -> None:
    """One key that gets one message is replaced after each."""
    workload, random = Kafka(), Random(1)
    workload.setting = Setting(key_count=1, max_writes_per_key=1)
    values = [workload.next_invocation(context(), random) for _ in range(40)]
    sent = [value[0] for f, value in values if f == "send"]
    assert sent == [["send", f"{number}", 1] for number in range(len(sent))]


# Histories from elsewhere


@pytest.mark.parametrize(
    ("f", "kind", "value"),
    [
        ("send", "invoke", [["send", "k", [1, 2, 3]]]),
        ("send", "ok", [["send", 5, [None, {"a": 1}]]]),
        ("send", "fail", None),
        ("poll", "invoke", [["poll"]]),
        ("poll", "ok", [["poll", {"5": [[0, "x"], [None, 2]], "6": []}]]),
        ("txn", "info", [["poll"], ["send", 5, 1]]),
        ("assign", "ok", [5, "k"]),
        ("subscribe", "ok", [5]),
        ("crash", "info", None),
        ("debug-topic-partitions", "ok", {"5": "leader"}),
    ],
)
def test_entries_from_elsewhere_are_adopted(f: str, kind: Any, value: Any) -> None:
    """Entries as Maelstrom and Jepsen write them are taken as they are."""
    op = ended(f, value, kind)
    assert Kafka().adopt(op) == op


@pytest.mark.parametrize(
    ("f", "kind", "value", "reason"),
    [
        ("send", "ok", None, "Expected `array`, got `null`"),
        ("send", "invoke", [["send", "k"]], "Expected `array` of length 3, got 2"),
        ("send", "invoke", [["send", None, 1]], r"Expected `int | str`, got `null` - at `$[1]`"),
        ("poll", "ok", [["poll", {"k": [[1]]}]], r"Expected `array` of length 2, got 1 - at `$[1][...][0]`"),
        ("txn", "invoke", [["append", 1, 2]], "Expected `array` of length 2, got 3"),
        ("txn", "invoke", [["append"]], "Invalid enum value 'append' - at `$[0]`"),
        ("txn", "ok", 5, "Expected `array`, got `int`"),
    ],
)
def test_other_entries_are_refused(f: str, kind: Any, value: Any, reason: str) -> None:
    """The error quotes the value and says what is wrong with it."""
    text = f"the value of this '{f}' is {json.dumps(value)}, which cannot be in a history of kafka: {reason}"
    text += "; give another workload with -w"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Kafka().adopt(ended(f, value, kind))


def test_operations_of_other_workloads_are_refused() -> None:
    """A history of another workload is no history of kafka."""
    with pytest.raises(ValueError, match=r"^'read' is no operation of kafka, which has "):
        Kafka().adopt(ended("read"))


# Runs


def test_a_plain_node_is_right() -> None:
    """A node that keeps its logs in lin-kv passes, although replies of the service get lost."""
    lost = Loss(links=[("services", "nodes")], rate=0.2)
    report = simulate("kafka", log_nodes.build, nodes=3, rate=20, time_limit=4, faults=[lost])
    assert report.valid is True, report.reasons()
    results = report.results["workload"]
    assert results["error-types"] == []
    counts = report.results["stats"]["by-f"]
    assert counts.keys() == {"assign", "crash", "poll", "send"}
    assert counts["crash"]["valid?"] is True
    assert counts["send"]["ok-count"] > 10


def test_a_wrong_node_is_told_with_the_messages() -> None:
    """The report names what is wrong, and the messages that show it."""
    report = simulate("kafka", wrong.keeps_logs_to_itself, nodes=2, rate=20, time_limit=2)
    assert report.valid is False
    assert re.match(r'offset 0 of log "\d+" has 2 messages: 1 \(acknowledged by n\d at ', report.reasons()[0])
    [first, *_] = report.findings()
    shown = [entry.message for entry in report.journal if entry.id in first.messages and entry.event == "send"]
    assert [message.body["type"] for message in shown if message is not None].count("send_ok") == 2


def test_logs_that_never_answer_are_unseen() -> None:
    """A node that acknowledges and returns nothing is found by what nobody polled."""

    def build() -> Node:
        return log_nodes.build(returns=lambda _log, _start: [])

    report = simulate("kafka", build, nodes=1, rate=20, time_limit=2)
    assert report.results["workload"]["error-types"] == ["unseen"]
    assert report.history[len(report.history) - 1].time < 25 * 10**9  # clients give up after 10 s of final polls


# The page


def test_the_page_lists_all_results_and_errors() -> None:
    """The reference has a row for each result and each type of error."""
    rows = re.findall(r"^\| `([^`]+)` \|", (DOCS / "reference" / "kafka.md").read_text(encoding="utf-8"), re.M)
    report = simulate("kafka", log_nodes.build, nodes=1, rate=20, time_limit=1)
    assert {*ERROR_TYPES, *report.results["workload"], "unseen", "assign", "crash", "poll", "send"} == {*rows}
    assert Counter(rows)["unseen"] == 2
