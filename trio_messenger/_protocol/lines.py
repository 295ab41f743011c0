"""Encode and decode JSON lines, without I/O: bytes become messages, and a message becomes a line.

The rules:

- No input raises. A line that is not a message becomes a `MalformedMessage` with its reason.
- The decoder decodes lines one by one: msgspec's ``decode_lines`` would lose a whole chunk if one line is bad.
- The decoder skips a line over the limit up to its end, and never holds more than the limit of it.
- Nothing changes silently. Values that JSON cannot carry (NaN, infinities, lone surrogates, integers past
  Python's limit for conversion) are refused in both directions, and never written as ``null``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final, TypeGuard, final

import msgspec

from .errors import LocalProtocolError
from .excerpts import excerpt_of_line
from .messages import Body, MalformedMessage, Message, reply_parts, request_parts

LINE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of the longest accepted line. The node refuses longer ones; a larger limit costs memory."""

_BOM: Final = b"\xef\xbb\xbf"

_U: Final = ord("u")

_CACHED_NAMES: Final = 200
"""The most characters of a cached combination of names: a peer chooses its name, which may have 16 MiB."""

_CACHE_SIZE: Final = 1024
"""Entries of a cache: more than the clients and nodes of most clusters, and less than a megabyte."""

_SPACELESS: Final = frozenset((str, int, bool, type(None)))
"""Types whose JSON contains no separators and no NaN, so that it needs no reformatting and no search."""

_IN_REPLY_TO: Final = b', "in_reply_to": '
_MSG_ID: Final = b', "msg_id": '

_NO_JSON: Final = (TypeError, ValueError, OverflowError, RecursionError)
"""The errors of encoding a value that JSON cannot carry."""

_OVERLONG: Final = b"\0\0"
"""Marks a skipped line. It is compared by identity; it has two bytes because Python shares all one-byte objects."""

_decode = msgspec.json.Decoder(Message).decode
_encode = msgspec.json.Encoder().encode
_format = msgspec.json.format


def encode(src: str, dest: str, msg_type: str, fields: Body, msg_id: int, in_reply_to: int | None = None) -> bytes:
    """Return the line of one message, without its newline, with the spacing of ``json.dumps``.

    Text is UTF-8, not escaped to ASCII. Keys that are numbers become strings, as with ``json.dumps``. A set keeps the
    order that Python gives it: sort it if runs must be repeatable.

    The line is assembled from cached parts, because most messages have one plain field or none. For these, this takes
    half the time of encoding and spacing the whole body.

    Args:
      src: The sender.
      dest: The receiver.
      msg_type: The type of its body.
      fields: The rest of its body, with neither a type nor reserved keys.
      msg_id: The number of the message.
      in_reply_to: The number of the request that it answers; None if it is not a reply.

    Raises:
      LocalProtocolError: if JSON cannot carry the body: it contains NaN or an infinity, a lone surrogate, a key that
        is neither a string nor a number, an object of a type without a JSON form, or nesting past Python's limit.
    """
    try:
        is_plain = False
        if len(fields) == 1:
            ((key, value),) = fields.items()
            is_plain = type(value) in _SPACELESS and type(key) is str
        if is_plain:
            beginning, rest = _field_heads[src, dest, msg_type, key], _encode(value)
        elif fields:
            beginning, rest = _heads[src, dest, msg_type] + b", ", _encode_spaced(fields)[1:-1]
        else:
            beginning, rest = _heads[src, dest, msg_type], b""
        if in_reply_to is None:
            return b"".join((beginning, rest, _MSG_ID, _encode(msg_id), b"}}"))
        return b"".join((beginning, rest, _IN_REPLY_TO, _encode(in_reply_to), _MSG_ID, _encode(msg_id), b"}}"))
    except _NO_JSON as exc:
        raise LocalProtocolError(f"JSON cannot carry the {msg_type!r:.80} body to {dest!r:.80}: {exc}") from exc


def _encode_spaced(body: Body) -> bytes:
    compact = _encode(body)
    # msgspec writes NaN and infinities as null. For most lines, a search for one byte rules this out.
    if _U in compact and compact.find(b"null") >= 0:
        _refuse_non_finite(body, "body")
    return _format(compact, indent=0)


def encode_value(value: object, where: str) -> bytes:
    """Return *value* as compact JSON, which contains no newline.

    Args:
      value: What to encode.
      where: The words that name the value in an error.

    Raises:
      LocalProtocolError: if JSON cannot carry the value, as for `encode`.
    """
    try:
        encoded = _encode(value)
        if encoded.find(b"null") >= 0:
            _refuse_non_finite(value, where)
    except _NO_JSON as exc:
        raise LocalProtocolError(f"JSON cannot carry {where}: {exc}") from exc
    return encoded


def check_body(body: object) -> None:
    """Raise `LocalProtocolError` if *body* cannot be a reply, under the conditions of `reply_parts` and `encode`."""
    encode("", "", *reply_parts(body, ""), 0)


def check_request(body: object) -> None:
    """Raise `LocalProtocolError` if *body* cannot be sent, under the conditions of `request_parts` and `encode`."""
    encode("", "", *request_parts(body), 0)


