"""A moment of a run: when something happened, and after which messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, final

import attrs
import msgspec

from trio_messenger import Message

from .._records.journal import Entry, Journal

NEAREST: Final = 3
"""The number of messages that an event is described with."""

_decode: Final = msgspec.json.Decoder(Message).decode


@final
@attrs.frozen(kw_only=True)
class Moment:
    """A moment of a run, in the turn of a node."""

    node: str
    """The node."""
    place: str
    """The function of the node's code, with file and line."""
    index: int
    """The index of the last entry of the journal; 0 if there is none yet. The end of the set-up moves the times of
    entries, so the time is kept as the distance from this entry."""
    since: int
    """Nanoseconds since that entry."""


def moment_of(journal: Journal, now: int, node: str, place: str) -> Moment:
    """Return this moment, at *now* nanoseconds, in a turn of *node*."""
    index = max(len(journal) - 1, 0)
    return Moment(node=node, place=place, index=index, since=now - journal[index].t if len(journal) else 0)


def moment_in_words(moment: Moment, journal: Journal, others: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Return *moment* as fields of the results: time, node, place, event and messages.

    The event is the arrival of the messages that reached the node in this instant, the latest last; if there are none,
    a wait ended otherwise, such as a timeout, or the node began. The messages are those, or the last one before. With
    *others*, they are followed by the last message to each of these nodes.
    """
    time = journal[moment.index].t + moment.since
    before = [journal[index] for index in range(moment.index, -1, -1)]
    sent = {entry.id: _decode(entry.raw) for entry in before if entry.raw is not None}

    def deliveries(node: str) -> Iterator[Entry]:
        return (entry for entry in before if entry.event == "deliver" and sent[entry.id].dest == node)

    near = [each for each in deliveries(moment.node) if each.t == time][:NEAREST][::-1]
    told = [f"{sent[each.id].body.get('type')} from {sent[each.id].src}" for each in near]
    event = f"{moment.node} received {' and '.join(told)}" if told else f"{moment.node} ran without a new message"
    latest = [each for node in (moment.node, *others) for each in list(deliveries(node))[:1]]
    messages = dict.fromkeys(each.id for each in [*near, *latest])
    return {
        "time": time,
        "node": moment.node,
        "event": event,
        "place": moment.place,
        "messages": list(messages),
    }
