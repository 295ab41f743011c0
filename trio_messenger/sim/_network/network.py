"""The simulated network: takes messages from every member, and delivers or drops them by Maelstrom's rules.

It differs from Maelstrom on purpose in two points. It decides when a message is due whether a fault drops or duplicates
it. And a message that is due never waits for one that is not due yet. The latency is drawn when the message is sent.
Messages on one link that are due at the same time keep their order, unless a fault holds some of them back.

All random draws are keyed by link and number (see `_determinism/random_streams.py`), so faults do not change them.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal, TypeAlias, final

import attrs
import msgspec
import trio

from trio_messenger import Message

from .._determinism.random_streams import Draws, Streams
from .._faults.faults import LinkFault
from .._records.journal import DropReason, Journal
from .latency_distribution import Latency
from .links import Effects, LinkFaults

Role: TypeAlias = Literal["nodes", "services", "clients"]
"""The role of a member, which is also the name of its group in the links of a fault."""

COPY_DELAY: Final = 0.1
"""The greatest delay of a message's copy, in seconds; twice the mean latency if that is more."""

_decode = msgspec.json.Decoder(Message).decode


class Delivery(msgspec.Struct, gc=False):
    """A delivery of a message."""

    message: Message
    """The message, decoded for this delivery alone, so the receiver may change it."""
    line: bytes
    """The message as its sender wrote it."""
    id: int
    """The number that the network gave to the message. A copy has the number of its original."""


@attrs.define(eq=False)
class _Member:
    role: Role
    deliver: Callable[[Delivery], object] | None  # None while it is down
    since: int  # the first message that can reach it; messages that were sent before it came up are lost


@attrs.define(eq=False)
class _Link:
    src: str
    dest: str
    latency: Latency
    sent: int = 0
    effects: Effects | None = None
    effects_of: int = -1  # the version of the faults that `effects` belongs to


class _Flight(msgspec.Struct, gc=False):
    link: _Link
    delivery: Delivery
    n: int  # its number on the link
    is_copy: bool


