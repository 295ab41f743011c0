import trio

from trio_messenger import Body, Node, Request, RpcError, always, sometimes
from trio_messenger.nodes import echo


def build() -> Node:
    node = echo.build()
    Election(node)
    return node


class Election:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.term = 0
        self.leads = False
        self.votes = dict[int, str]()  # the candidate that this node voted for, by term
        self.heard_at = 0.0
        node.expose(self)
        node.on("vote")(self.vote)
        node.on("lead")(self.lead)
        node.every(2, self.stand_for_election, jitter=1)
        node.every(0.25, self.send_heartbeats)

    def learn(self, term: int) -> None:
        if term > self.term:
            self.term, self.leads = term, False

    def vote(self, request: Request) -> Body:
        term = request.body["term"]
        self.learn(term)
        granted = term == self.term and self.votes.setdefault(term, request.src) == request.src
        sometimes(not granted, "a vote was refused")
        return {"granted": granted}

    def lead(self, request: Request) -> None:
        self.learn(request.body["term"])
        self.heard_at = trio.current_time()

    async def stand_for_election(self) -> None:
        if self.leads or trio.current_time() < self.heard_at + 1:
            return
        self.learn(self.term + 1)
        term, granted, voters = self.term, 1, 1  # it votes for itself
        self.votes[term] = self.node.id
        for peer in self.node.peers:
            try:
                reply = await self.node.rpc(peer, {"type": "vote", "term": term}, timeout=0.5)
            except RpcError:
                continue
            granted, voters = granted + reply["granted"], voters + 1
        always(granted <= voters, "each voter has one vote")
        self.leads = granted > voters / 2 and term == self.term
        sometimes(self.leads and term > 1, "a later term has a leader")

    async def send_heartbeats(self) -> None:
        if self.leads:
            for peer in self.node.peers:
                await self.node.send(peer, {"type": "lead", "term": self.term})
