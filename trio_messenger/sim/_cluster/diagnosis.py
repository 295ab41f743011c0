"""Diagnosis: explains what is wrong with the output of a node that sends nothing usable.

Authors of nodes in other languages make the same few mistakes: a reply without ``in_reply_to``, a message over several
lines, a line without a newline. The node works, but seems dead. So the simulator examines its output and reports it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from trio_messenger import Body, Message

from .._records.cut_texts import cut_json
from .._records.journal import Entry

_decode = msgspec.json.Decoder(Message).decode


class _Head(msgspec.Struct, gc=False):
    """The ids of a body, without its other fields, which may be large."""

    msg_id: Any = None
    in_reply_to: Any = None


class _Sent(msgspec.Struct, gc=False):
    src: str
    dest: str
    body: _Head


_decode_head = msgspec.json.Decoder(_Sent).decode

_TYPE_NAMES: Final = {str: "a string", float: "a float", bool: "a boolean", list: "a list", dict: "an object"}
"""Names for the types of values that should be integers. Other values explain themselves."""

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def why_no_json(line: bytes, error: str) -> str:
    """Return what is wrong with a printed *line* that is not JSON according to *error*, and the remedy."""
    if line.startswith(codecs.BOM_UTF8):
        return "begins with a byte order mark; print UTF-8 without one"
    if line.startswith(_UTF_16) or b"\0" in line[:4]:
        return "seems to be UTF-16; print UTF-8"
    if line.startswith((b"{'", b'{"')) and "trailing characters" in error:
        return "has more than one JSON value; end each message with a newline"
    if line.startswith(b"{'"):
        return "is not JSON, which needs double quotes; encode messages with a JSON library"
    if line.startswith(b"{") and "truncated" in error:
        return "is only the beginning of a JSON object; print each message on one line"
    return "is not JSON; write logs to stderr"


def what_came(entries: Iterable[Entry], node_id: str, client_id: str, request: Body) -> str:
    """Return what a node sent instead of the reply that a client waited for; an empty string if it sent nothing.

    Args:
      entries: The entries of the journal since the request was sent.
      node_id: The node that received the request.
      client_id: The client that sent it.
      request: The body of the request, with its ``msg_id``.
    """
    sent = [message for message in map(_decode, _lines(entries)) if message.src == node_id]
    for message in sent:
        type_ = message.body.get("type")
        if type_ == f"{request['type']}_ok" or (type_ == "error" and message.dest == client_id):
            return f"it sent {cut_json(message.body)} {_why_no_reply(message, client_id, request['msg_id'])}"
    if not sent:
        return ""
    count = "one other message" if len(sent) == 1 else f"{len(sent)} other messages, the first"
    return f"it sent {count}: {cut_json(sent[0].body)} to {sent[0].dest!r}"


def unmatched_replies(entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    """Find messages from nodes to clients that match no request of the client. A late reply does match one.

    Returns:
      By the id of each node that sent any: their ``count``, and the ``first`` of them with what is wrong with it.
    """
    asked: dict[str, int] = {}  # the last msg_id of each client; clients count from 1
    found: dict[str, dict[str, Any]] = {}
    for line in _lines(entries):
        sent = _decode_head(line)
        if sent.src.startswith("c"):
            asked[sent.src] = sent.body.msg_id
        elif sent.dest in asked and not _is_number(sent.body.in_reply_to, asked[sent.dest]):
            if sent.src not in found:
                message = _decode(line)
                why = _why_no_reply(message, sent.dest, asked[sent.dest])
                found[sent.src] = {"count": 0, "first": f"{cut_json(message.body)} {why}"}
            found[sent.src]["count"] += 1
    return found


def _lines(entries: Iterable[Entry]) -> Iterator[msgspec.Raw]:
    return (entry.raw for entry in entries if entry.raw is not None)


def _is_number(value: object, last: int) -> bool:
    """Tell whether *value* is an integer from 1 to *last*; true and 1.0 are not integers, although they equal 1."""
    return type(value) is int and 1 <= value <= last


def _why_no_reply(message: Message, client_id: str, msg_id: int) -> str:
    """Return what is wrong with a message that should have been the reply to the request *msg_id* of *client_id*."""
    if message.dest != client_id:
        return f"to {message.dest!r}, but {client_id!r} sent the request: send a reply to the src of its request"
    remedy = f"a reply must repeat the msg_id of its request there, as the integer {msg_id}"
    if "in_reply_to" not in message.body:
        return f"without in_reply_to: {remedy}"
    value = message.body["in_reply_to"]
    kind = f" ({_TYPE_NAMES[type(value)]})" if type(value) in _TYPE_NAMES else ""
    return f"with the in_reply_to {cut_json(value)}{kind}: {remedy}"
