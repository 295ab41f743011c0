"""The codec: JSON lines in and out, whatever comes in and however it is cut."""

from __future__ import annotations

import itertools
import json
import sys
import tracemalloc
from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from support.codec import JSON_VALUES, feed, without_reserved

from trio_messenger import MalformedMessage, Message
from trio_messenger._protocol import lines
from trio_messenger._protocol.lines import (
    LINE_LIMIT,
    LineDecoder,
    encode,
)

BIG = 123_456_789_012_345_678_901_234_567_890

# Bodies as Python and as JSON has them, for messages of a to b; and whole messages.
BODIES: list[tuple[dict[str, Any], str]] = [
    ({"n": None, "t": True, "f": False}, '{"n": null, "t": true, "f": false}'),
    ({"id": 0}, '{"id": 0}'),
    ({"big": [BIG, -BIG]}, f'{{"big": [{BIG}, -{BIG}]}}'),
    ({"x": 2**63, "y": -(2**63) - 1, "z": 2**64}, f'{{"x": {2**63}, "y": {-(2**63) - 1}, "z": {2**64}}}'),
    ({"x": 10**4299}, f'{{"x": {10**4299}}}'),
    ({"f": [0.5, -0.0, 1.5e300, 0.1]}, '{"f": [0.5, -0.0, 1.5e300, 0.1]}'),
    ({"e": [[], {}, "", [{}]]}, '{"e": [[], {}, "", [{}]]}'),
    ({"": {"": 1}}, '{"": {"": 1}}'),
    ({"s": 'a"b\\c\n\t\r\b\f/'}, r'{"s": "a\"b\\c\n\t\r\b\f/"}'),
    ({"s": "\0\x1f"}, r'{"s": "\u0000\u001f"}'),
    ({"s": "null NaN: , {"}, '{"s": "null NaN: , {"}'),
]
MESSAGES = [
    (
        Message("c1", "n1", {"type": "echo", "msg_id": 1}),
        '{"src": "c1", "dest": "n1", "body": {"type": "echo", "msg_id": 1}}',
    ),
    (
        Message("n1", "c1", {"type": "echo_ok", "in_reply_to": 0, "msg_id": 0}),
        '{"src": "n1", "dest": "c1", "body": {"type": "echo_ok", "in_reply_to": 0, "msg_id": 0}}',
    ),
    (Message("", "", {"type": "", "msg_id": 0}), '{"src": "", "dest": "", "body": {"type": "", "msg_id": 0}}'),
    (
        Message("ä", "😀", {"type": "é", "s": "é\x7f\u2028\ufeff", "msg_id": 1}),
        '{"src": "ä", "dest": "😀", "body": {"type": "é", "s": "é\x7f\u2028\ufeff", "msg_id": 1}}',
    ),
    *(
        (
            Message("a", "b", {"type": "t", **body, "msg_id": 7}),
            f'{{"src": "a", "dest": "b", "body": {{"type": "t", {line[1:-1]}, "msg_id": 7}}}}',
        )
        for body, line in BODIES
    ),
]
LINES = [(message, line.encode()) for message, line in MESSAGES]


def encoded(message: Message) -> bytes:
    """Return the line of *message*, whose body has a type and a number."""
    fields = dict(message.body)
    msg_type, msg_id, in_reply_to = fields.pop("type"), fields.pop("msg_id"), fields.pop("in_reply_to", None)
    return encode(message.src, message.dest, msg_type, fields, msg_id, in_reply_to)


def the_malformed(data: bytes, limit: int = LINE_LIMIT) -> MalformedMessage:
    """Decode *data*, which is one malformed line, whole and a byte at a time."""
    [message] = feed(data, limit=limit)
    assert isinstance(message, MalformedMessage)
    assert feed(data, 1, limit) == [message]
    return message


# Both ways


@pytest.mark.parametrize(("message", "line"), LINES, ids=range(len(LINES)))
def test_a_message_is_its_line_and_the_line_its_message(message: Message, line: bytes) -> None:
    """One table holds both ways: encoding gives the line, and decoding the line gives the message."""
    assert encoded(message) == line
    for size in (0, 1, 7):
        [decoded] = feed(line + b"\n", size)
        assert decoded == message
        assert repr(decoded) == repr(message)  # repr tells True from 1 and 0.0 from -0.0


