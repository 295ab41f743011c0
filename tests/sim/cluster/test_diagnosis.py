"""Diagnosis: what did arrive of a node that seems to be silent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import trio
from support.pictures import Events

from trio_messenger import Body, Node
from trio_messenger.nodes import echo
from trio_messenger.sim import SetUpError, simulate
from trio_messenger.sim._cluster.diagnosis import unmatched_replies, what_came, why_no_json

INIT = {"type": "init", "msg_id": 1}
REMEDY = "a reply must repeat the msg_id of its request there, as the integer 1"
LINE = json.dumps({"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1}})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"type": "init_ok"}, f"without in_reply_to: {REMEDY}"),
        ({"type": "init_ok", "in_reply_to": "1"}, f'with the in_reply_to "1" (a string): {REMEDY}'),
        ({"type": "init_ok", "in_reply_to": 1.0}, f"with the in_reply_to 1.0 (a float): {REMEDY}"),
        ({"type": "init_ok", "in_reply_to": True}, f"with the in_reply_to true (a boolean): {REMEDY}"),
        ({"type": "init_ok", "in_reply_to": None}, f"with the in_reply_to null: {REMEDY}"),
        ({"type": "init_ok", "in_reply_to": [1]}, f"with the in_reply_to [1] (a list): {REMEDY}"),
        ({"type": "init_ok", "in_reply_to": 0}, f"with the in_reply_to 0: {REMEDY}"),
        ({"type": "error", "code": 13}, f"without in_reply_to: {REMEDY}"),
    ],
)
def test_a_reply_that_replies_to_nothing_is_shown(body: Body, said: str) -> None:
    """What came is shown, with what is wrong with it; replies that are errors as well, and behind other messages."""
    events = Events()
    events.pass_(0, 0, "c0", "n1", "init", msg_id=1)
    events.pass_(1, 1, "n1", "n2", "hello")
    events.pass_(1, 1, "n2", "c1", "init_ok", in_reply_to=1)
    events.send_raw(2, msgspec.json.encode({"src": "n1", "dest": "c0", "body": body}))
    assert what_came(events.journal, "n1", "c0", INIT) == f"it sent {json.dumps(body)} {said}"


def test_a_reply_to_somebody_else_is_shown() -> None:
    """The dest of a reply is the src of its request, and not, for example, always the first client."""
    events = Events()
    events.pass_(0, 0, "n2", "c0", "init_ok", in_reply_to=1)
    assert what_came(events.journal, "n2", "c1", INIT) == (
        'it sent {"type": "init_ok", "in_reply_to": 1} to \'c0\', but \'c1\' sent the request:'
        " send a reply to the src of its request"
    )


def test_other_messages_are_counted() -> None:
    """They show that the node runs and prints; a long one is cut."""
    events = Events()
    assert what_came(events.journal, "n1", "c0", INIT) == ""
    events.pass_(0, 0, "n1", "c0", "initok")
    assert what_came(events.journal, "n1", "c0", INIT) == 'it sent one other message: {"type": "initok"} to \'c0\''
    events.pass_(0, 0, "n1", "c0", "initok")
    assert what_came(events.journal, "n1", "c0", INIT).startswith("it sent 2 other messages, the first: {")
    many = Events()
    many.pass_(0, 0, "n1", "n2", "x" * 200)
    assert what_came(many.journal, "n1", "c0", INIT).endswith("xxx... to 'n2'")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"Hello, world", "is not JSON; write logs to stderr"),
        (b"", "is not JSON; write logs to stderr"),
        (b"{oops", "is not JSON; write logs to stderr"),
        (b"\xef\xbb\xbf" + LINE.encode(), "begins with a byte order mark; print UTF-8 without one"),
        (LINE.encode("utf-16"), "seems to be UTF-16; print UTF-8"),
        (LINE.encode("utf-16-le"), "seems to be UTF-16; print UTF-8"),
        (b"\0" + LINE.encode("utf-16-le"), "seems to be UTF-16; print UTF-8"),  # after the newline of the line before
        (LINE.encode("utf-32-be"), "seems to be UTF-16; print UTF-8"),
        (b"{", "is only the beginning of a JSON object; print each message on one line"),
        (LINE[:40].encode(), "is only the beginning of a JSON object; print each message on one line"),
        (LINE.encode() * 2, "has more than one JSON value; end each message with a newline"),
        (f"{json.loads(LINE)}".encode(), "is not JSON, which needs double quotes; encode messages with a JSON library"),
    ],
    ids=lambda value: f"{value[:12]!r}" if isinstance(value, bytes) else "",
)
def test_usual_mistakes_are_recognised(line: bytes, why: str) -> None:
    """What is wrong with a line is said as somebody would who has seen it before."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - whatever JSON is told to be
        msgspec.json.decode(line)
    assert why_no_json(line, str(caught.value)) == why


def test_only_what_replies_to_no_request_is_unmatched() -> None:
    """Late replies and copies do reply to something; what has no number, a wrong one, or none yet, does not."""
    events = Events()
    events.pass_(0, 0, "n1", "c0", "hello")  # before anything was asked: who knows
    for number in (1, 2, 3):
        events.pass_(number, number, "c0", "n1", "read", msg_id=number)
    for value in (1, 3, 3):
        events.pass_(4, 4, "n1", "c0", "read_ok", in_reply_to=value)
    assert unmatched_replies(events.journal) == {}
    wrong: list[Any] = [0, 4, "3", 3.0, True, None]
    for value in wrong:
        events.pass_(5, 5, "n2", "c0", "read_ok", in_reply_to=value)
    events.pass_(5, 5, "n1", "n2", "read_ok", in_reply_to="no client")
    [(node_id, told)] = unmatched_replies(events.journal).items()
    assert (node_id, told["count"]) == ("n2", len(wrong))
    assert told["first"].startswith('{"type": "read_ok", "in_reply_to": 0} with the in_reply_to 0: ')


def test_nodes_of_this_process_are_looked_at_as_well() -> None:
    """What a node sends to a client by itself is a warning; a node that comes up sends what it likes besides."""

    def build() -> Node:
        node = echo.build()
        node.on_init(lambda: node.send_nowait("c0", {"type": "hello"}))
        return node

    report = simulate("echo", build, nodes=1, time_limit=5)
    assert report.valid is True
    [warning] = report.warnings()
    assert warning.startswith(
        'a message from n1 to a client replies to none of its requests: {"type": "hello", "msg_id": 0}'
        " without in_reply_to: "
    )


def test_a_node_that_says_something_else_than_init_ok_is_shown() -> None:
    """Where no ``init_ok`` comes, the message that came instead is told."""

    def build() -> Node:
        node = Node()

        @node.on_init
        async def hang() -> None:
            node.send_nowait("c0", {"type": "hello"})
            await trio.sleep_forever()

        return node

    with pytest.raises(SetUpError) as caught:
        simulate("echo", build, nodes=1)
    assert str(caught.value).startswith(
        "node 'n1' did not answer 'init': no reply from 'n1' to msg_id 1 within 10 s; it sent one other message:"
        ' {"type": "hello", "msg_id": 0} to \'c0\'\n'
    )