@final
class SimulatedNetwork:
    """Carries messages between nodes, services and clients.

    Args:
      streams: The random streams of the run.
      journal: Records every event.
      latency: The latency of all links except those of clients, which have none, as in Maelstrom.
      loss: The probability that a message from node to node is lost.
      duplicate: The probability that a message from node to node is duplicated.
    """

    def __init__(
        self, streams: Streams, journal: Journal, latency: Latency, *, loss: float = 0.0, duplicate: float = 0.0
    ) -> None:
        self.journal: Final = journal
        """The record of all events."""
        self.bites: Final[Counter[int]] = Counter()
        """How often each fault took effect, by its index in the schedule."""
        self.faults: Final = LinkFaults(self.role, self.bites, loss, duplicate)
        """The active link faults."""
        self._streams = streams
        self._latency = latency
        self._members: dict[str, _Member] = {}
        self._links: dict[tuple[str, str], _Link] = {}
        self._queue: list[tuple[float, int, _Flight]] = []
        self._next_id = 0
        self._pushed = 0
        self._nap = trio.CancelScope()
        self._start = 0.0
        self._copy_delay = max(COPY_DELAY, 2 * latency.mean / 1000)

    def start(self) -> None:
        """Make time count from now on. Entries that the journal already has get negative times."""
        self.journal.shift(-self.now())
        self._start = trio.current_time()

    def now(self) -> int:
        """Return the nanoseconds since the last `start`."""
        return round((trio.current_time() - self._start) * 1e9)

    @property
    def sent(self) -> int:
        """The number of messages taken so far, which is also the number of the next one."""
        return self._next_id

    def role(self, member_id: str) -> Role | None:
        """Return the role of *member_id*; None if there never was such a member."""
        member = self._members.get(member_id)
        return None if member is None else member.role

    def attach(self, member_id: str, role: Role, deliver: Callable[[Delivery], object]) -> None:
        """Let *member_id* receive messages sent from now on. *deliver* is called with each and must not wait."""
        self._members[member_id] = _Member(role, deliver, self._next_id)

    def detach(self, member_id: str) -> None:
        """Stop deliveries to *member_id*, also of messages that are on their way. Its id stays known."""
        self._members[member_id].deliver = None

    def begin(self, index: int, fault: LinkFault) -> None:
        """Activate *fault*, the one at *index* of the schedule."""
        self.faults.begin(index, fault)

    def end(self, index: int) -> None:
        """End the fault at *index*."""
        self.faults.end(index)

    def send(self, line: bytes, text: str | None = None) -> None:
        """Take a message for delivery.

        Args:
          line: The whole message as JSON, without a newline. Its ``src`` is not checked against the real sender.
          text: Details for people; recorded in the journal.

        Raises:
          msgspec.ValidationError, msgspec.DecodeError: if *line* is not a message.
        """
        message = _decode(line)
        delivery = Delivery(message, line, self._next_id)
        self._next_id += 1
        self.journal.note(self.now(), "send", id=delivery.id, raw=msgspec.Raw(line), text=text)
        link = self._links.get((message.src, message.dest)) or self._open(message.src, message.dest)
        flight = _Flight(link, delivery, link.sent, False)
        link.sent += 1
        delay = self._delay(flight)
        now = trio.current_time()
        if delay or (self._queue and self._queue[0][0] <= now):
            self._push(now + delay, flight)
        else:
            self._arrive(flight)  # at once, without waking the task of `run`

    async def run(self) -> None:
        """Deliver messages when they are due, until cancelled."""
        while True:
            due = self._queue[0][0] if self._queue else math.inf
            with trio.CancelScope(deadline=due) as self._nap:
                await trio.sleep_forever()
            now = trio.current_time()
            while self._queue and self._queue[0][0] <= now:
                self._arrive(heapq.heappop(self._queue)[2])

    def _open(self, src: str, dest: str) -> _Link:
        is_clients = self.role(src) == "clients" or self.role(dest) == "clients"
        link = _Link(src, dest, Latency() if is_clients else self._latency)
        if dest in self._members:
            self._links[src, dest] = link  # do not collect links to ids that do not exist
        return link

    def _push(self, due: float, flight: _Flight) -> None:
        heapq.heappush(self._queue, (due, self._pushed, flight))
        self._pushed += 1
        self._nap.deadline = min(self._nap.deadline, due)

    def _draws(self, flight: _Flight) -> Draws:
        return self._streams.draws(flight.link.src, flight.link.dest, flight.n)

    def _effects(self, link: _Link) -> Effects | None:
        """Return the effects of the active faults on *link*; None if there are none."""
        if link.effects_of != self.faults.version:
            link.effects = self.faults.on(link.src, link.dest)
            link.effects_of = self.faults.version
        return link.effects

    def _delay(self, flight: _Flight) -> float:
        """Return the delay in seconds of a message that is sent now."""
        latency, effects = flight.link.latency, self._effects(flight.link)
        if effects is None and (latency.mean == 0 or latency.distribution == "constant"):
            return latency.seconds(0.0)
        draws = self._draws(flight)
        delay = latency.seconds(draws.latency)
        return delay if effects is None else effects.delay(delay, draws)

    def _arrive(self, flight: _Flight) -> None:
        delivery, effects = flight.delivery, self._effects(flight.link)
        receiver = self._members.get(flight.link.dest)
        if receiver is None:
            self._drop(delivery, "unknown")
        elif receiver.deliver is None or delivery.id < receiver.since:
            self._drop(delivery, "down")
        elif effects is None:
            self._deliver(delivery, receiver.deliver)
        else:
            self._arrive_if(flight, effects, receiver.deliver)

    def _arrive_if(self, flight: _Flight, effects: Effects, deliver: Callable[[Delivery], object]) -> None:
        """Deliver the message, unless a fault drops it."""
        delivery = flight.delivery
        if effects.partition is not None:
            self.bites[effects.partition] += 1
            self._drop(delivery, "partition", effects.partition)
            return
        if not flight.is_copy:  # the decision about the original also holds for the copy
            draws = self._draws(flight)
            loss = effects.loss(draws)
            if loss is not None:
                self._drop(delivery, "loss", loss if loss >= 0 else None)
                return
            duplication = effects.duplication(draws)
            if duplication is not None:
                self._duplicate(flight, draws, duplication if duplication >= 0 else None)
        self._deliver(delivery, deliver)

    def _duplicate(self, flight: _Flight, draws: Draws, fault: int | None) -> None:
        delivery = flight.delivery
        copy = Delivery(_decode(delivery.line), delivery.line, delivery.id)
        self.journal.note(self.now(), "duplicate", id=delivery.id, fault=fault)
        self._push(
            trio.current_time() + draws.delay * self._copy_delay, _Flight(flight.link, copy, flight.n, is_copy=True)
        )

    def _deliver(self, delivery: Delivery, deliver: Callable[[Delivery], object]) -> None:
        self.journal.note(self.now(), "deliver", id=delivery.id)
        deliver(delivery)

    def _drop(self, delivery: Delivery, reason: DropReason, fault: int | None = None) -> None:
        self.journal.note(self.now(), "drop", id=delivery.id, reason=reason, fault=fault)
