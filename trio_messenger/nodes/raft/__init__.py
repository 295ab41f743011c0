"""raft: a linearizable key-value store on a log that a majority of nodes agrees on.

Clients send `read`, `write` and `cas` to any member, which passes them on to the leader. The leader appends writes to
its log, and brings the log to the others. A write takes effect when a majority has it on disk. For a read, the leader
asks a majority whether it still leads. If followers hear no leader, they elect one whose log has all that was committed
(Ongaro and Ousterhout, 2014; pre-vote, read index and snapshots as in Ongaro's dissertation).

Guarantees: linearizable, whichever messages are lost, late or repeated, and whichever members are killed, if they have
durable stores. Available while a majority can talk to each other. No write takes effect twice. An error that says that
a write has not happened is true; otherwise it is error 0.

Limits: the members are fixed. A snapshot is one message. The answers to the 32 latest writes of each of the 1,000
latest clients are remembered. If the network repeats a client's write, and the member is killed between both copies, an
error for the second copy may be wrong. `docs/explanation/raft.md` has the costs.
"""

from __future__ import annotations

import math
from typing import Final

import trio

from trio_messenger import AtMostOnce, Body, DurableStore, ErrorCode, MemoryStore, Node, Request, RpcError

from .replication import Replication
from .rpcs import Forward, LogEntry

NEEDED: Final[dict[str, tuple[str, ...]]] = {"read": ("key",), "write": ("key", "value"), "cas": ("key", "from", "to")}
LEADER_PATIENCE: Final = 0.75  # seconds that a request waits for a leader: less than clients of lin-kv wait
ASK_AGAIN: Final = 1.0  # seconds until a request is passed on again
RETRY_PAUSE: Final = 0.0625  # seconds until that if the leader has refused it, and no other leader became known
GIVE_UP: Final = 4.0  # seconds until nobody waits any more; a write may still take effect


class Raft(Replication):
    """Answers clients. A write gets a definite error only if this member has neither served it nor passed it on."""

    def __init__(self, node: Node, store: DurableStore) -> None:
        super().__init__(node, store)
        answers = AtMostOnce()  # recognises a request that the network repeats
        for kind in NEEDED:
            node.on(kind, at_most_once=None if kind == "read" else answers)(self.serve)
        node.on(Forward)(self.on_forward)

    async def serve(self, request: Request) -> Body:
        """Answer *request* of a client when it has taken effect, or when that takes too long."""
        for field in NEEDED[request.type]:
            request.require(field)
        command = {name: value for name, value in request.body.items() if name != "msg_id"}
        forward = Forward(request.src, request.msg_id, command)
        is_passed_on = False
        with trio.move_on_after(GIVE_UP):
            while await self.knows_leader(math.inf if is_passed_on else LEADER_PATIENCE):
                is_passed_on = request.type != "read"
                answer = await self.pass_on(forward)
                if answer is not None and answer["type"] == "error":
                    raise RpcError.from_body(answer)
                if answer is not None or request.msg_id is None:
                    return answer or {}
                with trio.move_on_after(RETRY_PAUSE):
                    await self.changed.wait()
        if is_passed_on:
            raise RpcError(ErrorCode.TIMEOUT, "no leader has answered in time; the request may still take effect")
        raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, "no leader is known; perhaps no majority can be reached")

    async def knows_leader(self, patience: float) -> bool:
        """Wait until a leader is known, for at most *patience* seconds."""
        with trio.move_on_after(patience):
            while self.consensus.leader is None:
                await self.changed.wait()
        return self.consensus.leader is not None

    async def pass_on(self, forward: Forward) -> Body | None:
        """Have the leader serve a request, and return its answer; None if it did not answer: then try again."""
        leader = self.consensus.leader
        if leader is None or leader == self.node.id:
            return await self.lead(forward)
        try:
            reply = await self.node.rpc(leader, forward, timeout=ASK_AGAIN)
        except RpcError:
            return None
        answer: Body = reply["answer"]
        return answer

    async def on_forward(self, body: Forward) -> Body:
        """Serve a request that another member has passed on."""
        with trio.move_on_after(GIVE_UP):
            if (answer := await self.lead(body)) is not None:
                return {"answer": answer}
        raise RpcError(ErrorCode.TIMEOUT, f"{self.node.id!r} does not lead, or no longer")

    async def lead(self, forward: Forward) -> Body | None:
        """Serve a request as the leader. Return None if this member does not lead, or the outcome is unknown.

        A read needs no entry. What was committed at the call is applied, and nobody else has led since.
        """
        consensus, command = self.consensus, forward.command
        while consensus.role == "leader":
            if command["type"] != "read":
                return await self.propose(LogEntry(consensus.term, forward.client, forward.request_id, command))
            if consensus.may_serve_reads():
                return self.machine.answer(command) if await self.confirm_leadership() else None
            await self.changed.wait()
        return None


def build(store: DurableStore | None = None, *, member: type[Raft] = Raft) -> Node:
    """Return a raft node that keeps its term, its vote and its log in *store*.

    Example:
      >>> from trio_messenger.nodes import raft
      >>> async def main():
      ...     async with running(raft.build(), node_ids=["n1"]) as network:
      ...         await trio.sleep(1)  # until it leads
      ...         print((await network.request("write", key="x", value=1))["type"])
      >>> trio.run(main, clock=MockClock(autojump_threshold=0))  # in virtual time
      write_ok
    """
    node = Node()
    member(node, MemoryStore() if store is None else store)
    return node
