"""What is sent and what has to come back: request lines, prepared beforehand, and the check of all replies."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

INIT = b'{"id":0,"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1","n2"]}}\n'


class WrongReplyError(Exception):
    """What came back is not what was to come back."""


class ReplyBody(msgspec.Struct):
    """What is read of a body that a node sent."""

    type: str
    msg_id: int = -1
    in_reply_to: int = -1
    echo: str = ""
    value: int = -1


class Reply(msgspec.Struct):
    """A line that a node sent."""

    src: str
    dest: str
    body: ReplyBody


decode = msgspec.json.Decoder(Reply).decode


def requests(kind: str, count: int) -> list[bytes]:
    """Return *count* lines as Maelstrom writes them: compact, "id" first; an echo is about 99 bytes long."""
    content = '"echo":"hello {0}"' if kind == "echo" else '"value":{0}'
    line = '{{"id":{0},"src":"c1","dest":"n1","body":{{"type":"' + kind + '","msg_id":{0},' + content + "}}}}\n"
    return [line.format(k).encode() for k in range(100_000, 100_000 + count)]  # ids of one length


def check(kind: str, count: int, lines: Iterable[bytes]) -> None:
    """Check that *lines* answer `requests`, in whatever order.

    Raises:
      WrongReplyError: if a line is no reply, a wrong one or one too many, or if one is missing.
    """
    missing = set(range(100_000, 100_000 + count))
    for line in lines:
        try:
            reply = decode(line)
        except msgspec.DecodeError as exc:
            raise WrongReplyError(f"{exc}: {line!r:.300}") from None
        body = reply.body
        k = body.in_reply_to
        content_is_right = body.echo == f"hello {k}" if kind == "echo" else body.value == k
        is_right = content_is_right and body.type == kind + "_ok" and (reply.src, reply.dest) == ("n1", "c1")
        if not is_right or k not in missing:
            raise WrongReplyError(f"a {kind!r} request was answered with {line!r:.300}")
        missing.remove(k)
    if missing:
        raise WrongReplyError(f"{len(missing)} of {count} {kind!r} requests got no reply")