@pytest.mark.parametrize(("message", "line"), LINES, ids=range(len(LINES)))
def test_what_follows_a_line_does_not_change_it(message: Message, line: bytes) -> None:
    """Bytes behind the newline belong to the next line and wait for its end."""
    decoder = LineDecoder()
    assert decoder.receive_data(line + b"\n" + line[:9]) == [message]
    assert decoder.receive_data(line[9:]) == []
    assert decoder.receive_data(b"\n\n" + line + b"\n") == [message, message]


def test_many_lines_in_one_piece_come_out_in_order() -> None:
    """A piece of the stream gives the messages of all lines that it completes, in their order."""
    data = b"".join(line + b"\n" for _, line in LINES)
    for size in (0, 1, 2, 3, 64, 1000):
        assert feed(data, size) == [message for message, _ in LINES]


@pytest.mark.parametrize("message", [message for message, line in LINES if line.isascii()], ids=str)
def test_ascii_is_spaced_and_escaped_as_json_dumps_does(message: Message) -> None:
    """What is ASCII leaves byte for byte as the standard library writes it."""
    plain = {"src": message.src, "dest": message.dest, "body": message.body}
    exponents_alike = json.dumps(plain).replace("e+", "e")  # 1.5e300 has two spellings in JSON
    assert encoded(message) == exponents_alike.encode()


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4), st.text(), st.text(), st.text())
def test_any_json_value_round_trips(fields: dict[str, Any], src: str, dest: str, msg_type: str) -> None:
    """What JSON can carry comes back as it was, type for type, from a line that json.loads reads the same."""
    fields = without_reserved(fields)
    body = {"type": msg_type, **fields, "msg_id": 7}
    line = encode(src, dest, msg_type, fields, 7)
    assert b"\n" not in line
    [message] = feed(line + b"\n")
    assert repr(message) == repr(Message(src, dest, body))
    assert repr(json.loads(line)) == repr({"src": src, "dest": dest, "body": body})


def test_records_and_sequences_leave_as_json_has_them() -> None:
    """Records are objects, tuples and sets are arrays, wherever in a body they are."""

    @attrs.frozen
    class Point:
        x: int
        y: object

    fields = {"a": Point(1, Point(2, None)), "b": (1, (2,)), "c": {3}, "d": [Point(1, frozenset())]}
    assert encode("a", "b", "t", fields, 7) == (
        b'{"src": "a", "dest": "b", "body": {"type": "t", "a": {"x": 1, "y": {"x": 2, "y": null}}, '
        b'"b": [1, [2]], "c": [3], "d": [{"x": 1, "y": []}], "msg_id": 7}}'
    )


# Lines that are no messages


def wrap(body: str) -> bytes:
    """Return the line of a request of c1 to n1 whose body has *body* at its end."""
    return f'{{"src":"c1","dest":"n1","body":{{"msg_id":3,"in_reply_to":0,"type":"t","v":{body}}}}}\n'.encode()


NOBODY: tuple[str, str, dict[str, Any]] = ("", "", {})
KNOWN: tuple[str, str, dict[str, Any]] = ("c1", "n1", {"msg_id": 3, "in_reply_to": 0})

BAD_UTF8 = "it is not UTF-8: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"

