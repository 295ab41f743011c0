"""A journal as a picture sees it: messages with what became of them, spans of nodes and of faults, in a window of time.

Nothing here knows of pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, final

import attrs
import msgspec

from .._records.journal import Entry
from .._services import SERVICES
from ._search import Found, compile_search
from ._svg import NS

Kind: TypeAlias = Literal["client", "node", "service"]
"""Between whom a message goes: a client and anyone else; two nodes; a node and a service."""

Condition: TypeAlias = Literal["down", "paused"]
"""What a node can be, other than well."""

WORDS: Final = ("clients", "nodes", "services", "errors", "lost", "duplicates")
"""What *only* takes, beside ids and types."""

_CONDITIONS: Final[dict[str, Condition | None]] = {
    "start": None,
    "kill": "down",
    "exit": "down",
    "pause": "paused",
    "resume": None,
}
"""What the events of a node make of it."""


RawBody: TypeAlias = dict[str, msgspec.Raw]
"""A body whose values are the JSON that the sender wrote: numbers of any size stay what they are."""


class _Parsed(msgspec.Struct, gc=False):
    src: str
    dest: str
    body: RawBody


_parse: Final = msgspec.json.Decoder(_Parsed).decode


@final
@attrs.frozen(kw_only=True)
class Passage:
    """A message from its sending to one of its ends. One that was duplicated has several passages."""

    send: Entry
    """Its sending."""
    end: Entry | None
    """Its delivery or its loss; None if it was on its way when the run ended."""
    src: str
    dest: str
    type: str
    """The type of its body; empty if it has none."""
    body: RawBody
    kind: Kind
    is_copy: bool
    """Whether this is what a duplication made."""

    @property
    def is_reply(self) -> bool:
        """Whether it answers something."""
        return "in_reply_to" in self.body

    @property
    def is_error(self) -> bool:
        """Whether it is an ``error``."""
        return self.type == "error"

    @property
    def is_lost(self) -> bool:
        """Whether it was dropped."""
        return self.end is not None and self.end.event == "drop"

    def is_found(self, found: Found) -> bool:
        """Tell whether a search has *found* it."""
        return found(self.type, self.src, self.dest, msgspec.json.encode(self.body).decode())

    def words(self) -> set[str]:
        """Return all words by which *only* finds it."""
        flags = {"errors": self.is_error, "lost": self.is_lost, "duplicates": self.is_copy}
        return {f"{self.kind}s", self.src, self.dest, self.type, *(word for word, holds in flags.items() if holds)}


@final
@attrs.frozen(kw_only=True)
class FaultSpan:
    """A fault from its beginning to its end."""

    index: int
    """Its place in the schedule."""
    text: str
    """What it is."""
    begin: Entry
    end: Entry | None
    """None if it lasted to the end."""
    is_of_nodes: bool
    """Whether it befell nodes, as killing does, and not links."""


@final
@attrs.frozen(kw_only=True)
class NodeSpan:
    """A time when a node was not well."""

    node: str
    condition: Condition
    begin: Entry
    end: Entry | None
    """None if it lasted to the end."""


@final
@attrs.frozen(kw_only=True)
class Totals:
    """How many messages a run has, in the window and out of it."""

    messages: int
    errors: int
    """Those that are an ``error``."""
    lost: int
    """Those that were dropped."""
    duplicates: int
    """Those that were duplicated."""


@final
@attrs.frozen(kw_only=True)
class Flow:
    """What happened in a window of time."""

    passages: list[Passage]
    """By when they were sent."""
    left_out: int
    """How many messages of the window are not in `passages`, because there are too many."""
    left_out_from: int | None
    """When the first of those was sent."""
    totals: Totals
    """How many messages there are in the whole run."""
    faults: list[FaultSpan]
    """Those that were in force in the window, by when they began."""
    conditions: list[NodeSpan]
    """Those that any node was in, whenever."""
    events: list[Entry]
    """What befell nodes in the window, and the beginnings and ends of faults."""
    kinds: dict[str, Kind]
    """What everyone is who took part."""


@attrs.frozen
class _Window:
    since: float
    until: float

    @classmethod
    def of(cls, since: float | None, until: float | None) -> _Window:
        start = float("-inf") if since is None else round(since * NS)
        return cls(start, float("inf") if until is None else round(until * NS))

    def __contains__(self, entry: Entry) -> bool:
        return self.since <= entry.t <= self.until

    def overlaps(self, begin: Entry, end: Entry | None) -> bool:
        return begin.t <= self.until and (end is None or end.t >= self.since)


def read(
    journal: Iterable[Entry],
    since: float | None,
    until: float | None,
    only: Collection[str] | None,
    search: str,
    limit: int,
) -> Flow:
    """Read what happened from *since* until *until*, in seconds.

    Args:
      journal: All of it.
      since: None for the beginning.
      until: None for the end.
      only: Words of which one must be true of a message; see `WORDS`. None for all messages.
      search: What to search for in messages; see `compile_search`.
      limit: How many messages at the most; the first ones of the window are kept.
    """
    window = _Window.of(since, until)
    found_by_search = compile_search(search)
    sends, ends, others = _sorted_out(journal)
    nodes = {entry.node for entry in others if entry.node is not None}
    passages: list[Passage] = []
    left_out, left_out_from = 0, None
    kept = 0
    for send in sends:
        found = ends.get(send.id, ())
        if send not in window and not any(entry in window for entry in found if entry.event != "duplicate"):
            continue
        several = _passages(send, found, nodes)
        if only is not None:
            several = [passage for passage in several if not passage.words().isdisjoint(only)]
        if search and several and not several[0].is_found(found_by_search):
            continue
        if not several:
            continue
        if kept == limit:
            left_out += 1
            left_out_from = send.t if left_out_from is None else left_out_from
        else:
            kept += 1
            passages += several
    if left_out_from is not None:
        window = attrs.evolve(window, until=left_out_from)
    events = [entry for entry in others if entry in window and entry.event != "audit"]
    kinds = {name: _kind(name, nodes) for passage in passages for name in (passage.src, passage.dest)}
    kinds |= {entry.node: "node" for entry in events if entry.node is not None}
    return Flow(
        passages=passages,
        left_out=left_out,
        left_out_from=left_out_from,
        totals=_totals(sends, ends),
        faults=[fault for fault in faults(others) if window.overlaps(fault.begin, fault.end)],
        conditions=_conditions(others),
        events=events,
        kinds=kinds,
    )


def _sorted_out(journal: Iterable[Entry]) -> tuple[list[Entry], dict[int | None, list[Entry]], list[Entry]]:
    """Return the sendings, what else became of each message by its number, and all that is of no message."""
    sends: list[Entry] = []
    ends: dict[int | None, list[Entry]] = {}
    others: list[Entry] = []
    for entry in journal:
        if entry.event == "send":
            sends.append(entry)
        elif entry.id is not None:
            ends.setdefault(entry.id, []).append(entry)
        else:
            others.append(entry)
    return sends, ends, others


def _kind(name: str, nodes: Collection[str]) -> Kind:
    if name in nodes:
        return "node"
    if name in SERVICES:
        return "service"
    return "client" if name.startswith("c") else "node"  # as everywhere in Maelstrom


class _Typed(msgspec.Struct, gc=False):
    type: Any = None


class _OfType(msgspec.Struct, gc=False):
    body: _Typed


_parse_type: Final = msgspec.json.Decoder(_OfType).decode


def _totals(sends: Sequence[Entry], ends: Mapping[int | None, Sequence[Entry]]) -> Totals:
    events = [{entry.event for entry in found} for found in ends.values()]
    return Totals(
        messages=len(sends),
        errors=sum(_parse_type(send.message or b"").body.type == "error" for send in sends),
        lost=sum("drop" in each for each in events),
        duplicates=sum("duplicate" in each for each in events),
    )


def _passages(send: Entry, found: Sequence[Entry], nodes: Collection[str]) -> list[Passage]:
    """Return the passages of one message: each end is one, and so is each copy that has no end yet."""
    assert send.message is not None
    message = _parse(send.message)
    kinds = {_kind(message.src, nodes), _kind(message.dest, nodes)}
    kind: Kind = "client" if "client" in kinds else "service" if "service" in kinds else "node"
    type_ = msgspec.json.decode(message.body.get("type", b'""'))
    ends: list[Entry | None] = [entry for entry in found if entry.event != "duplicate"]
    ends += [None] * (1 + len(found) - 2 * len(ends))
    return [
        Passage(
            send=send,
            end=end,
            src=message.src,
            dest=message.dest,
            type=str(type_),
            body=message.body,
            kind=kind,
            is_copy=number > 0,
        )
        for number, end in enumerate(ends)
    ]


def faults(journal: Iterable[Entry]) -> list[FaultSpan]:
    """Return the faults of a run, by when they began."""
    others = [entry for entry in journal if entry.fault is not None and entry.id is None]
    of_nodes = {entry.fault for entry in others if entry.node is not None}
    ends = {entry.fault: entry for entry in others if entry.event == "end"}
    return [
        FaultSpan(
            index=entry.fault,
            text=entry.text or f"fault {entry.fault}",
            begin=entry,
            end=ends.get(entry.fault),
            is_of_nodes=entry.fault in of_nodes,
        )
        for entry in others
        if entry.event == "begin" and entry.fault is not None
    ]


def _conditions(others: Sequence[Entry]) -> list[NodeSpan]:
    spans: list[NodeSpan] = []
    current: dict[str, tuple[Condition | None, Entry]] = {}

    def close(node: str, end: Entry | None) -> None:
        condition, begin = current.pop(node, (None, None))
        if condition is not None and begin is not None:
            spans.append(NodeSpan(node=node, condition=condition, begin=begin, end=end))

    for entry in others:
        if entry.node is not None and entry.event in _CONDITIONS:
            if current.get(entry.node, (None,))[0] == _CONDITIONS[entry.event]:
                continue  # a second blow changes nothing
            close(entry.node, entry)
            current[entry.node] = (_CONDITIONS[entry.event], entry)
    for node in list(current):
        close(node, None)
    return spans
