"""The counter in seq-kv: what it sends to the service, and what becomes of it under faults."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import SEQ_KV, Message
from trio_messenger.nodes import seq_kv_counter
from trio_messenger.sim import Kill, Partition, simulate
from trio_messenger.testing import Network, running


async def add(network: Network, msg_id: int, delta: int) -> None:
    """Send an addition, and let the node do what it can."""
    await network.send("c1", {"type": "add", "delta": delta, "msg_id": msg_id})
    await wait_all_tasks_blocked()


async def serve(network: Network, kind: str, answer: dict[str, Any] | None = None) -> Message:
    """Receive the next request to the service, which is of *kind*, and answer it."""
    message = await network.receive()
    assert (message.dest, message.body["type"]) == (SEQ_KV, kind)
    await network.reply(message, answer or {"type": f"{kind}_ok"})
    return message


MISSING = {"type": "error", "code": 20, "text": "no such key"}


async def test_additions_share_a_compare_and_set(autojump_clock: MockClock) -> None:
    """What comes while one is under way waits for the next one, and nothing is sent for an addition of 0."""
    async with running(seq_kv_counter.build()) as network:
        assert (await network.request("add", delta=0))["type"] == "add_ok"
        assert (await network.request("add", delta=-1))["code"] == 12
        for msg_id, delta in enumerate((3, 4, 5), start=10):
            await add(network, msg_id, delta)
        await serve(network, "read", MISSING)
        first = await serve(network, "cas")
        [(life, total)] = first.body["to"].items()
        assert (life[:3], total, first.body["create_if_not_exists"]) == ("n1-", 3, True)
        assert (await network.receive()).body == {"type": "add_ok", "in_reply_to": 10, "msg_id": 5}
        await serve(network, "read", {"type": "read_ok", "value": {"other": 7, life: 3}})
        assert (await serve(network, "cas")).body["to"] == {"other": 7, life: 12}
        assert [(await network.receive()).body["in_reply_to"] for _ in range(2)] == [11, 12]


async def test_addition_with_a_timeout_counts_once(autojump_clock: MockClock) -> None:
    """Whether the service has set the sum or not, the next addition sets one that includes both."""
    async with running(seq_kv_counter.build()) as network:
        await add(network, 10, 3)
        await serve(network, "read", MISSING)
        lost = await network.receive()
        reply = await network.receive()
        assert (reply.body["in_reply_to"], reply.body["code"]) == (10, 0)
        await add(network, 11, 4)
        await serve(network, "read", {"type": "read_ok", "value": lost.body["to"]})
        assert list((await serve(network, "cas")).body["to"].values()) == [7]


async def test_read_writes_first(autojump_clock: MockClock) -> None:
    """A write brings the reader up to date."""
    async with running(seq_kv_counter.build()) as network:
        await network.send("c1", {"type": "read", "msg_id": 10})
        assert (await serve(network, "write")).body["key"] != seq_kv_counter.SUMS_KEY
        await serve(network, "read", {"type": "read_ok", "value": {"a": 3, "b": 4}})
        assert (await network.receive()).body["value"] == 7


def test_read_includes_all_acknowledged_additions() -> None:
    """Not only at the end: every read does, at every node, with nodes that are killed meanwhile."""
    faults = [Kill(nodes=["n1", "n2", "n3"], at=4, until=5), Partition.between(["n1"], ["n2", "n3"], at=6, until=9)]
    report = simulate("g-counter", seq_kv_counter.build, nodes=3, rate=30, time_limit=10, latency=5, faults=faults)
    assert report.valid is True, report
    known, possible, known_at = 0, 0, {}
    for op in report.history:
        if op.f == "add":
            known += op.value if op.type == "ok" else 0
            possible += op.value if op.type == "invoke" else 0
        elif op.type == "invoke":
            known_at[op.process] = known
        elif op.type == "ok":
            assert known_at[op.process] <= op.value <= possible
    assert known > 50


@pytest.mark.parametrize("availability", [None, "total"])
def test_counter_needs_the_service(availability: Any) -> None:
    """Cut off from the service, a node answers nothing; what it could not answer counts once or not at all."""
    cut = Partition(links=[("n1", "services"), ("services", "n1")], at=2, until=8)
    report = simulate(
        "g-counter", seq_kv_counter.build, nodes=3, rate=20, time_limit=10, faults=[cut], availability=availability
    )
    assert report.valid is (availability is None), report
    assert report.results["stats"]["ok-count"] < report.results["stats"]["count"]
