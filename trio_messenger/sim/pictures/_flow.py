"""The content of a picture, read from a journal: messages with their fate, and spans of nodes and faults.

Nothing here depends on pixels.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, final

import attrs
import msgspec

from .._records.journal import Entry
from .._services import SERVICES
from ._search import Found, compile_search
from ._svg import NS

Kind: TypeAlias = Literal["client", "node", "service"]
"""The ends of a message: a client and anyone else; two nodes; or a node and a service."""

Condition: TypeAlias = Literal["down", "paused"]
"""An abnormal state of a node."""

WORDS: Final = ("clients", "nodes", "services", "errors", "lost", "duplicates")
"""The words that *only* accepts, besides ids and types."""

_CONDITIONS: Final[dict[str, Condition | None]] = {
    "start": None,
    "kill": "down",
    "exit": "down",
    "pause": "paused",
    "resume": None,
}
"""The condition of a node after each event; None is normal."""


RawBody: TypeAlias = dict[str, msgspec.Raw]
"""A body whose values are the sender's JSON text, so that numbers of any size stay unchanged."""


class _Parsed(msgspec.Struct, gc=False):
    src: str
    dest: str
    body: RawBody


_parse: Final = msgspec.json.Decoder(_Parsed).decode


@final
@attrs.frozen(kw_only=True)
class Passage:
    """A message from its sending to one of its ends. A duplicated message has several passages."""

    send: Entry
    """The entry of its sending."""
    end: Entry | None
    """The entry of its delivery or loss; None if it was still on its way when the run ended."""
    src: str
    dest: str
    type: str
    """The type of its body; empty if it has none."""
    body: RawBody
    kind: Kind
    is_copy: bool
    """Whether it is a copy that the network made."""

    @property
    def is_reply(self) -> bool:
        """Whether it is a reply."""
        return "in_reply_to" in self.body

    @property
    def is_error(self) -> bool:
        """Whether its type is ``error``."""
        return self.type == "error"

    @property
    def is_lost(self) -> bool:
        """Whether it was dropped."""
        return self.end is not None and self.end.event == "drop"

    def is_found(self, found: Found) -> bool:
        """Tell whether the search *found* matches it."""
        return found(self.type, self.src, self.dest, msgspec.json.encode(self.body).decode())

    def words(self) -> set[str]:
        """Return all words of *only* that match it."""
        flags = {"errors": self.is_error, "lost": self.is_lost, "duplicates": self.is_copy}
        return {f"{self.kind}s", self.src, self.dest, self.type, *(word for word, holds in flags.items() if holds)}


@final
@attrs.frozen(kw_only=True)
class FaultSpan:
    """A fault from its beginning to its end."""

    index: int
    """Its index in the schedule."""
    text: str
    """Its description."""
    begin: Entry
    end: Entry | None
    """None if it lasted until the end of the run."""
    is_of_nodes: bool
    """True for a fault of nodes, such as a kill; False for a fault of links."""


@final
@attrs.frozen(kw_only=True)
class NodeSpan:
    """A span of time in which a node was down or paused."""

    node: str
    condition: Condition
    begin: Entry
    end: Entry | None
    """None if it lasted until the end of the run."""


@final
@attrs.frozen(kw_only=True)
class Totals:
    """The numbers of messages in the whole run, inside the window and outside."""

    messages: int
    errors: int
    """Messages of type ``error``."""
    lost: int
    """Messages that were dropped."""
    duplicates: int
    """Messages that were duplicated."""


@final
@attrs.frozen(kw_only=True)
class Flow:
    """The messages, faults and events in a window of time."""

    passages: list[Passage]
    """The passages, in the order of sending."""
    left_out: int
    """The number of messages in the window that are not in `passages`, because there are too many."""
    left_out_from: int | None
    """The time when the first of these was sent, in nanoseconds; None if there are none."""
    totals: Totals
    """The numbers of messages in the whole run."""
    faults: list[FaultSpan]
    """The faults that were active in the window, in the order of their beginnings."""
    conditions: list[NodeSpan]
    """The conditions of all nodes during the whole run."""
    events: list[Entry]
    """The events of nodes in the window, and the beginnings and ends of faults."""
    kinds: dict[str, Kind]
    """The kind of each participant."""


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


def read_flow(
    journal: Iterable[Entry],
    since: float | None,
    until: float | None,
    only: Collection[str] | None,
    search: str,
    limit: int,
) -> Flow:
    """Read the part of a journal between *since* and *until*, in seconds.

    Args:
      journal: The whole journal.
      since: The beginning of the window; None for the beginning of the run.
      until: The end of the window; None for the end of the run.
      only: Words, at least one of which must match a message; see `WORDS`. None for all messages.
      search: The text to search for in messages; see `compile_search`.
      limit: The maximum number of messages; the first ones of the window are kept.
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


def words_of(flow: Flow) -> list[str]:
    """Return the words of *only* that match messages: those of `WORDS` first, then types, then ids, of clients last."""
    found: set[str] = set().union(*(passage.words() for passage in flow.passages))
    types = [passage.type for passage in flow.passages]
    ids = sorted(flow.kinds, key=lambda name: (flow.kinds[name] == "client", natural(name)))
    return [word for word in dict.fromkeys([*WORDS, *types, *ids]) if word in found and word]


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a key that sorts numbers in names by value: n2 before n10."""
    parts = [part.lstrip("0") or "0" if part.isdecimal() else part for part in re.findall(r"[0-9]+|[^0-9]+", name)]
    return [(len(part), part) if part.isdecimal() else (0, part) for part in parts], name


def _sorted_out(journal: Iterable[Entry]) -> tuple[list[Entry], dict[int | None, list[Entry]], list[Entry]]:
    """Return the sendings, the later entries of each message by its number, and the entries without a message."""
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
        errors=sum(_parse_type(send.raw or b"").body.type == "error" for send in sends),
        lost=sum("drop" in each for each in events),
        duplicates=sum("duplicate" in each for each in events),
    )


def _passages(send: Entry, found: Sequence[Entry], nodes: Collection[str]) -> list[Passage]:
    """Return the passages of one message: one for each end, and one for each copy without an end."""
    assert send.raw is not None
    message = _parse(send.raw)
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
    """Return the faults of a run, in the order of their beginnings."""
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
                continue  # the node already is in this condition
            close(entry.node, entry)
            current[entry.node] = (_CONDITIONS[entry.event], entry)
    for node in list(current):
        close(node, None)
    return spans
