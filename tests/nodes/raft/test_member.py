"""A raft node by itself, with peers that the test plays: what it answers, when, and what its store says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, MemoryStore, Message, Node
from trio_messenger.nodes import raft
from trio_messenger.nodes.raft.consensus import Consensus
from trio_messenger.nodes.raft.log import RaftLog
from trio_messenger.nodes.raft.member import DurableState
from trio_messenger.nodes.raft.rpcs import AppendEntries, InstallSnapshot, LogEntry, Snapshot
from trio_messenger.testing import Network, assert_no_rpc_leaked, running


class Compacting(raft.Raft):
    """Takes a snapshot after every fifth entry."""

    snapshot_every, keep = 5, 2


@asynccontextmanager
async def alone(store: MemoryStore | None = None) -> AsyncIterator[Network]:
    """Serve the only member of a cluster, and wait until it leads."""
    async with running(raft.build(store, member=Compacting), node_ids=["n1"]) as network:
        await trio.sleep(2)
        yield network


async def received(network: Network, type_: str) -> Message:
    """Return the next message of that type; drop all others."""
    with trio.fail_after(60):
        while True:
            message = await network.receive()
            if message.body["type"] == type_:
                return message


async def ask(network: Network, kind: str, **fields: Any) -> None:
    """Send a request as the client c1, with the number 1."""
    await network.send("c1", {"type": kind, "msg_id": 1, **fields})


async def lead(network: Network, term: int = 7, src: str = "n2", **fields: Any) -> Body:
    """Play the leader of *term*, and return the reply to its AppendEntries."""
    body = {"type": "append_entries", "term": term, "prev_log_index": 0, "prev_log_term": 0, "entries": []}
    await network.send(src, {**body, "leader_commit": 0, "msg_id": 99, **fields})
    reply = await received(network, "append_entries_ok")
    return {name: reply.body[name] for name in ("term", "success", "index", "conflict_index")}


async def elect(network: Network) -> int:
    """Play two voters until the member leads; return its term."""
    for kind in ("pre_vote", "request_vote"):
        question = await received(network, kind)
        await network.reply(
            question,
            {"type": f"{kind}_ok", "term": 0, "granted": True}
            | ({} if kind == "pre_vote" else {"term": question.body["term"]}),
        )
    term: int = (await received(network, "append_entries")).body["term"]
    return term


async def follow(network: Network, *, until: str) -> Message:
    """Play followers that acknowledge everything, until a message of the type *until* comes."""
    with trio.fail_after(60):
        while True:
            message = await network.receive()
            body = message.body
            if body["type"] == until:
                return message
            if body["type"] == "append_entries":
                index = body["prev_log_index"] + len(body["entries"])
                reply = {"type": "append_entries_ok", "term": body["term"], "success": True, "index": index}
                await network.reply(message, reply)


async def test_requests_are_served(autojump_clock: MockClock) -> None:
    """By the only member of a cluster, as by the service lin-kv."""
    async with alone() as network:
        assert (await network.request("read", key="x"))["code"] == 20
        assert await network.request("write", key="x", value=1) == {"type": "write_ok", "in_reply_to": 2, "msg_id": 2}
        assert (await network.request({"type": "cas", "key": "x", "from": 1, "to": 2}))["type"] == "cas_ok"
        assert (await network.request({"type": "cas", "key": "x", "from": 1, "to": 3}))["code"] == 22
        assert (await network.request("read", key="x"))["value"] == 2
        assert (await network.request("read"))["code"] == 12
        assert (await network.request("cas", key="x", to=1))["code"] == 12
        await network.send("c1", {"type": "write", "key": "x", "value": 9})  # wants no answer
        assert (await network.request("read", key="x"))["value"] == 9


async def test_a_repeated_request_takes_effect_once(autojump_clock: MockClock) -> None:
    """A copy gets the same answer, also from a later life of the member, which has it from the log."""
    store = MemoryStore()
    cas = {"type": "cas", "key": "x", "from": 1, "to": 2, "msg_id": 5}
    for _ in range(2):
        async with alone(store) as network:
            if "vote" not in store or store["vote"][0] == 1:
                await network.request("write", key="x", value=1)
            for _ in range(2):
                await network.send("c9", cas)
                assert (await network.receive()).body["type"] == "cas_ok"
            assert (await network.request("read", key="x"))["value"] == 2


async def test_a_killed_member_continues_from_its_store(autojump_clock: MockClock) -> None:
    """With its snapshots, and a log that does not grow."""
    store = MemoryStore()
    for life in range(4):
        async with alone(store) as network:
            for number in range(4 * life):
                assert (await network.request("read", key=number))["value"] == number
            for number in range(4 * life, 4 * life + 4):
                await network.request("write", key=number, value=number)
    assert len([name for name in store if name.startswith("entry ")]) < 5
    assert store["snapshot"][0] > 10


async def test_without_a_leader_requests_get_a_definite_error(autojump_clock: MockClock) -> None:
    """Before clients of lin-kv give up, after 1 s; so they know that nothing has happened."""
    async with running(raft.build()) as network:
        for kind, fields in (("read", {}), ("write", {"value": 1})):
            began = trio.current_time()
            await ask(network, kind, key="x", **fields)
            error = await received(network, "error")
            assert (error.body["code"], error.dest) == (11, "c1")
            assert 0.5 < trio.current_time() - began < 1
    assert_no_rpc_leaked(network.node)


async def test_a_follower_passes_requests_on_until_it_has_an_answer(autojump_clock: MockClock) -> None:
    """Always with the client and its number, by which members recognise it. The answer may be an error."""
    async with running(raft.build()) as network:
        await lead(network)
        await ask(network, "cas", key="x", to=1, **{"from": 0})
        forward = await received(network, "forward")
        wanted = {"type": "cas", "key": "x", "from": 0, "to": 1}
        assert forward.dest == "n2"
        assert forward.body == {
            "type": "forward", "client": "c1", "request_id": 1, "command": wanted, "msg_id": forward.body["msg_id"]
        }  # fmt: skip
        await network.reply(forward, {"type": "error", "code": 0, "text": "I do not lead"})
        again = await received(network, "forward")
        assert (again.dest, again.body["request_id"]) == ("n2", 1)
        await lead(network, term=8, src="n3")
        await network.reply(again, {"type": "error", "code": 0, "text": "I do not lead"})
        again = await received(network, "forward")
        assert (again.dest, again.body["command"]) == ("n3", wanted)
        await network.reply(again, {"type": "forward_ok", "answer": {"type": "error", "code": 22, "text": "differs"}})
        error = await received(network, "error")
        assert (error.dest, error.body["code"], error.body["in_reply_to"]) == ("c1", 22, 1)


async def test_a_write_that_was_passed_on_gets_no_definite_error(autojump_clock: MockClock) -> None:
    """It may take effect after all. A read has no effect, so its error is definite."""
    for kind, code in (("write", 0), ("read", 11)):
        async with running(raft.build()) as network:
            await lead(network)
            await ask(network, kind, key="x", value=1)
            await received(network, "forward")
            error = await received(network, "error")
            assert (error.dest, error.body["code"]) == ("c1", code)
        assert_no_rpc_leaked(network.node)


async def test_a_leader_serves_what_others_pass_on(autojump_clock: MockClock) -> None:
    """When it has committed the request, or, for a read, an entry of its term and then a round of heartbeats."""
    async with running(raft.build()) as network:
        assert await elect(network) == 1
        await network.send("n2", {"type": "forward", "client": "c7", "request_id": 3, "msg_id": 1,
                                  "command": {"type": "write", "key": "x", "value": 5}})  # fmt: skip
        answer = await follow(network, until="forward_ok")
        assert answer.body["answer"] == {"type": "write_ok"}
        await ask(network, "read", key="x")
        assert (await follow(network, until="read_ok")).body["value"] == 5


async def test_reads_at_the_same_time_share_a_round(autojump_clock: MockClock) -> None:
    """None is answered before the leader has committed an entry of its term, and after that has been heard again."""
    async with running(raft.build()) as network:
        await elect(network)
        for client in ("c1", "c2", "c3"):
            await network.send(client, {"type": "read", "key": "x", "msg_id": 1})
        heartbeats, answers = [], list[str]()
        while len(answers) < 3:
            message = await network.receive()
            if message.dest.startswith("c"):
                answers.append(message.dest)
                continue
            heartbeats += [] if message.body["entries"] else [trio.current_time()]
            index = message.body["prev_log_index"] + len(message.body["entries"])
            await network.reply(message, {"type": "append_entries_ok", "term": 1, "success": True, "index": index})
        assert sorted(answers) == ["c1", "c2", "c3"]
        assert heartbeats == [heartbeats[0]] * 2  # one round, to two others


async def test_entries_of_an_earlier_term_are_refused(autojump_clock: MockClock) -> None:
    """And their sender does not keep the member from standing for election."""
    async with running(raft.build()) as network:
        await lead(network, term=7)
        for _ in range(4):
            await trio.sleep(0.2)
            assert (await lead(network, term=6, src="n3"))["term"] == 7
        assert (await received(network, "pre_vote")).body["term"] == 8


async def test_a_member_that_does_not_lead_refuses_what_is_passed_on(autojump_clock: MockClock) -> None:
    """The sender keeps trying."""
    async with running(raft.build()) as network:
        await lead(network)
        for command in ({"type": "write", "key": "x", "value": 5}, {"type": "read", "key": "x"}):
            body = {"type": "forward", "client": "c7", "request_id": 3, "command": command, "msg_id": 1}
            await network.send("n3", body)
            assert (await received(network, "error")).body["code"] == 0


async def test_a_leader_without_a_majority_answers_no_reads_and_steps_down(autojump_clock: MockClock) -> None:
    """It cannot know whether another one leads."""
    async with running(raft.build()) as network:
        await elect(network)
        await ask(network, "write", key="x", value=1)
        await follow(network, until="write_ok")
        await ask(network, "read", key="x")
        assert (await received(network, "error")).body["code"] == 11
        question = await received(network, "pre_vote")
        assert question.body["term"] == 2


async def test_a_leader_steps_down_for_a_later_term(autojump_clock: MockClock) -> None:
    """And loses what it had not committed. The client's write is passed on to the new leader."""
    async with running(raft.build()) as network:
        await elect(network)
        await ask(network, "write", key="x", value=1)
        await trio.sleep(0.1)
        empty = [[5, "", None, None], [5, "", None, None]]
        assert await lead(network, 5, entries=empty, leader_commit=2) == {
            "term": 5, "success": True, "index": 2, "conflict_index": 0
        }  # fmt: skip
        forward = await received(network, "forward")
        assert (forward.dest, forward.body["request_id"]) == ("n2", 1)
        await network.reply(forward, {"type": "forward_ok", "answer": {"type": "write_ok"}})
        assert (await received(network, "write_ok")).dest == "c1"


