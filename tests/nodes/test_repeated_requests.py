"""What ready-made nodes do if the network repeats the request of a client."""

from __future__ import annotations

from typing import Any

import pytest

from trio_messenger.nodes import g_counter, kafka, pn_counter, seq_kv_counter
from trio_messenger.testing import Network, running

ADD = {"type": "add", "delta": 3, "msg_id": 1}


async def serve_both_copies(network: Network, body: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Send *body* twice, as an empty key-value service; return both answers, and what was set in the service."""
    answers: list[Any] = []
    was_set: list[Any] = []
    for _ in range(2):
        await network.send("c1", body)
    while len(answers) < 2:
        message = await network.receive()
        asked = message.body
        if message.dest == "c1":
            answers.append(asked)
        elif asked["type"] == "cas":
            was_set.append(asked["to"])
            await network.send(message.dest, {"type": "cas_ok", "in_reply_to": asked["msg_id"]})
        else:
            error = {"type": "error", "code": 20, "text": "no such key", "in_reply_to": asked["msg_id"]}
            await network.send(message.dest, error)
    return answers, was_set


@pytest.mark.parametrize("node", [g_counter, pn_counter])
async def test_a_repeated_addition_counts_once(node: Any) -> None:
    """Both copies are acknowledged, and the addition counts once."""
    async with running(node.build(), node_ids=["n1"]) as network:
        answers, _ = await serve_both_copies(network, ADD)
        assert [answer["type"] for answer in answers] == ["add_ok", "add_ok"]
        assert (await network.request("read"))["value"] == 3


async def test_a_repeated_addition_counts_once_in_the_service() -> None:
    """seq-kv-counter sets its sum once, to what the one addition makes it."""
    async with running(seq_kv_counter.build(), node_ids=["n1"]) as network:
        _, was_set = await serve_both_copies(network, ADD)
        assert [list(sums.values()) for sums in was_set] == [[3]]


async def test_a_repeated_message_gets_one_offset() -> None:
    """kafka appends the message once, and both copies get its offset."""
    async with running(kafka.build(), node_ids=["n1"]) as network:
        answers, was_set = await serve_both_copies(network, {"type": "send", "key": "x", "msg": "a", "msg_id": 1})
        assert [answer["offset"] for answer in answers] == [0, 0]
        assert [chunk["messages"] for chunk in was_set] == [["a"]]
