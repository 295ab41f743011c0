"""The simulated network: takes messages from anyone with an id, and delivers them, or does not, by Maelstrom's laws.

What differs from Maelstrom, on purpose: whether a message is lost, cut off by a partition or duplicated is decided at
the moment it would be delivered; and a message that is due waits for none that is not. Its latency is drawn when it is
sent. Messages on one link with one time of delivery keep their order; let some be held back, to see them overtaken.

All chance comes from streams keyed by link and number (see `_determinism/random_streams.py`),
and is the same whatever faults there are.
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
"""What someone with an id is; also the group that the links of a fault may name."""

COPY_DELAY: Final = 0.1
"""Seconds after which the copy of a message comes at the latest, or twice the mean latency if that is more."""

_decode = msgspec.json.Decoder(Message).decode


class Delivery(msgspec.Struct, gc=False):
    """A message as it is delivered."""

    message: Message
    """Decoded for this delivery alone: the receiver may change it."""
    line: bytes
    """As its sender wrote it."""
    id: int
    """The network's number of it; a copy has that of the original."""


@attrs.define(eq=False)
class _Member:
    role: Role
    deliver: Callable[[Delivery], object] | None  # None while it is down
    since: int  # the first message that can reach it: what was sent before it came up is lost


@attrs.define(eq=False)
class _Link:
    src: str
    dest: str
    latency: Latency
    sent: int = 0
    effects: Effects | None = None
    effects_of: int = -1  # the version of the faults that `effects` stands for


class _Flight(msgspec.Struct, gc=False):
    link: _Link
    delivery: Delivery
    n: int  # its number on the link
    is_copy: bool


@final
class Network:
    """Carries messages between nodes, services and clients.

    Args:
      streams: Of the run.
      journal: Where everything is noted.
      latency: Of all links but those of clients, which have none, as in Maelstrom.
      loss: The probability that a message from node to node is lost.
      duplicate: The probability that a message from node to node is duplicated.
    """

    def __init__(
        self, streams: Streams, journal: Journal, latency: Latency, *, loss: float = 0.0, duplicate: float = 0.0
    ) -> None:
        self.journal: Final = journal
        """Everything that happened."""
        self.bites: Final[Counter[int]] = Counter()
        """How often each fault took effect, by its index in the schedule."""
        self.faults: Final = LinkFaults(self.role, self.bites, loss, duplicate)
        """Those in force."""
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
        """Count time from now on; whatever the journal already has happened at negative times then."""
        self.journal.shift(-self.now())
        self._start = trio.current_time()

    def now(self) -> int:
        """Return the nanoseconds since the last `start`."""
        return round((trio.current_time() - self._start) * 1e9)

    @property
    def sent(self) -> int:
        """How many messages were taken so far: the number of the next one."""
        return self._next_id

    def role(self, member_id: str) -> Role | None:
        """Return what *member_id* is; None if there never was such a member."""
        member = self._members.get(member_id)
        return None if member is None else member.role

    def attach(self, member_id: str, role: Role, deliver: Callable[[Delivery], object]) -> None:
        """Let *member_id* receive what is sent to it from now on; *deliver* is called with each and must not wait."""
        self._members[member_id] = _Member(role, deliver, self._next_id)

    def detach(self, member_id: str) -> None:
        """Let *member_id* receive nothing more, nor what is on its way; its id stays known."""
        self._members[member_id].deliver = None

    def begin(self, index: int, fault: LinkFault) -> None:
        """Put *fault*, the one at *index* of the schedule, in force."""
        self.faults.begin(index, fault)

    def end(self, index: int) -> None:
        """End the fault at *index*."""
        self.faults.end(index)

    def send(self, line: bytes, text: str | None = None) -> None:
        """Take a message to deliver.

        Args:
          line: The whole message as JSON, without a newline. It is not checked that its ``src`` sends it.
          text: More about it, for people; it stands in the journal.

        Raises:
          msgspec.ValidationError, msgspec.DecodeError: if it is no message.
        """
        message = _decode(line)
        delivery = Delivery(message, line, self._next_id)
        self._next_id += 1
        self.journal.note(self.now(), "send", id=delivery.id, message=msgspec.Raw(line), text=text)
        link = self._links.get((message.src, message.dest)) or self._open(message.src, message.dest)
        flight = _Flight(link, delivery, link.sent, False)
        link.sent += 1
        delay = self._delay(flight)
        now = trio.current_time()
        if delay or (self._queue and self._queue[0][0] <= now):
            self._push(now + delay, flight)
        else:
            self._arrive(flight)  # at once: nobody has to wake up to carry it

    async def run(self) -> None:
        """Deliver what is due, until cancelled."""
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
            self._links[src, dest] = link  # names that do not exist are not collected
        return link

    def _push(self, due: float, flight: _Flight) -> None:
        heapq.heappush(self._queue, (due, self._pushed, flight))
        self._pushed += 1
        self._nap.deadline = min(self._nap.deadline, due)

    def _draws(self, flight: _Flight) -> Draws:
        return self._streams.draws(flight.link.src, flight.link.dest, flight.n)

    def _effects(self, link: _Link) -> Effects | None:
        """Return what the faults in force do to *link*; None if nothing."""
        if link.effects_of != self.faults.version:
            link.effects = self.faults.on(link.src, link.dest)
            link.effects_of = self.faults.version
        return link.effects

    def _delay(self, flight: _Flight) -> float:
        """Return how many seconds a message that is sent now takes."""
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
        """Deliver the message, unless a fault is in the way."""
        delivery = flight.delivery
        if effects.partition is not None:
            self.bites[effects.partition] += 1
            self._drop(delivery, "partition", effects.partition)
            return
        if not flight.is_copy:  # a copy is neither lost nor duplicated: one message, one decision
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
