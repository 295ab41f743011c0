"""Input that must not kill, hang or bloat a node: what the sender is told, what is counted, and that life goes on."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from trio.testing import wait_all_tasks_blocked

from trio_messenger import Body, Node
from trio_messenger._protocol import stats
from trio_messenger.nodes.messenger import build
from trio_messenger.testing import running

TO_N1 = b'{"src": "c1", "dest": "n1", "body": '
ECHO = b'{"type": "echo", "msg_id": 5, "echo": 1}'


def to_n1(body: bytes) -> bytes:
    return TO_N1 + body + b"}\n"


def counts(node: Node) -> dict[str, int]:
    return attrs.asdict(node.stats)


MALFORMED = "malformed message: "

# What comes in; the text of the error 12 that goes back to c1, or None if nothing does; the counter that moves.
CASES: dict[str, tuple[bytes, str | None, str | None]] = {
    # No JSON
    "not JSON": (b"hello\n", None, "malformed"),
    "half an object": (to_n1(ECHO)[:-2] + b"\n", None, "malformed"),
    "two objects": (to_n1(ECHO)[:-1] + to_n1(ECHO), None, "malformed"),
    "NUL bytes": (b"\0\0\0\n", None, "malformed"),
    "NUL in a string": (to_n1(b'{"type": "echo", "msg_id": 5, "echo": "\0"}'), None, "malformed"),
    "invalid UTF-8": (to_n1(b'{"type": "echo", "msg_id": 5, "echo": "\xff\xfe"}'), None, "malformed"),
    "UTF-16": (to_n1(ECHO).decode().encode("utf-16").replace(b"\n", b"") + b"\n", None, "malformed"),
    "BOM": (
        b"\xef\xbb\xbf" + to_n1(ECHO),
        MALFORMED + "it begins with a byte order mark",
        "malformed",
    ),
    "NaN": (to_n1(b'{"type": "echo", "msg_id": 5, "echo": NaN}'), MALFORMED + "JSON has no number NaN", "malformed"),
    "Infinity": (
        to_n1(b'{"type": "echo", "msg_id": 5, "echo": [-Infinity]}'),
        MALFORMED + "JSON has no number -Infinity",
        "malformed",
    ),
    "lone surrogate": (
        to_n1(rb'{"type": "echo", "msg_id": 5, "echo": "\ud83d"}'),
        MALFORMED + "it contains half of a surrogate pair, which is not a character",
        "malformed",
    ),
    "integer of 5,000 digits": (to_n1(b'{"type": "echo", "msg_id": 5, "echo": %s}' % (b"7" * 5000)), None, "malformed"),
    "nesting 100,000 deep": (
        to_n1(b'{"type": "echo", "msg_id": 5, "echo": %s%s}' % (b"[" * 100_000, b"]" * 100_000)),
        None,
        "malformed",
    ),
    "nesting 100,000 deep, unclosed": (b'{"a":' * 100_000 + b"\n", None, "malformed"),
    "line over the limit": (
        to_n1(b'{"type": "echo", "msg_id": 5, "echo": "%s"}' % (b"x" * 300_000)),
        None,
        "malformed",
    ),
    # JSON, but no message
    "null": (b"null\n", None, "malformed"),
    "list": (b"[1, 2]\n", None, "malformed"),
    "string": (b'"hello"\n', None, "malformed"),
    "number": (b"7\n", None, "malformed"),
    "empty object": (b"{}\n", None, "malformed"),
    "no src": (b'{"dest": "n1", "body": %s}\n' % ECHO, None, "malformed"),
    "src no string": (b'{"src": 1, "dest": "n1", "body": %s}\n' % ECHO, None, "malformed"),
    "src null": (b'{"src": null, "dest": "n1", "body": %s}\n' % ECHO, None, "malformed"),
    "no dest": (
        b'{"src": "c1", "body": %s}\n' % ECHO,
        MALFORMED + "Object missing required field `dest`",
        "malformed",
    ),
    "dest no string": (
        b'{"src": "c1", "dest": ["n1"], "body": %s}\n' % ECHO,
        MALFORMED + "Expected `str`, got `array` - at `$.dest`",
        "malformed",
    ),
    "no body": (b'{"src": "c1", "dest": "n1"}\n', None, "malformed"),
    "body no object": (to_n1(b'"echo"'), None, "malformed"),
    "body null": (to_n1(b"null"), None, "malformed"),
    # A message whose body is not well formed
    "empty body": (to_n1(b"{}"), None, "malformed"),
    "no type": (
        to_n1(b'{"msg_id": 5}'),
        MALFORMED + "its 'type' must be a string, not None",
        "malformed",
    ),
    "type no string": (
        to_n1(b'{"type": 1, "msg_id": 5}'),
        MALFORMED + "its 'type' must be a string, not 1",
        "malformed",
    ),
    "msg_id a string": (to_n1(b'{"type": "echo", "msg_id": "5", "echo": 1}'), None, "malformed"),
    "msg_id a float": (to_n1(b'{"type": "echo", "msg_id": 5.0, "echo": 1}'), None, "malformed"),
    "msg_id true": (to_n1(b'{"type": "echo", "msg_id": true, "echo": 1}'), None, "malformed"),
    "in_reply_to a string": (to_n1(b'{"type": "echo_ok", "in_reply_to": "5", "msg_id": 5}'), None, "malformed"),
    "in_reply_to false": (to_n1(b'{"type": "echo_ok", "in_reply_to": false, "msg_id": 5}'), None, "malformed"),
    "in_reply_to infinite": (to_n1(b'{"type": "echo_ok", "in_reply_to": Infinity, "msg_id": 5}'), None, "malformed"),
    "msg_id NaN": (to_n1(b'{"type": "echo", "msg_id": NaN, "echo": 1}'), None, "malformed"),
    "reply without type": (to_n1(b'{"in_reply_to": 5, "msg_id": 5}'), None, "malformed"),
    # Well formed, and for nobody
    "wrong dest": (b'{"src": "c1", "dest": "n9", "body": %s}\n' % ECHO, None, "misdirected"),
    "empty dest": (b'{"src": "c1", "dest": "", "body": %s}\n' % ECHO, None, "misdirected"),
    "reply to nothing": (to_n1(b'{"type": "echo_ok", "in_reply_to": 99, "msg_id": 5}'), None, "unknown_replies"),
    "reply to id 0": (to_n1(b'{"type": "echo_ok", "in_reply_to": 0, "msg_id": 5}'), None, "unknown_replies"),
    "reply to an id below 0": (to_n1(b'{"type": "echo_ok", "in_reply_to": -5}'), None, "unknown_replies"),
    "error reply to nothing": (to_n1(b'{"type": "error", "in_reply_to": 9, "msg_id": 5}'), None, "unknown_replies"),
    "stray error": (to_n1(b'{"type": "error", "code": 13, "msg_id": 5}'), None, "stray_errors"),
    "unknown type, no msg_id": (to_n1(b'{"type": "?"}'), None, "unsupported"),
    "echo without its field": (
        to_n1(b'{"type": "echo", "msg_id": 5}'),
        "malformed 'echo' request: Object missing required field `echo`",
        None,
    ),
    # Nothing at all
    "request without msg_id": (to_n1(b'{"type": "echo", "echo": 1}'), None, None),
    "null for no msg_id": (to_n1(b'{"type": "echo", "echo": 1, "msg_id": null}'), None, None),
}


@pytest.mark.parametrize("case", CASES)
async def test_bad_input_is_answered_or_counted_and_life_goes_on(case: str) -> None:
    """Each kind of bad input is told to a sender that can be told, moves its counter by one, and costs nothing else."""
    data, text, counter = CASES[case]
    node = build()
    async with running(node, line_limit=250_000) as network:
        before = counts(node)
        await network.send_bytes(data)
        if text is not None:
            message = await network.receive()
            assert (message.src, message.dest) == ("n1", "c1")
            error = {"type": "error", "code": 12, "text": text, "in_reply_to": 5, "msg_id": 1}
            assert list(message.body.items()) == list(error.items())
        await network.receive_nothing()
        moved = {name: count - before[name] for name, count in counts(node).items() if count != before[name]}
        expected = {"received": 1}
        if text is not None:
            expected["sent"] = 1
        if counter is not None:
            expected[counter] = 1
        assert moved == expected
        assert (await network.request("echo", echo=[case]))["echo"] == [case]


@pytest.mark.parametrize(
    ("data", "lines"),
    [(b"\n\n\r\n  \n\t\n", 0), (to_n1(ECHO)[:-1] + b"\r\n", 1), (b"  " + to_n1(ECHO), 1)],
    ids=["blank", "CRLF", "indented"],
)
async def test_white_space_is_no_matter(data: bytes, lines: int) -> None:
    """Blank lines are passed over uncounted, and white space around a message does not hurt it."""
    node = build()
    async with running(node) as network:
        await network.send_bytes(data)
        for _ in range(lines):
            assert (await network.receive()).body["type"] == "echo_ok"
        await network.receive_nothing()
    assert node.stats.received == 1 + lines
    assert node.stats.malformed == 0


async def test_any_cut_between_chunks_is_no_matter() -> None:
    """Messages that come a byte at a time, or many at once, are the same messages; the last may lack its newline."""
    node = build()
    async with running(node) as network:
        for byte in to_n1(ECHO):
            await network.send_bytes(bytes([byte]))
        await network.send_bytes(to_n1(ECHO) * 20 + to_n1(ECHO).rstrip())
        network.send_eof()
        assert [(await network.receive()).body["echo"] for _ in range(22)] == [1] * 22


@pytest.mark.parametrize(
    "value",
    [
        "123456789012345678901234567890",
        "-123456789012345678901234567890",
        "1e300",
        "0.1",
        '"\\u0000 \\u00e9"',
        '{"": {}}',
    ],
)
async def test_echo_returns_any_value_unchanged(value: str) -> None:
    """Integers of 30 digits, control characters, empty keys: what JSON can carry comes back."""
    async with running(build()) as network:
        await network.send_bytes(to_n1(b'{"type": "echo", "msg_id": 5, "echo": %s}' % value.encode()))
        assert (await network.receive()).body["echo"] == json.loads(value)


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "error", "x": %s}',
        b'{"type": %s, "msg_id": 5}',
        b'{"type": "echo", "msg_id": %s}',
        b'{"type": "echo", "in_reply_to": %s}',
        b'{"type": "echo", "echo": %s, "msg_id": 5}',
        b'{"type": "echo", "echo": %s, "msg_id": "5"}',
        b'{"type": "send_fire_forget", "msg_id": 5, "target": "n2", "payload": {"type": %s}}',
        b'{"type": "proxy", "msg_id": 5, "target": "n1", "inner": {"type": "echo", "echo": %s}}',
    ],
)
async def test_nesting_of_any_depth_does_no_harm(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever in a body it stands, and however near to the limit of what can be decoded, nesting ends nothing."""
    monkeypatch.setattr(stats, "_IN_FULL", 1000)  # each of these is logged, which must do no harm either
    async with running(build()) as network:
        for depth in range(850, 1000):
            await network.send_bytes(to_n1(body % (b"[" * depth + b"]" * depth)))
            await wait_all_tasks_blocked()
            await network.send("probe", {"type": "echo", "msg_id": 1, "echo": depth})
            while (message := await network.receive()).dest != "probe":
                assert message.dest in ("c1", "n1", "n2")
            assert message.body["echo"] == depth


