"""The nodes whose transactions are in lin-kv: one compare-and-set for each, and no transaction twice."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import LIN_KV, Body, Message
from trio_messenger._cli.finding import find_build
from trio_messenger.nodes import txn_list_append, txn_rw_register
from trio_messenger.sim import Duplication, Kill, Partition, simulate
from trio_messenger.testing import Network, running

TAKEN = {"type": "error", "code": 22, "text": "it has another value"}
MISSING = {"type": "error", "code": 20, "text": "no such key"}
DONE = {"type": "cas_ok"}


async def ask(network: Network, *txn: list[Any], msg_id: int = 10) -> None:
    """Send a transaction, and let the node do what it can."""
    await network.send("c1", {"type": "txn", "txn": txn, "msg_id": msg_id})
    await wait_all_tasks_blocked()


async def request_of(network: Network, kind: str, number: int) -> Message:
    """Return the next message, which asks the service for the entry *number*."""
    message = await network.receive()
    assert (message.dest, message.body["type"], message.body["key"]) == (LIN_KV, kind, f"transactions {number}")
    return message


async def serve(network: Network, kind: str, number: int, answer: Body) -> Any:
    """Answer the next request, and return what it wants to set."""
    message = await request_of(network, kind, number)
    await network.reply(message, answer)
    await wait_all_tasks_blocked()
    return message.body.get("to")


async def serve_reads(network: Network, **answers: Body) -> None:
    """Answer reads of several entries, ``n0`` and so on, which arrive in any order."""
    messages = [await network.receive() for _ in answers]
    assert {message.body["key"] for message in messages} == {f"transactions {name[1:]}" for name in answers}
    for message in messages:
        await network.reply(message, answers["n" + message.body["key"].split()[1]])
    await wait_all_tasks_blocked()


def found(*txns: list[Any], id_: str = "other") -> Body:
    """Return the reply of the service to a read of an entry with these transactions."""
    return {"type": "read_ok", "value": {"id": id_, "txns": txns}}


async def reply_of(network: Network) -> Any:
    """Return the next answer to a client: its transaction, or the code of its error."""
    body = (await network.receive()).body
    return body.get("txn", body.get("code"))


async def test_transaction_is_one_compare_and_set() -> None:
    """It creates an entry; other nodes learn of it, and the client gets what the transaction has read."""
    async with running(txn_list_append.build()) as network:
        await ask(network, ["r", 1, None], ["append", 1, "a"], ["append", "1", "b"], ["r", 1, None], msg_id=10)
        entry = await serve(network, "cas", 0, DONE)
        assert entry["id"].startswith("n1-")
        for peer in ("n2", "n3"):
            told = await network.receive()
            assert (told.dest, told.body["type"], told.body["number"], told.body["entry"]) == (
                peer,
                "committed",
                0,
                entry,
            )
        expected = [["r", 1, None], ["append", 1, "a"], ["append", "1", "b"], ["r", 1, ["a"]]]
        assert await reply_of(network) == expected
        await ask(network, ["append", 1, "c"], msg_id=11)
        assert (await serve(network, "cas", 1, DONE))["id"] != entry["id"]


async def test_transactions_share_the_next_entry() -> None:
    """Those that arrive during a compare-and-set are executed one after another, as one entry."""
    async with running(txn_list_append.build(), node_ids=["n1"]) as network:
        for msg_id in (10, 11, 12):
            await ask(network, ["append", 1, msg_id], ["r", 1, None], msg_id=msg_id)
        await serve(network, "cas", 0, DONE)
        assert (await reply_of(network))[1] == ["r", 1, [10]]
        assert len((await serve(network, "cas", 1, DONE))["txns"]) == 2
        assert [(await reply_of(network))[1][2] for _ in range(2)] == [[10, 11], [10, 11, 12]]


async def test_transaction_without_writes_reads_the_log_to_its_end() -> None:
    """It adds nothing, and asks the service although the node knows entries: there may be later ones."""
    async with running(txn_list_append.build(), node_ids=["n1"]) as network:
        await ask(network, ["r", 1, None])
        await serve(network, "read", 0, MISSING)
        assert await reply_of(network) == [["r", 1, None]]
        await ask(network, ["r", 1, None], msg_id=11)
        await serve(network, "read", 0, found([["append", 1, "a"]]))
        await serve_reads(network, n1=found([["append", 1, "b"]], [["append", 1, "c"]]), n2=MISSING)
        assert await reply_of(network) == [["r", 1, ["a", "b", "c"]]]


async def test_transaction_after_others_learns_what_they_did() -> None:
    """If there is an entry, the node reads what it does not know, and appends after that."""
    async with running(txn_list_append.build(), node_ids=["n1"]) as network:
        await ask(network, ["append", 1, "b"], ["r", 1, None])
        entry = await serve(network, "cas", 0, TAKEN)
        await serve(network, "read", 0, found([["append", 1, "a"]]))
        await serve_reads(network, n1=MISSING, n2=MISSING)
        assert await serve(network, "cas", 1, DONE) == entry
        assert (await reply_of(network))[1] == ["r", 1, ["a", "b"]]


async def test_entries_are_executed_in_order_and_once() -> None:
    """In whatever order, and how often, other nodes tell of them; what they told is not read."""
    async with running(txn_list_append.build(), node_ids=["n1", "n2"]) as network:
        await ask(network, ["append", 1, "d"], ["r", 1, None])
        for number, value in ((1, "b"), (0, "a"), (1, "b"), (2, "c")):
            entry = {"id": value, "txns": [[["append", 1, value]]]}
            await network.send("n2", {"type": "committed", "number": number, "entry": entry})
        await wait_all_tasks_blocked()
        await serve(network, "cas", 0, TAKEN)
        await serve(network, "cas", 3, DONE)
        assert (await network.receive()).dest == "n2"
        assert (await reply_of(network))[1] == ["r", 1, ["a", "b", "c", "d"]]


async def test_compare_and_set_without_an_answer_is_sent_again(autojump_clock: MockClock) -> None:
    """If the node's own entry is there, the transaction has happened, and it does not happen twice."""
    async with running(txn_list_append.build(), node_ids=["n1"]) as network:
        await ask(network, ["append", 1, "a"])
        entry = (await request_of(network, "cas", 0)).body["to"]
        assert await serve(network, "cas", 0, TAKEN) == entry
        await serve(network, "read", 0, {"type": "read_ok", "value": entry})
        await serve_reads(network, n1=MISSING, n2=MISSING)
        assert await reply_of(network) == [["append", 1, "a"]]
        await ask(network, ["append", 1, "b"], ["r", 1, None], msg_id=11)
        await serve(network, "cas", 1, DONE)
        assert (await reply_of(network))[1] == ["r", 1, ["a", "b"]]