async def test_a_snapshot_ends_the_wait_for_an_entry(autojump_clock: MockClock) -> None:
    """Nobody knows which entry it covers at that place, so the write is passed on again."""
    async with running(raft.build()) as network:
        await elect(network)
        await ask(network, "write", key="x", value=1)
        await trio.sleep(0.1)
        snapshot = {"index": 9, "term": 4, "state": {"values": {}, "answers": []}}
        await network.send("n3", {"type": "install_snapshot", "term": 5, "snapshot": snapshot, "msg_id": 1})
        assert (await received(network, "install_snapshot_ok")).body["index"] == 9
        assert (await received(network, "forward")).dest == "n3"


class SlowStore(MemoryStore):
    """A store whose sync waits until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = trio.Event()
        self.at_sync: list[dict[str, Any]] = []

    async def sync(self) -> None:
        self.at_sync.append(dict(self))
        await self.released.wait()


async def test_nothing_is_answered_before_it_is_durable() -> None:
    """Neither a vote nor entries: what is acknowledged survives a kill."""
    vote = {"type": "request_vote", "term": 3, "last_log_index": 0, "last_log_term": 0, "msg_id": 1}
    entries = {"type": "append_entries", "term": 3, "prev_log_index": 0, "prev_log_term": 0, "msg_id": 1,
               "entries": [[3, "c1", 1, {"type": "write", "key": 1, "value": 1}]], "leader_commit": 0}  # fmt: skip
    for body, name, value in ((vote, "vote", [3, "n2"]), (entries, "entry 1", [3, "c1", 1, entries["entries"][0][3]])):  # type: ignore[index]
        store = SlowStore()
        async with running(raft.build(store)) as network:
            await network.send("n2", body)
            await network.send("n2", {**body, "msg_id": 2})  # a copy must wait, too
            await network.receive_nothing()
            assert [saved[name] for saved in store.at_sync] == [value, value]
            store.released.set()
            await wait_all_tasks_blocked()
            assert (await network.receive()).body["term"] == 3


async def test_a_member_votes_once_in_a_term(autojump_clock: MockClock) -> None:
    """Also after a restart; and not for a candidate while it hears a leader."""
    store = MemoryStore()
    vote = {"type": "request_vote", "term": 3, "last_log_index": 0, "last_log_term": 0}
    for candidate, granted in (("n2", True), ("n3", False)):
        async with running(raft.build(store)) as network:
            reply = await network.request({**vote}, src=candidate)
            assert (reply["granted"], reply["term"]) == (granted, 3)
            await lead(network, term=3)
            reply = await network.request({**vote, "type": "pre_vote", "term": 4}, src=candidate)
            assert not reply["granted"]


class Kept(MemoryStore):
    """Keeps its contents after each assignment."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[dict[str, Any]] = []

    def _write(self, name: str, value: bytes | None) -> None:  # noqa: ARG002
        self.states.append(dict(self))