REFUSED = [
    (b"hello\n", "JSON is malformed: invalid character (byte 0)", NOBODY),
    (b'{"src": "a"\n', "Input data was truncated", NOBODY),
    (b'{"src":"a","dest":"b","body":{}} {}\n', "JSON is malformed: trailing characters (byte 34)", NOBODY),
    (b"[]\n", "Expected `object`, got `array`", NOBODY),
    (b"null\n", "Expected `object`, got `null`", NOBODY),
    (b"3\n", "Expected `object`, got `int`", NOBODY),
    (b'"src"\n', "Expected `object`, got `str`", NOBODY),
    (b"NaN\n", "JSON has no number NaN", NOBODY),
    (b"{}\n", "Object missing required field `src`", NOBODY),
    (b'{"src":"c1","dest":"n1"}\n', "Object missing required field `body`", ("c1", "n1", {})),
    (b'{"src":"c1","body":{"msg_id":3}}\n', "Object missing required field `dest`", ("c1", "", {"msg_id": 3})),
    (
        b'{"src":1,"dest":"n1","body":{"msg_id":3}}\n',
        "Expected `str`, got `int` - at `$.src`",
        ("", "n1", {"msg_id": 3}),
    ),
    (b'{"src":"c1","dest":[],"body":{}}\n', "Expected `str`, got `array` - at `$.dest`", ("c1", "", {})),
    (b'{"src":"c1","dest":null,"body":{}}\n', "Expected `str`, got `null` - at `$.dest`", ("c1", "", {})),
    (b'{"src":"c1","dest":"n1","body":[]}\n', "Expected `object`, got `array` - at `$.body`", ("c1", "n1", {})),
    (b'{"src":"c1","dest":"n1","body":null}\n', "Expected `object`, got `null` - at `$.body`", ("c1", "n1", {})),
    (
        b'{"src":1,"dest":"n1","body":{"msg_id":true}}\n',
        "Expected `str`, got `int` - at `$.src`",
        ("", "n1", {"msg_id": True}),
    ),
    (rb'{"src":1,"dest":"n1","body":{"v":"\ud800"}}' + b"\n", "Expected `str`, got `int` - at `$.src`", ("", "n1", {})),
    (wrap("NaN"), "JSON has no number NaN", KNOWN),
    (wrap('[1,{"a":Infinity}]'), "JSON has no number Infinity", KNOWN),
    (wrap("-Infinity"), "JSON has no number -Infinity", KNOWN),
    (wrap("[NaN,Infinity]"), "JSON has no number NaN", KNOWN),
    (wrap("nan"), None, NOBODY),
    (wrap("1e999"), "Number out of range - at `$.body[...]`", KNOWN),
    (wrap(r'"\ud800"'), "it contains half of a surrogate pair, which is not a character", KNOWN),
    (wrap(r'{"a\udfff":[]}'), "it contains half of a surrogate pair, which is not a character", KNOWN),
    (wrap("9" * 5000), "Integer value out of range - at `$.body[...]`", NOBODY),
    (wrap('"\0"'), None, NOBODY),
    (b"\0\n", "JSON is malformed: invalid character (byte 0)", NOBODY),
    (b"\0\0\n", "JSON is malformed: invalid character (byte 0)", NOBODY),
    (b"\xef\xbb\xbf" + wrap("1"), "it begins with a byte order mark", KNOWN),
    (b"\xef\xbb\xbf\n", "it begins with a byte order mark", NOBODY),
    (b"\xef\xbb\xbf\xef\xbb\xbf{}\n", "it begins with a byte order mark", NOBODY),
    (b"\xff\xfe{\n", "JSON is malformed: invalid character (byte 0)", NOBODY),
    (wrap('"?"').replace(b"?", b"\xff"), BAD_UTF8, NOBODY),
    (b'{"src":1,"dest":"\xff"}\n', "Expected `str`, got `int` - at `$.src`", NOBODY),
    (wrap("[" * 100_000 + "]" * 100_000), "it is nested too deeply", NOBODY),
    (wrap('{"a":' * 100_000), "it is nested too deeply", NOBODY),
    (b"[" * 100_000 + b"\n", None, NOBODY),
]


@pytest.mark.every_python
@pytest.mark.slow
@pytest.mark.parametrize(("line", "reason", "salvaged"), REFUSED, ids=[f"{case[0][-40:]!r}" for case in REFUSED])
def test_a_line_that_is_no_message_tells_why(
    line: bytes, reason: str | None, salvaged: tuple[str, str, dict[str, Any]]
) -> None:
    """A bad line gives its reason, its beginning, and as much of sender and number as can be read; the next is fine."""
    malformed = the_malformed(line)
    if reason is not None:  # else it is the parser's affair at which byte it stops
        assert malformed.reason == reason
    assert (malformed.src, malformed.dest, malformed.body) == salvaged
    assert malformed.excerpt == ascii(line.rstrip(b"\n")[:120])[2:-1]
    assert "\n" not in malformed.reason
    assert feed(line + LINES[0][1] + b"\n") == [malformed, LINES[0][0]]


@pytest.mark.parametrize("key", ["src", "dest"])
def test_half_a_character_in_an_address_is_not_salvaged(key: str) -> None:
    """An address with half a surrogate pair counts as unreadable: an answer to it could never be sent."""
    whole = {"src": "c1", "dest": "n1", "body": {"type": "t", "msg_id": 3}}
    malformed = the_malformed(json.dumps({**whole, key: "c\ud800"}).encode() + b"\n")
    assert getattr(malformed, key) == ""
    assert malformed.body == {"msg_id": 3}
    encode(malformed.dest, malformed.src, "error", {}, 0, malformed.body["msg_id"])


