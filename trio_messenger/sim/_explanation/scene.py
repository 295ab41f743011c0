"""The input of an explanation: the history and the journal of a run, with an index of the messages."""

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
"""Fields of a body that belong to the protocol: their numbers are not values of the workload."""


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
    """A message and its fate."""

    entry: Entry
    """The entry of its sending."""
    src: str
    dest: str
    ends: Sequence[Entry]
    """The entries of its deliveries and losses, including those of its copies."""

    @property
    def id(self) -> int:
        """The message's number, which the network assigned."""
        assert self.entry.id is not None
        return self.entry.id

    @property
    def body(self) -> Body:
        """The body of the message."""
        assert self.entry.raw is not None
        return _decode_content(self.entry.raw).body

    @property
    def arrival(self) -> Entry | None:
        """The entry of its first delivery; None if it was never delivered."""
        return next((entry for entry in self.ends if entry.event == "deliver"), None)

    def holds(self, wanted: ValueKey) -> bool:
        """Tell whether the body contains, at any depth, the value whose key is *wanted*."""
        assert self.entry.raw is not None
        if isinstance(wanted, int) and str(wanted).encode() not in bytes(self.entry.raw):
            return False  # a quick test that rules out most messages
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
      history: The operations of the clients.
      journal: Every message; None if only the history is known.
    """

    def __init__(self, history: History, journal: Journal | None = None) -> None:
        self.history: Final = history
        """The operations of the clients."""
        self.has_messages: Final = journal is not None
        """Whether the messages are known. Without them, nothing can be said about why a value is missing."""
        self.journal: Final = Journal() if journal is None else journal
        """Every message; empty if they are not known."""

    @cached_property
    def _messages_to(self) -> dict[str, list[Sent]]:
        messages: dict[str, list[Sent]] = {}
        ends: dict[int | None, list[Entry]] = {}
        for entry in self.journal:
            if entry.raw is not None:
                who = _decode_ends(entry.raw)
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
        """Return the operation that begins or ends at *index* of the history."""
        return self._operations[index]

    def messages_to(self, dest: str) -> Sequence[Sent]:
        """Return the messages to *dest*, in the order in which they were sent."""
        return self._messages_to.get(dest, ())

    def carriers(self, value: Any, dest: str, before: int) -> list[Sent]:
        """Return the messages to *dest*, sent at *before* nanoseconds or earlier, whose bodies contain *value*."""
        wanted = value_key(value)
        return [sent for sent in self.messages_to(dest) if sent.entry.t <= before and sent.holds(wanted)]

    def messages_of(self, op: Op) -> tuple[int, ...]:
        """Return the numbers of the messages of the operation that *op* begins or ends: request and first reply."""
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
        """Tell whether *member_id* is the id of a client."""
        return member_id.startswith("c")  # as everywhere in Maelstrom

    def end_of_life(self, node: str, after: Entry) -> Entry | None:
        """Return the first event after *after* in which *node* was killed or ended by itself; None if there is none."""
        later = (self.journal[i] for i in range(after.i + 1, len(self.journal)))
        return next((entry for entry in later if entry.node == node and entry.event in ("kill", "exit")), None)

    def stale_answers(self) -> Iterator[Sent]:
        """Yield the answers that services gave from old states."""
        for messages in self._messages_to.values():
            yield from (sent for sent in messages if sent.entry.text is not None and sent.src in SERVICES)

    def how_it_ended(self, sent: Sent) -> str:
        """Return the fate of a message that was not delivered, in words."""
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
        """Return the fault with *index* in words, such as ``fault 0 (partition)``."""
        kind = (self._faults.get(index) or "").partition(" ")[0]
        return f"fault {index} ({kind})" if kind else f"fault {index}"