def test_a_kill_at_any_moment_leaves_a_member_that_has_forgotten_nothing() -> None:
    """After each single assignment, the store has all that was acknowledged before, and a log without gaps."""
    store = Kept()
    durable = DurableState(store)
    member = durable.load(Consensus, "n1", ("n1", "n2", "n3"))
    entries = [LogEntry(1, "c1", number) for number in range(1, 7)]
    member.on_append_entries("n2", AppendEntries(1, 0, 0, entries, 3))  # 4 to 6 are not committed
    durable.save(member)
    others = [LogEntry(2, "c2", number) for number in range(4, 6)]
    member.on_append_entries("n3", AppendEntries(2, 3, 1, others, 4))
    durable.save(member)
    member.compact("until 4", keep=1)
    durable.save(member)
    member.on_append_entries("n2", AppendEntries(3, 5, 2, [LogEntry(3, "c3", number) for number in range(6, 9)], 5))
    durable.save(member)
    member.on_install_snapshot("n2", InstallSnapshot(3, Snapshot(7, 4, "until 7")))  # 6 to 8 were others
    durable.save(member)
    committed = [*entries[:3], *others[:1]]
    for state in [*store.states, dict(store)]:
        kept = MemoryStore()
        kept.update(state)
        found = DurableState(kept).load(Consensus, "n1", ("n1", "n2", "n3"))
        assert found.log.changed_from is None
        covered = 0 if found.snapshot is None else found.snapshot.index
        assert (found.log.base_index, found.commit_index) == (covered, covered)
        if "entry 3" in state:  # it was acknowledged
            assert found.log.last_index >= 3
        log: RaftLog = found.log
        for index in range(covered + 1, min(log.last_index, 4) + 1):
            assert log.entry(index) in (committed[index - 1], entries[index - 1])
        kept_names = {name for name in kept if name.startswith("entry ")}
        assert kept_names == {f"entry {index}" for index in range(covered + 1, log.last_index + 1)}
    assert (found.snapshot, found.log.entries) == (Snapshot(7, 4, "until 7"), [])


def test_the_node_of_a_member_is_a_node() -> None:
    """`build` returns it; without a store it keeps its data in memory."""
    assert isinstance(raft.build(), Node)