def test_an_excerpt_is_short_and_plain() -> None:
    """Of a long bad line 120 bytes are shown, escaped, so that it stays one readable line of a log."""
    malformed = the_malformed(b"\t\x1b[31m\xc3\xa9\\" + b"x" * 500 + b"\n")
    assert malformed.excerpt == r"\t\x1b[31m\xc3\xa9\\" + "x" * (120 - 9)


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"  \n", b"\t \r\n", b"\n\n\n"])
def test_blank_lines_are_passed_over(blank: bytes) -> None:
    """A blank line is neither a message nor malformed, before and behind a message or on its own."""
    message, line = LINES[0]
    for size in (0, 1):
        assert feed(blank, size) == []
        assert feed(blank + line + b"\n" + blank, size) == [message]


def test_a_carriage_return_before_the_newline_is_white_space() -> None:
    """Lines that end as on Windows are messages like others, also when cut between the two characters."""
    for message, line in LINES:
        for size in (0, 1, len(line) + 1):
            assert feed(line + b"\r\n" + line + b"\r\n", size) == [message, message]


def test_white_space_around_and_inside_is_allowed() -> None:
    """JSON's own white space may stand anywhere in a line."""
    [message] = feed(b' \t{ "src" :"a" ,\t"dest": "b", "body":{ } } \n')
    assert message == Message("a", "b", {})


def test_unknown_keys_beside_the_body_are_ignored() -> None:
    """What Maelstrom adds to a message, such as its own ``id``, does not matter."""
    [message] = feed(b'{"id":7,"src":"a","dest":"b","body":{"type":"t"},"at":[1.5]}\n')
    assert message == Message("a", "b", {"type": "t"})


# Long lines


LIMIT = 64


def line_of(size: int) -> bytes:
    """Return a message of *size* bytes, without its newline."""
    empty = b'{"src":"a","dest":"b","body":{"v":""}}'
    return empty.replace(b'""', b'"' + b"x" * (size - len(empty)) + b'"')


@pytest.mark.parametrize("size", [0, 1, 7, LIMIT, LIMIT + 1])
def test_a_line_of_exactly_the_limit_is_taken(size: int) -> None:
    """The limit counts the line without its newline and is itself allowed."""
    messages = feed(line_of(LIMIT) + b"\n" + line_of(LIMIT) + b"\n", size, LIMIT)
    assert [message.src for message in messages] == ["a", "a"]
    assert not any(isinstance(message, MalformedMessage) for message in messages)


@pytest.mark.parametrize("size", [0, 1, 7, LIMIT, LIMIT + 1, LIMIT + 2, 3 * LIMIT])
@pytest.mark.parametrize("excess", [1, 2, LIMIT, 10 * LIMIT])
def test_a_longer_line_is_skipped_to_its_end(excess: int, size: int) -> None:
    """One byte over the limit and the line is refused once, with the remedy; its neighbours are untouched."""
    good = line_of(40)
    data = good + b"\n" + line_of(LIMIT + excess) + b"\n" + good + b"\n"
    reason = "the line is longer than the limit of 64 bytes; raise the limit or send less"
    [before, refused, after] = feed(data, size, LIMIT)
    assert refused == MalformedMessage("", "", {}, reason, "")
    assert not isinstance(before, MalformedMessage)
    assert before == after


def test_a_long_piece_of_short_lines_is_fine() -> None:
    """The limit is for lines: a piece of the stream may be longer."""
    data = (line_of(LIMIT) + b"\n") * 10
    assert [type(message) for message in feed(data, limit=LIMIT)] == [Message] * 10


def test_a_line_cut_in_an_overlong_piece_is_refused_by_its_own_length() -> None:
    """Held bytes count towards the line that they begin, and towards no other."""
    decoder = LineDecoder(LIMIT)
    start, end = line_of(LIMIT)[:30], line_of(LIMIT)[30:]
    assert decoder.receive_data(start) == []
    messages = decoder.receive_data(end + b"\n" + line_of(LIMIT + 1) + b"\n" + start)
    assert [type(message) for message in messages] == [Message, MalformedMessage]
    assert [type(message) for message in decoder.receive_data(end + b"\n")] == [Message]


def test_the_default_limit_is_16_mib() -> None:
    """A line of 16 MiB is taken, and a byte more is not."""
    assert LINE_LIMIT == 16 * 1024 * 1024
    decoder = LineDecoder()
    for size, kind in ((LINE_LIMIT, Message), (LINE_LIMIT + 1, MalformedMessage)):
        [message] = decoder.receive_data(line_of(size) + b"\n")
        assert type(message) is kind


