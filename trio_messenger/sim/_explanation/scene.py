"""What an explanation may look at: the history and the journal of a run, with an index of who sent what to whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, final

import attrs
import msgspec

from trio_messenger import Body

from .._checkers.values import ValueKey, value_key
from .._records.history import History, Op, Operation
from .._records.journal import Entry, Journal
from .._services import SERVICES
from .words import seconds

_ENVELOPE: Final = frozenset({"type", "msg_id", "in_reply_to", "code"})
"""Fields of a body that belong to the protocol: the numbers there are no values."""


class _Ends(msgspec.Struct, gc=False):
    src: str
    dest: str


class _Content(msgspec.Struct, gc=False):
    body: Body


_decode_ends: Final = msgspec.json.Decoder(_Ends).decode
_decode_content: Final = msgspec.json.Decoder(_Content).decode


@final
@attrs.frozen(kw_only=True, eq=False)
class Sent:
    """A message and what became of it."""

    entry: Entry
    """Its sending."""
    src: str
    dest: str
    ends: Sequence[Entry]
    """Its deliveries and losses; those of its copies as well."""

    @property
    def id(self) -> int:
        """The network's number of it."""
        assert self.entry.id is not None
        return self.entry.id

    @property
    def body(self) -> Body:
        """What it says."""
        assert self.entry.message is not None
        return _decode_content(self.entry.message).body

    @property
    def arrival(self) -> Entry | None:
        """Its first delivery; None if it was never delivered."""
        return next((entry for entry in self.ends if entry.event == "deliver"), None)

    def holds(self, wanted: ValueKey) -> bool:
        """Tell whether a value that *wanted* stands for is anywhere in it."""
        assert self.entry.message is not None
        if isinstance(wanted, int) and str(wanted).encode() not in bytes(self.entry.message):
            return False  # this is quick, and true of most messages
        return any(_has(value, wanted) for name, value in self.body.items() if name not in _ENVELOPE)


def _has(value: Any, wanted: ValueKey) -> bool:
    if isinstance(value, dict):
        if str(wanted) in value or any(_has(each, wanted) for each in value.values()):
            return True
    elif isinstance(value, list):
        if any(_has(each, wanted) for each in value):
            return True
    elif not isinstance(wanted, bytes):
        return value_key(value) == wanted
    return isinstance(wanted, bytes) and value_key(value) == wanted


@final
class Scene:
    """A run that has ended, as explanations see it.

    Args:
      history: What clients did.
      journal: Every message.
    """

    def __init__(self, history: History, journal: Journal) -> None:
        self.history: Final = history
        """What clients did."""
        self.journal: Final = journal
        """Every message."""

    @cached_property
    def _messages_to(self) -> dict[str, list[Sent]]:
        messages: dict[str, list[Sent]] = {}
        ends: dict[int | None, list[Entry]] = {}
        for entry in self.journal:
            if entry.message is not None:
                who = _decode_ends(entry.message)
                ends[entry.id] = []
                sent = Sent(entry=entry, src=who.src, dest=who.dest, ends=ends[entry.id])
                messages.setdefault(who.dest, []).append(sent)
            elif entry.event in ("deliver", "drop"):
                ends[entry.id].append(entry)
        return messages

    @cached_property
    def _operations(self) -> dict[int, Operation]:
        operations = {each.invocation.index: each for each in self.history.operations()}
        return operations | {each.completion.index: each for each in operations.values() if each.completion is not None}

    @cached_property
    def _faults(self) -> dict[int | None, str | None]:
        return {entry.fault: entry.text for entry in self.journal if entry.event == "begin"}

    def operation(self, index: int) -> Operation:
        """Return the operation that has its beginning or its end at *index* of the history."""
        return self._operations[index]

    def messages_to(self, dest: str) -> Sequence[Sent]:
        """Return what was sent to *dest*, in the order in which it was sent."""
        return self._messages_to.get(dest, ())

    def carriers(self, value: Any, dest: str, before: int) -> list[Sent]:
        """Return the messages to *dest*, sent until *before* nanoseconds, that had *value* anywhere in their bodies."""
        wanted = value_key(value)
        return [sent for sent in self.messages_to(dest) if sent.entry.t <= before and sent.holds(wanted)]

    def messages_of(self, op: Op) -> tuple[int, ...]:
        """Return the numbers of the messages of the operation that *op* begins or ends: the request, and the reply."""
        begun = self.operation(op.index).invocation
        requests = (
            sent
            for sent in self.messages_to(begun.node or "")
            if sent.entry.t == begun.time and self.is_client(sent.src) and sent.body.get("type") == begun.f
        )
        request = next(requests, None)
        if request is None:
            return ()
        msg_id = request.body["msg_id"]
        replies = (
            sent
            for sent in self.messages_to(request.src)
            if sent.src == request.dest and sent.body.get("in_reply_to") == msg_id
        )
        return request.id, *(reply.id for reply in list(replies)[:1])

    def is_client(self, member_id: str) -> bool:
        """Tell whether *member_id* is a client's."""
        return member_id.startswith("c")  # as everywhere in Maelstrom

    def end_of_life(self, node: str, after: Entry) -> Entry | None:
        """Return the first event after *after* in which *node* was killed or ended of itself; None if it lived on."""
        later = (self.journal[i] for i in range(after.i + 1, len(self.journal)))
        return next((entry for entry in later if entry.node == node and entry.event in ("kill", "exit")), None)

    def stale_answers(self) -> Iterator[Sent]:
        """Yield the answers that services gave from an old state."""
        for messages in self._messages_to.values():
            yield from (sent for sent in messages if sent.entry.text is not None and sent.src in SERVICES)

    def how_it_ended(self, sent: Sent) -> str:
        """Return what became of a message that was not delivered, in words."""
        if not sent.ends:
            return "was still on its way when the run ended"
        end = sent.ends[0]
        when = seconds(end.t)
        if end.reason == "down":
            return f"was dropped at {when} because {sent.dest} was down"
        if end.fault is None:
            return f"was lost at {when} by chance"
        return f"was dropped at {when} by {self.fault(end.fault)}"

    def fault(self, index: int) -> str:
        """Return which fault has *index*, in words."""
        kind = (self._faults.get(index) or "").partition(" ")[0]
        return f"fault {index} ({kind})" if kind else f"fault {index}"
