"""Lines that are fed to a decoder, and values that JSON has."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from trio_messenger import Message
from trio_messenger._protocol.lines import (
    LINE_LIMIT,
    LineDecoder,
)


def without_reserved(fields: dict[str, Any]) -> dict[str, Any]:
    """Return *fields* without the keys that a node sets."""
    return {key: value for key, value in fields.items() if key not in ("type", "in_reply_to", "msg_id")}


def feed(data: bytes, size: int = 0, limit: int = LINE_LIMIT) -> list[Message]:
    """Decode *data* in pieces of *size* bytes (0: whole), without its end."""
    decoder = LineDecoder(limit)
    return [
        message
        for start in range(0, len(data), size or len(data))
        for message in decoder.receive_data(data[start : start + (size or len(data))])
    ]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def whole(src: str, dest: str, body: dict[str, Any]) -> bytes:
    """Return the line of a message, encoded and spaced in one piece."""
    return msgspec.json.format(msgspec.json.encode({"src": src, "dest": dest, "body": body}), indent=0)