@pytest.mark.every_python
@pytest.mark.slow
@pytest.mark.parametrize("piece", [2, 64, 4096])
@pytest.mark.parametrize("times", [1, 10], ids=["the limit", "ten times the limit"])
def test_memory_held_of_a_line_is_bounded(piece: int, times: int) -> None:
    """However long a line and in however small pieces, about the limit is the most that is ever held of it."""
    limit = 16384
    decoder = LineDecoder(limit)
    pieces = limit // piece * times
    tracemalloc.start()
    try:
        for _ in range(pieces):
            decoder.receive_data(bytes(bytearray(b"x" * piece)))  # a new object each time, as os.read() makes
        _, peak = tracemalloc.get_traced_memory()
        # Not what a thread of pytest-xdist has received meanwhile, which is about as much as the bound.
        ours = [tracemalloc.Filter(True, path) for path in (__file__, lines.__file__)]
        held = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(ours).traces)
    finally:
        tracemalloc.stop()
    assert peak < 3 * limit
    assert times == 1 or held < 1000
    [refused] = decoder.receive_data(b"x\n")
    assert isinstance(refused, MalformedMessage)


# The end


def test_a_last_line_without_newline_counts_at_the_end() -> None:
    """At the end of the stream the unfinished line is a line: a message, or malformed, or over the limit."""
    message, line = LINES[0]
    decoder = LineDecoder(80)
    assert decoder.receive_data(line) == []
    assert decoder.receive_eof() == [message]
    assert decoder.receive_eof() == []
    decoder.receive_data(line[:-1])
    [cut] = decoder.receive_eof()
    assert isinstance(cut, MalformedMessage)
    assert cut.reason == "Input data was truncated"
    decoder.receive_data(b"x" * 81)
    [long] = decoder.receive_eof()
    assert isinstance(long, MalformedMessage)
    assert long.reason == "the line is longer than the limit of 80 bytes; raise the limit or send less"


def test_the_end_of_an_empty_stream_is_nothing() -> None:
    """No bytes, no messages; nor do blank ones make any."""
    assert LineDecoder().receive_eof() == []
    assert LineDecoder().receive_data(b"") == []
    decoder = LineDecoder()
    decoder.receive_data(b" \r")
    assert decoder.receive_eof() == []


# Anything at all


SNIPPETS = st.sampled_from(
    [
        *(line for _, line in LINES),
        *(line for line, _, _ in REFUSED if len(line) < 200),
        *b'\n \r \0 { } [ ] " , : NaN null \xff \xef\xbb\xbf 1e999 \\ud800 \\'.split(b" "),
        b'{"src":',
        b'"body":{',
        b"\n",
    ]
)
STREAMS = st.lists(SNIPPETS | st.binary(max_size=20), max_size=12).map(b"".join)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut *data* at *places*, which may be anything."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STREAMS | st.binary(), st.lists(st.integers(0, 10_000), max_size=10), st.sampled_from([0, 1, 8, 64, 2000]))
@example(b"\0\n", [1], 2000)
@example(b"x" * 65 + b"\n", [64], 64)
def test_no_bytes_raise_and_no_cut_matters(data: bytes, places: list[int], limit: int) -> None:
    """Any bytes in any pieces give the same messages, one for each line that is not blank, and never an error."""
    decoder = LineDecoder(limit)
    messages = [message for piece in cut(data, places) for message in decoder.receive_data(piece)]
    messages += decoder.receive_eof()
    whole = LineDecoder(limit)
    assert whole.receive_data(data) + whole.receive_eof() == messages
    assert len(messages) == sum(1 for line in data.split(b"\n") if line.strip() or len(line) > limit)
    for message in messages:
        assert isinstance(message.src, str)
        assert isinstance(message.dest, str)
        if isinstance(message, MalformedMessage):
            assert message.body.keys() <= {"msg_id", "in_reply_to"}
            assert message.excerpt.isascii()
            assert message.reason
            assert "\n" not in message.reason + message.excerpt


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STREAMS)
def test_what_was_decoded_can_be_encoded(data: bytes) -> None:
    """Whatever came in as a message can go out again, and comes back the same."""
    for message in feed(data + b"\n"):
        if not isinstance(message, MalformedMessage):
            [again] = feed(encode(message.src, message.dest, "t", {"body": message.body}, 0) + b"\n")
            assert (again.src, again.dest) == (message.src, message.dest)
            assert repr(again.body["body"]) == repr(message.body)


def test_the_recursion_limit_is_left_alone() -> None:
    """Refusing what is too deep changes nothing for the rest of the process."""
    before = sys.getrecursionlimit()
    feed(b"[" * 100_000 + b"\n")
    assert sys.getrecursionlimit() == before
