"""The journal of a run: every send, delivery and drop, and every event of nodes and faults, in order.

Each entry is one line of ``journal.jsonl``. The digest covers these lines. So two runs with the same digest exchanged
the same messages, byte for byte, at the same times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, final, get_args

import msgspec

from trio_messenger import Message

MessageEvent: TypeAlias = Literal["send", "deliver", "drop", "duplicate"]
"""An event of a message. Each message has one ``send``, then one ``deliver`` or ``drop``, and another of these for each
``duplicate``. A message that is still on its way at the end has neither."""

NodeEvent: TypeAlias = Literal["start", "ready", "kill", "pause", "resume", "exit", "begin", "end", "audit"]
"""Any other event. Nodes have ``start`` (the process runs), ``ready`` (``init_ok`` arrived), ``kill``, ``pause``,
``resume`` and ``exit`` (the node ended by itself). Faults have ``begin`` and ``end``. ``audit`` is the beginning of the
audit, in which the simulator reads every node."""

DropReason: TypeAlias = Literal["partition", "loss", "down", "unknown"]
"""Why a message was dropped: a partition, loss, a receiver that is dead or was restarted (``down``), or one that does
not exist (``unknown``)."""


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One line of the journal. The file leaves out fields with default values.

    Example:
      >>> journal = simulate("echo", echo.build, nodes=1, time_limit=1).journal
      >>> sent = next(entry for entry in journal if entry.event == "send")
      >>> bytes(sent.raw)
      b'{"src":"c0","dest":"n1","body":{"type":"init","node_id":"n1","node_ids":["n1"],"msg_id":1}}'
      >>> [(entry.event, entry.t) for entry in journal if entry.id == sent.id]
      [('send', 0), ('deliver', 0)]
    """

    i: int
    """Its index in the journal, from 0."""
    t: int
    """Nanoseconds since the main phase began; negative during set-up."""
    event: MessageEvent | NodeEvent
    """The event."""
    id: int | None = None
    """The number that the network gave to the message."""
    raw: msgspec.Raw | None = msgspec.field(name="message", default=None)
    """With ``send``: the whole message as JSON, as its sender wrote it; ``message`` in the file."""
    reason: DropReason | None = None
    """With ``drop``: the reason."""
    fault: int | None = None
    """The index in the schedule of the fault that begins, ends, or caused the event."""
    node: str | None = None
    """The id of the node that the event concerns."""
    text: str | None = None
    """Details for people."""

    @property
    def message(self) -> Message | None:
        """With ``send``: the message, decoded anew each time."""
        return None if self.raw is None else _decode_message(self.raw)


class _Line(Entry, kw_only=True, gc=False):
    raw: msgspec.Raw = msgspec.field(
        name="message", default=msgspec.Raw()
    )  # msgspec can encode a union with Raw, but not decode it


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(_Line)


_OF_MESSAGES: Final = get_args(MessageEvent)

_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("start", "ready", "kill", "pause", "resume", "exit"), ("node",)),
    **dict.fromkeys(("begin", "end"), ("fault",)),
    **dict.fromkeys(_OF_MESSAGES, ("id",)),
    "send": ("id", "raw"),
}
"""The fields that entries of each event always have."""


_decode_message: Final = msgspec.json.Decoder(Message).decode


def _from_line(line: bytes) -> Entry:
    read = _decoder.decode(line)
    return Entry(**{**msgspec.structs.asdict(read), "raw": read.raw if bytes(read.raw) else None})


@final
class Journal:
    """All entries of a run, in order.

    Example:
      >>> journal = simulate("echo", echo.build, nodes=1, time_limit=1).journal
      >>> journal.check()  # raises nothing: it is complete
      >>> with TemporaryDirectory() as folder:
      ...     path = Path(folder, "journal.jsonl")
      ...     journal.save(path)
      ...     Journal.load(path).digest() == journal.digest()
      True
      >>> b'"event":"send"' in list(journal.lines())[1]
      True
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = list(entries)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __getitem__(self, index: int) -> Entry:
        return self._entries[index]

    def note(self, t: int, event: MessageEvent | NodeEvent, **fields: Any) -> None:
        """Add an entry for an event at *t* nanoseconds."""
        self._entries.append(Entry(i=len(self._entries), t=t, event=event, **fields))

    def shift(self, nanoseconds: int) -> None:
        """Add *nanoseconds* to the time of all entries, to make time count from another moment."""
        for entry in self._entries:
            entry.t += nanoseconds

    def lines(self) -> Iterator[bytes]:
        """Yield each entry as a line of the file, without the newline."""
        yield from map(_encoder.encode, self._entries)

    def digest(self) -> str:
        """Return the SHA-256 digest of the file, in hexadecimal."""
        total = hashlib.sha256()
        for line in self.lines():
            total.update(line + b"\n")
        return total.hexdigest()

    def check(self) -> None:
        """Check the entries, so that code that reads them can rely on their fields.

        Raises:
          ValueError: if an entry lacks a field that its event needs, if a message is malformed, or if an entry refers
            to a message that was not sent before it.
        """
        sent: set[int | None] = set()
        for place, entry in enumerate(self._entries):
            for needed in _NEEDS.get(entry.event, ()):
                if getattr(entry, needed) is None:
                    name = "message" if needed == "raw" else needed
                    raise ValueError(f"entry {place}: the {entry.event!r} event has no {name}")
            if entry.raw is not None:
                _decode_message(entry.raw)
                sent.add(entry.id)
            elif entry.event in _OF_MESSAGES and entry.id not in sent:
                raise ValueError(f"entry {place}: {entry.event!r} of message {entry.id}, which was not sent before")

    def save(self, path: Path) -> None:
        """Write the journal to the file *path*."""
        with path.open("wb") as file:
            for line in self.lines():
                file.write(line + b"\n")

    @classmethod
    def load(cls, path: Path) -> Journal:
        """Read a file that `save` wrote."""
        with path.open("rb") as file:
            return cls(map(_from_line, file))
