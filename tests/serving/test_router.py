"""Messages that no handler is for: unknown, misdirected and stray ones."""

from __future__ import annotations

import pytest
from support.echo_node import echo_node, error

from trio_messenger.testing import running


async def test_unknown_type_is_refused_with_what_there_is(caplog: pytest.LogCaptureFixture) -> None:
    """A type that nobody handles is error 10, which lists the types that are handled; it is counted and logged."""
    node = echo_node()
    node.on("add")(lambda: None)
    async with running(node) as network:
        text = "this node does not handle 'ecco'; it handles add, echo, init"
        assert await network.request("ecco") == error(10, text, 1, 1)
        await network.send("c1", {"type": "ecco"})
        await network.receive_nothing()
    assert node.stats.unsupported == 2
    assert caplog.messages == [f"refused 'ecco' from 'c1': {text} ({n} so far)" for n in (1, 2)]


async def test_misdirected_message_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """A message for another node is counted, logged and dropped, replies included."""
    node = echo_node()
    async with running(node) as network:
        await network.send("c1", {"type": "echo", "msg_id": 1, "echo": 1}, dest="n2")
        await network.send("c1", {"type": "echo_ok", "in_reply_to": 1}, dest="n2")
        await network.receive_nothing()
    assert node.stats.misdirected == 2
    assert node.stats.unknown_replies == 0
    assert caplog.messages == [
        "dropped a 'echo' message for 'n2': this is 'n1' (1 so far)",
        "dropped a 'echo_ok' message for 'n2': this is 'n1' (2 so far)",
    ]


async def test_stray_error_is_never_answered(caplog: pytest.LogCaptureFixture) -> None:
    """An error that replies to nothing is dropped and counted, even if it asks for a reply."""
    node = echo_node()
    async with running(node) as network:
        await network.send("n2", {"type": "error", "code": 13, "text": "x", "msg_id": 5})
        await network.receive_nothing()
    assert node.stats.stray_errors == 1
    body = "{'type': 'error', 'code': 13, 'text': 'x', 'msg_id': 5}"
    assert caplog.messages == [f"dropped a stray error from 'n2': {body} (1 so far)"]