async def test_entry_goes_elsewhere_only_if_another_one_is_in_its_place(autojump_clock: MockClock) -> None:
    """Then the first compare-and-set has failed, or will fail."""
    async with running(txn_list_append.build(), node_ids=["n1"]) as network:
        await ask(network, ["append", 1, "b"], ["r", 1, None])
        entry = (await request_of(network, "cas", 0)).body["to"]
        await serve(network, "cas", 0, TAKEN)
        await request_of(network, "read", 0)  # asked again a second later, since no answer comes
        await serve(network, "read", 0, found([["append", 1, "a"]]))
        await serve_reads(network, n1=MISSING, n2=MISSING)
        assert await serve(network, "cas", 1, DONE) == entry
        assert (await reply_of(network))[1] == ["r", 1, ["a", "b"]]


async def test_silence_of_the_service(autojump_clock: MockClock) -> None:
    """Reads have certainly not happened. Writes may happen, even later: the next transaction sees them."""
    async with running(txn_list_append.build(), node_ids=["n1"]) as network:
        begun = trio.current_time()
        await ask(network, ["append", 1, "a"], msg_id=10)
        await ask(network, ["r", 1, None], msg_id=11)
        requests = []
        while (message := await network.receive()).dest == LIN_KV:
            requests.append(message.body)
        answers = [message.body, (await network.receive()).body]
        assert sorted((answer["in_reply_to"], answer["code"]) for answer in answers) == [(10, 0), (11, 11)]
        assert trio.current_time() - begun < 5
        assert {request["key"] for request in requests} == {"transactions 0"}
        [entry] = {str(request["to"]): request["to"] for request in requests if request["type"] == "cas"}.values()
        await ask(network, ["append", 1, "b"], ["r", 1, None], msg_id=12)
        await serve(network, "cas", 0, TAKEN)
        await serve(network, "read", 0, {"type": "read_ok", "value": entry})
        await serve_reads(network, n1=MISSING, n2=MISSING)
        await serve(network, "cas", 1, DONE)
        assert (await reply_of(network))[1] == ["r", 1, ["a", "b"]]