async def test_bad_lines_are_not_all_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Of 1,000 bad lines the first ten and then each power of two are logged, each on one short line."""
    node = build()
    async with running(node) as network:
        await network.send_bytes((b"x" * 10_000 + b"\n") * 1000)
        await network.receive_nothing()
    assert node.stats.malformed == 1000
    assert len(caplog.messages) == 10 + 6
    assert all(len(message) < 300 and "\n" not in message for message in caplog.messages)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "error", "code": 1, "text": "x" * 100_000},
        {"type": 5, "x": "x" * 100_000},
        {"type": "y" * 100_000},
        {"type": "echo", "msg_id": 1, "in_reply_to": [1] * 100_000},
    ],
    ids=["stray error", "mistyped", "unsupported", "in_reply_to"],
)
async def test_log_lines_are_short(body: Body, caplog: pytest.LogCaptureFixture) -> None:
    """However long a bad message is, its line in the log is not."""
    async with running(build()) as network:
        await network.send("c1", body)
        await network.receive_nothing()
    (message,) = caplog.messages
    assert len(message) < 1000


# Anything


fuzz = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

_ids = st.one_of(st.none(), st.booleans(), st.integers(-2, 5), st.integers(), st.floats(), st.text(max_size=3))
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
_types = st.sampled_from(
    ["echo", "echo_ok", "error", "init", "proxy", "send_fire_forget", "pending_count", "reaper_stats", "unheard_of"]
)
_names = st.sampled_from(["n1", "n2", "c1", ""])
_fields: dict[str, st.SearchStrategy[Any]] = {
    "type": _types | _json,
    "msg_id": _ids,
    "in_reply_to": _ids,
    "echo": _json,
    "target": _names | _json,
    "payload": st.fixed_dictionaries({"type": _types}) | _json,
    "inner": st.fixed_dictionaries({"type": _types}) | _json,
    "node_id": _names | _json,
    "node_ids": st.lists(_names, max_size=3) | _json,
    "code": _ids,
    "text": _json,
}
_bodies = st.fixed_dictionaries({}, optional=_fields)
_messages = st.fixed_dictionaries(
    {},
    optional={
        "src": _names | _json,
        "dest": st.just("n1") | _names | _json,
        "body": _bodies | _json,
    },
)
_well_addressed = st.fixed_dictionaries({"src": st.just("c1"), "dest": st.just("n1"), "body": _bodies})


async def serve_and_survive(chunks: list[bytes]) -> None:
    """Give *chunks* to a new messenger and check what must hold whatever they are."""
    node = build()
    probe = {"type": "echo", "echo": "still there", "msg_id": 123456}
    async with running(node) as network:
        for chunk in chunks:
            await network.send_bytes(chunk)
        await network.send_bytes(b"\n")
        await wait_all_tasks_blocked()
        replied_to = []
        await network.send("probe", probe)
        while True:
            message = await network.receive()
            if message.dest == "probe":
                break
            if "in_reply_to" in message.body:
                replied_to.append(message.body["in_reply_to"])
        assert message.body["echo"] == "still there"
        network.send_eof()
    assert len(node.pending) == 0
    stats = node.stats
    assert stats.handler_failures == 0
    assert stats.rpcs == stats.answered + stats.reaped + stats.abandoned + stats.closed
    wants_reply = sum(map(_asks, b"".join(chunks).split(b"\n")))
    assert len(replied_to) <= wants_reply


def _asks(raw: bytes) -> bool:
    """Tell whether *raw* may be answered: it has a number, and is no reply."""
    return b'"msg_id"' in raw and (b'"in_reply_to"' not in raw or b'"in_reply_to": null' in raw)


@pytest.mark.slow
@fuzz
@given(st.lists(st.binary(max_size=60), max_size=8))
@example([b"\xef\xbb\xbf{}\n", b"\x00", b"[" * 5000])
async def test_any_bytes_are_survived(chunks: list[bytes]) -> None:
    """Whatever bytes come, a node goes on to serve, and nothing stays pending at its end."""
    await serve_and_survive(chunks)


@pytest.mark.slow
@fuzz
@given(st.lists(_messages | _well_addressed, max_size=6))
async def test_any_objects_are_survived(messages: list[Any]) -> None:
    """Whatever JSON comes, a node goes on to serve, answers only what asks, and is left with nothing pending."""
    await serve_and_survive([json.dumps(message).encode() + b"\n" for message in messages])


@pytest.mark.slow
@fuzz
@given(st.lists(_well_addressed, max_size=4), st.data())
async def test_messages_cut_anywhere_are_survived(messages: list[Any], data: st.DataObject) -> None:
    """Messages that lose or repeat bytes on the way do no more harm than any others."""
    raw = b"".join(json.dumps(message).encode() + b"\n" for message in messages)
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(0, len(raw)))
    await serve_and_survive([raw[:start], raw[end:]])
