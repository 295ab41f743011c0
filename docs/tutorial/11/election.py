from contextlib import suppress

from trio_messenger import Node, QuorumNotReached, Request


class Elections:
    def __init__(self, node: Node, store):
        self.node, self.store = node, store
        self.term, self.voted_for = store.get("vote", (0, None))
        self.leader = None  # of this term, as far as this node knows
        self.timer = node.timer(0.5, jitter=0.5)
        node.on("vote")(self.on_vote)
        node.background(self.watch)

    def note_vote(self, term, candidate):
        self.term, self.voted_for, self.leader = term, candidate, None
        self.store["vote"] = (term, candidate)

    def observe(self, term):
        if term > self.term:
            self.note_vote(term, None)

    def on_vote(self, request: Request):
        candidate, term = request.src, request.require("term")
        self.observe(term)
        is_free = term == self.term and self.voted_for in (None, candidate)
        granted = is_free and request.require("end") >= self.end()
        if granted:
            self.note_vote(term, candidate)
            self.timer.reset()
        return {"granted": granted}

    async def watch(self):
        while True:
            self.timer.reset()
            await self.timer.wait()
            if self.leader != self.node.id:
                self.note_vote(self.term + 1, self.node.id)
                question = {"type": "vote", "term": self.term, "end": self.end()}
                if await self.ask_majority(question, "granted"):
                    self.leader = self.node.id

    async def ask_majority(self, body, field):
        peers, need = self.node.peers, (len(self.node.peers) + 1) // 2
        with suppress(QuorumNotReached):
            await self.node.rpc_quorum(peers, body, need=need, accept=lambda it: it[field], timeout=0.5)
            return self.term == body["term"]
        return False

    def end(self):
        return [0, 0]  # how far the log of this node is: so far there is no log, and all are equal