async def test_error_of_the_service_reaches_the_client() -> None:
    """An unexpected one is not answered with another request."""
    async with running(txn_list_append.build(), node_ids=["n1"]) as network:
        await ask(network, ["append", 1, "a"])
        await serve(network, "cas", 0, {"type": "error", "code": 13, "text": "disk full"})
        assert await reply_of(network) == 13
        await ask(network, ["r", 1, None], msg_id=11)
        await serve(network, "read", 0, {"type": "error", "code": 10, "text": "what?"})
        assert await reply_of(network) == 10


async def test_restarted_node_reads_many_entries_at_a_time() -> None:
    """The log is long, so it asks for one entry, then for two, and so on up to 64."""
    async with running(txn_list_append.build(), node_ids=["n1"]) as network:
        await ask(network, ["r", 1, None])
        first = 0
        for width in (1, 2, 4, 8, 16, 32, 64, 64):
            numbers = range(first, first + width)
            answers = {f"n{number}": found([["append", 1, number]]) if number < 150 else MISSING for number in numbers}
            await serve_reads(network, **answers)
            first += width
        assert (await reply_of(network))[0][2] == list(range(150))


@pytest.mark.parametrize("operation", [["w", 1, 2], ["r", [1], None], ["r", 1]])
async def test_wrong_operation_is_refused(operation: list[Any]) -> None:
    """The transaction as a whole, before any of it happens."""
    async with running(txn_list_append.build()) as network:
        assert (await network.request("txn", txn=[["append", 1, 1], operation]))["code"] == 12


async def test_register_has_the_last_value() -> None:
    """A write overwrites; a read sees the writes before it in the same transaction."""
    async with running(txn_rw_register.build(), node_ids=["n1"]) as network:
        await ask(network, ["w", 1, "a"], ["r", 1, None], ["w", 1, "b"], ["r", 1, None])
        await serve(network, "cas", 0, DONE)
        assert await reply_of(network) == [["w", 1, "a"], ["r", 1, "a"], ["w", 1, "b"], ["r", 1, "b"]]


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["txn-list-append", "txn-rw-register"])
def test_strict_serializable_under_faults(workload: str) -> None:
    """Nodes are killed, cut from each other and from the service, and requests are repeated."""
    cuts = [("nodes", "services"), ("services", "nodes")]
    faults = [
        Kill(nodes=["n1", "n2"], at=1, until=2),
        Partition(links=[("n1", "n2"), ("n2", "n1"), ("n3", "services")], at=2, until=3.5),
        Partition(links=cuts, at=4, until=5),
        Duplication(links=[("all", "all")], rate=0.2),
    ]
    report = simulate(
        workload, find_build(workload), nodes=3, rate=20, time_limit=6, latency=10, concurrency=6, faults=faults
    )
    assert report.valid is True, report
    assert report.results["stats"]["ok-count"] > 40


def test_nodes_need_the_service() -> None:
    """Cut off from it, they answer with errors."""
    cut = Partition(links=[("n1", "services"), ("services", "n1")], at=1, until=8)
    report = simulate(
        "txn-list-append", txn_list_append.build, nodes=3, time_limit=8, faults=[cut], availability="total"
    )
    assert report.valid is False
    assert [reason.split()[0] for reason in report.reasons()] == ["availability"]
