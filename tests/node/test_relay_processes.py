"""Two messengers in processes of their own, joined by pipes through a network that loses messages."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random
from typing import Any, final

import msgspec
import pytest
import trio
from support.lines import line
from support.processes import NODE, Child, child

pytestmark = [pytest.mark.slow, pytest.mark.every_python]

RELAYS = range(12)
DROP_RATE = 0.25
SEED = 12


@final
class LossyNetwork:
    """Forwards each line to the node that it is for, and keeps what is for clients.

    Between the nodes it loses some, by a seed: each payload has random numbers of its own, so that it does not matter
    in which order the messages of several relays come.
    """

    def __init__(self, **nodes: Child) -> None:
        self.replies: dict[int, dict[str, Any]] = {}
        """The bodies that came for the client, by the number of its request."""
        self.attempts: Counter[object] = Counter()
        """How often each payload was sent to n2."""
        self.lost: Counter[str] = Counter()
        """How many messages of each type were lost."""
        self._nodes = nodes
        self._randoms: dict[object, Random] = {}
        self._arrived = trio.Condition()
        self._sending = trio.Lock()

    async def forward(self, node: Child) -> None:
        """Take what *node* sends, until cancelled."""
        while True:
            text = await node.read_line()
            message = msgspec.json.decode(text)
            body = message["body"]
            if message["dest"] not in self._nodes:
                async with self._arrived:
                    self.replies[body["in_reply_to"]] = body
                    self._arrived.notify_all()
            elif self._loses(body):
                self.lost[body["type"]] += 1
            else:
                await self._send(message["dest"], text)

    async def request(self, dest: str, **body: Any) -> dict[str, Any]:
        """Send a request as c1 and wait for its reply."""
        await self._send(dest, line(body, dest=dest))
        async with self._arrived:
            while body["msg_id"] not in self.replies:
                await self._arrived.wait()
        return self.replies[body["msg_id"]]

    async def _send(self, dest: str, text: bytes) -> None:
        async with self._sending:  # a pipe takes one sender at a time
            await self._nodes[dest].send(text)

    def _loses(self, body: dict[str, Any]) -> bool:
        payload = body["echo"]
        if body["type"] == "echo":
            self.attempts[payload] += 1
        random = self._randoms.setdefault(payload, Random(f"{SEED} {payload}"))
        return random.random() < DROP_RATE


async def relay_all(network: LossyNetwork) -> None:
    """Have n1 relay every payload to n2, half of them by each of the two messages, all at the same time."""
    async with trio.open_nursery() as nursery:
        for number in RELAYS:
            request = {
                "type": "relay" if number % 2 else "backoff_relay",
                "target": "n2",
                "payload": {"type": "echo", "echo": f"payload {number}"},
                "msg_id": number,
            }
            nursery.start_soon(partial(network.request, "n1", **request))


async def check_all(network: LossyNetwork) -> None:
    """Assert that every relay got through, and that n1 tells of it what the network saw."""
    for number in RELAYS:
        reply = network.replies[number]
        assert reply["type"] == ("relay_ok" if number % 2 else "backoff_relay_ok"), reply
        assert reply["attempts"] == network.attempts[f"payload {number}"]
        if number % 2:
            assert reply["result"]["echo"] == f"payload {number}"
        else:
            assert (reply["total_delay_ms"] >= 100) == (reply["attempts"] > 1)
    assert min(network.lost["echo"], network.lost["echo_ok"]) >= 1
    stats = await network.request("n1", type="reaper_stats", msg_id=2000)
    assert (stats["pending"], stats["sent"]) == (0, network.attempts.total())
    assert stats["reaped"] >= network.lost.total() >= 3


async def test_relays_between_processes_get_through_lost_messages() -> None:
    """Each relay from n1 to n2 is answered in the end, and says as many attempts as the network has seen."""
    async with child(*NODE) as n1, child(*NODE) as n2:  # each with its own guard of 30 s
        async with trio.open_nursery() as nursery:
            network = LossyNetwork(n1=n1, n2=n2)
            nursery.start_soon(network.forward, n1)
            nursery.start_soon(network.forward, n2)
            for number, dest in enumerate(("n1", "n2"), start=1000):
                init = {"type": "init", "node_id": dest, "node_ids": ["n1", "n2"], "msg_id": number}
                assert (await network.request(dest, **init))["type"] == "init_ok"
            await relay_all(network)
            await check_all(network)
            nursery.cancel_scope.cancel()
        for node in (n1, n2):
            await node.send_eof()
            assert await node.wait() == 0
    reaped = [text for text in n1.errors.decode().splitlines() if not text.startswith("WARNING: RPCs reaped ")]
    assert reaped == []
    assert n2.errors == b""
