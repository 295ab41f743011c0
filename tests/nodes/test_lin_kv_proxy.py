"""The proxy of lin-kv: each request to the service, and its answer to the client."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from trio_messenger import LIN_KV, Body
from trio_messenger.nodes import lin_kv_proxy
from trio_messenger.testing import Network, running


async def passed_on(network: Network, request: Body, answer: Body) -> tuple[Body, Body]:
    """Send *request*, have the service reply with *answer*, and return what the service and the client receive."""
    await network.send("c1", {**request, "msg_id": 10})
    message = await network.receive()
    assert message.dest == LIN_KV
    await network.reply(message, answer)
    own = ("msg_id", "in_reply_to")
    received = (await network.receive()).body
    return tuple({key: body[key] for key in body if key not in own} for body in (message.body, received))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("request_body", "answer", "reply"),
    [
        ({"type": "read", "key": [1]}, {"type": "read_ok", "value": None}, {"type": "read_ok", "value": None}),
        ({"type": "write", "key": 1, "value": {"a": 1}}, {"type": "write_ok"}, {"type": "write_ok"}),
        ({"type": "cas", "key": 1, "from": 2, "to": None}, {"type": "cas_ok"}, {"type": "cas_ok"}),
    ],
)
async def test_request_and_answer_are_passed_on(request_body: Body, answer: Body, reply: Body) -> None:
    """Any JSON value may be a key or a value."""
    async with running(lin_kv_proxy.build()) as network:
        assert await passed_on(network, request_body, answer) == (request_body, reply)


@pytest.mark.parametrize("code", [20, 22])
async def test_error_of_the_service_keeps_its_code(code: int) -> None:
    """Then the client knows that nothing was set."""
    async with running(lin_kv_proxy.build()) as network:
        request = {"type": "cas", "key": 1, "from": 2, "to": 3}
        _, reply = await passed_on(network, request, {"type": "error", "code": code, "text": "no"})
        assert (reply["type"], reply["code"]) == ("error", code)


async def test_silence_of_the_service_is_indefinite(autojump_clock: MockClock) -> None:
    """A timeout has code 0, and the node does not try again."""
    async with running(lin_kv_proxy.build()) as network:
        await network.send("c1", {"type": "write", "key": 1, "value": 2, "msg_id": 10})
        assert (await network.receive()).dest == LIN_KV
        assert (await network.receive()).body["code"] == 0
        await network.receive_nothing()