@final
class _Cache(dict[tuple[str, ...], bytes]):
    """A cache of encoded names, made by *make*; encoding the same names for each message would be slow.

    A peer chooses its names, and may use any number of them, so the cache is bounded: a full cache is emptied, and long
    names are not cached. A dict that is emptied occasionally costs a quarter of an ``lru_cache``.
    """

    def __init__(self, make: Callable[..., bytes]) -> None:
        self._make = make

    def __missing__(self, names: tuple[str, ...]) -> bytes:
        made = self._make(*names)
        if sum(map(len, names)) <= _CACHED_NAMES:
            if len(self) >= _CACHE_SIZE:
                self.clear()
            self[names] = made
        return made


def _make_envelope(src: str, dest: str) -> bytes:
    """Return the line of a message up to its body."""
    try:
        return _format(_encode({"src": src, "dest": dest, "body": None}), indent=0).removesuffix(b"null}")
    except ValueError as exc:
        raise LocalProtocolError(f"JSON cannot carry a message from {src!r:.80} to {dest!r:.80}: {exc}") from exc


def _make_head(src: str, dest: str, msg_type: str) -> bytes:
    """Return the line of a message up to the type of its body."""
    return _envelopes[src, dest] + _format(_encode({"type": msg_type}), indent=0).removesuffix(b"}")


def _make_field_head(src: str, dest: str, msg_type: str, key: str) -> bytes:
    """Return the line of a message up to the value of the first field after its type."""
    return b"%b, %b: " % (_heads[src, dest, msg_type], _encode(key))


_envelopes = _Cache(_make_envelope)
_heads = _Cache(_make_head)
_field_heads = _Cache(_make_field_head)


def _refuse_non_finite(value: Any, path: str) -> None:
    """Raise if *value*, which msgspec has encoded already, contains a number that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise LocalProtocolError(f"JSON has no number {value!r}, found at {path}; use null or a string instead")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_non_finite(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _refuse_non_finite(item, f"{path}[{index}]")
    elif not isinstance(value, (str, int, float, bytes)) and value is not None:
        # A record, a set or another type that msgspec knows: look at its parts.
        _refuse_non_finite(msgspec.to_builtins(value), path)


@final
class LineDecoder:
    """Cuts a stream of bytes into lines and decodes each one; keeps an unfinished last line for later.

    It ignores blank lines. A carriage return before the newline is white space, as in JSON.

    Args:
      limit: Bytes of the longest accepted line, without its newline.
    """

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()
        self._held_size = 0  # of the unfinished line, including dropped bytes

    def receive_data(self, data: bytes) -> list[Message]:
        """Take the next bytes of the stream, and return the messages of all lines that they complete."""
        lines = data.split(b"\n")
        rest = lines.pop()
        messages: list[Message] = []
        if lines:
            lines[0] = self._complete(lines[0])
            if len(data) > self._limit:
                lines = [line if len(line) <= self._limit else _OVERLONG for line in lines]
            for line in lines:
                try:
                    messages.append(_decode(line))
                except (ValueError, RecursionError) as exc:
                    messages.extend(self._refuse(line, exc))
        self._hold(rest)
        return messages

    def receive_eof(self) -> list[Message]:
        """Note the end of the stream, and return the message of the last line if it has no newline."""
        return self.receive_data(b"\n")

    def _hold(self, part: bytes) -> None:
        self._held_size += len(part)
        if self._held_size > self._limit:
            self._held.clear()
        elif part:
            self._held += part

    def _complete(self, end: bytes) -> bytes:
        """Return the line that *end* completes."""
        is_overlong = self._held_size + len(end) > self._limit
        line = _OVERLONG if is_overlong else bytes(self._held) + end
        self._held.clear()
        self._held_size = 0
        return line

    def _refuse(self, line: bytes, error: Exception) -> list[MalformedMessage]:
        """Return a malformed message for a *line* that is not a message, or nothing if the line is blank."""
        if line is _OVERLONG:
            reason = f"the line is longer than the limit of {self._limit} bytes; raise the limit or send less"
            return [MalformedMessage("", "", {}, reason, "")]
        if not line.strip():
            return []
        reason, legible = _diagnose(line, error)
        src, dest, body = (legible.get(key) for key in ("src", "dest", "body"))
        reserved = (
            {key: body[key] for key in ("msg_id", "in_reply_to") if key in body} if isinstance(body, dict) else {}
        )
        return [
            MalformedMessage(
                src if _is_text(src) else "",
                dest if _is_text(dest) else "",
                reserved,
                reason,
                excerpt_of_line(line),
            )
        ]


def _is_text(value: object) -> TypeGuard[str]:
    """Tell whether *value* is a string that can be sent, that is, without lone surrogates."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _diagnose(line: bytes, error: Exception) -> tuple[str, dict[str, Any]]:
    """Return what is wrong with a *line* that msgspec refused, and the object in it as far as it can be read.

    The standard library accepts more than JSON (NaN, lone surrogates). So it often can read the sender and the number
    of the message, which is enough to answer it with an error.
    """
    reason = str(error)
    if isinstance(error, RecursionError):
        return "it is nested too deeply", {}
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8: {reason}", {}
    if line.startswith(_BOM):
        line, reason = line.removeprefix(_BOM), "it begins with a byte order mark"
    constants: list[str] = []

    def keep(name: str) -> str:
        constants.append(name)
        return name

    try:
        value = json.loads(line.decode(), parse_constant=keep)
        if constants:
            reason = f"JSON has no number {constants[0]}"
        elif not isinstance(error, msgspec.ValidationError):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        reason = "it contains half of a surrogate pair, which is not a character"
    except (ValueError, RecursionError):
        value = {}
    return reason, value if isinstance(value, dict) else {}
