"""The payloads of NATS messages: lines of the protocol, which must agree with the subjects under which they came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import msgspec

from .._protocol.lines import LineDecoder
from .._protocol.messages import MalformedMessage, Message
from .subjects import subject_part

INIT_SRC: Final = "init"
"""The sender of the ``init`` message that the transport makes from the configuration. No node or client has this id."""


class _Addressed(msgspec.Struct, gc=False):
    dest: str


_decode_addressed: Final = msgspec.json.Decoder(_Addressed).decode


def dest_of(line: bytes) -> str:
    """Return where the message in *line* goes."""
    return _decode_addressed(line).dest


@final
class PayloadDecoder:
    """Decodes what has arrived for a node.

    Args:
      node_id: The id of the node.
      count: Called with a counter and a text, for each message that is dropped.
    """

    def __init__(self, node_id: str, count: Callable[[str, str], object]) -> None:
        self._node_id = node_id
        self._count = count
        self._decoder = LineDecoder()

    def decode(self, arrived: list[tuple[str, bytes]]) -> list[Message]:
        """Return the messages of *arrived*, pairs of a subject and a payload.

        Leaves out those without content, and those that lie about where they come from or go to.
        """
        parts: list[str] = []  # of the senders, from the subjects
        lines: list[bytes] = []
        for subject, payload in arrived:
            line = payload.replace(b"\n", b" ")  # JSON needs no newline
            if line.strip():
                parts.append(subject.rpartition(".")[2])
                lines.append(line)
            else:
                self._count("nats_blank", "dropped a message without content")
        messages = self._decoder.receive_data(b"\n".join(lines) + b"\n")
        pairs = zip(messages, parts, strict=True)  # each line that is not blank makes one message
        return [message for message, part in pairs if self._is_true(message, part)]

    def _is_true(self, message: Message, src_part: str) -> bool:
        try:
            is_true = message.dest == self._node_id and subject_part(message.src) == src_part != INIT_SRC
        except ValueError:
            is_true = False
        if is_true or (isinstance(message, MalformedMessage) and not message.src):
            return True
        self._count("nats_forged", f"dropped a message from {src_part!r} that says it is from {message.src!r:.80}")
        return False
