"""The peer of a soak, n2, and whoever makes the node ask it: some RPCs it loses, some it answers late or twice.

What became of each RPC is entered into the books by what the node says, never by what time it is:

- An RPC that a handler waits for ends in the answer to the request that caused it.
- For those that nobody waits for there is a clock: a request whose RPC is never answered ticks with its error 0, and is
  sent anew. After `TICKS` of them, more than 2 s have passed on the node's own clock.
- A reply that comes between two attempts of a relay counts as late, and the relay succeeds as if it had been in time.
  Where so much time passed that this may have been, the RPC is doubtful. It is replied to once more, between two looks
  at the node's counters: that reply is late if the first one was, else a duplicate.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from random import Random

import attrs
from bench.soak_node import Body, Incoming, SoakError, Traffic, error_body, ok_body

CALLER, PEER = "c3", "n2"

REMEMBERED = 1 << 16
"""Messages after which the node no longer remembers how an RPC ended; nor if another, sent so long before, ends now."""

FORGOTTEN = REMEMBERED // 2
"""Messages after which no RPC is answered any more: far enough from the limit for those that are on their way."""

SPAN = REMEMBERED // 2
"""Messages that the node may send while an RPC is open, before it is left in peace: the same, seen from the other."""

ATTEMPTS = {"proxy": 1, "relay": 3}
"""How often the node asks, at the most."""

ATTEMPT = 0.5
"""Seconds that a relay waits for each reply. Less than that after the request, a reply surely was in time."""

TICKS = 3
"""Ticks after which an RPC of 2 s has been reaped.

The request of the first one may have been sent before the RPC, those of the others only after it: they take 1 s each.
"""


@attrs.frozen
class Plan:
    """What the peer does about the RPCs of one request."""

    answers: int = 0
    """Which attempt it answers, from 1; 0 for none."""
    once_seen: int = 0
    """At which attempt it does so; 0 for at once."""
    copies: int = 1
    """How often."""
    afterwards: int = 0
    """How many replies it sends when the request has been answered."""
    refuses: bool = False
    """Whether it answers with an error."""


NEVER = Plan()

PLANS: dict[str, dict[Plan, int]] = {
    "proxy": {
        Plan(1): 80,
        NEVER: 4,
        Plan(afterwards=1): 4,
        Plan(1, copies=2): 5,
        Plan(1, afterwards=2): 3,
        Plan(1, refuses=True): 4,
    },
    "relay": {
        Plan(1): 84,
        Plan(2): 4,
        Plan(3): 2,
        NEVER: 2,
        Plan(afterwards=1): 3,
        Plan(1, once_seen=2): 3,
        Plan(1, afterwards=1): 2,
    },
}
"""Plans by kind of request, with their weights."""


@attrs.define(eq=False)
class Rpc:
    """An RPC that the node sent to the peer."""

    msg_id: int
    not_before: float
    """A time at which it had surely not been sent."""
    reply: Body = attrs.field(factory=dict)
    """The first reply that it was given."""
    replies: int = 0
    """How many it was given before it was known how it ended."""
    replied_at: float = math.inf
    """When it was given the first."""
    was_answered: bool | None = None
    """Whether one of them was in time; None while that is not known."""


@attrs.define(eq=False)
class Call:
    """A request that makes the node ask its peer, and that it answers when it has been answered."""

    kind: str
    msg_id: int
    plan: Plan
    attempts: list[Rpc] = attrs.field(factory=list)
    must_succeed: bool = False
    """Whether the node surely has a reply that it must take, late for its attempt as it may be."""


@attrs.frozen
class Note:
    """An RPC that nobody waits for, and what the peer does about it when it has been reaped."""

    rpc: Rpc
    due: int
    """The tick at which it has."""
    copies: int
    """How many replies it is then given."""


class Peer:
    """The peer, and the books of all RPCs."""

    def __init__(self, traffic: Traffic, random: Random) -> None:
        self.calls: dict[int, Call] = {}
        """Requests that have not been answered, by number."""
        self.notes: deque[Note] = deque()
        """RPCs that nobody waits for, and that may be open."""
        self.clock_runs = False
        """Whether to go on ticking."""
        self.is_parting = False
        """Whether the RPCs that come now are to stay open until the node closes."""
        self._traffic = traffic
        self._books = traffic.books
        self._random = random
        self._ticks = 0
        self._clock: Call | None = None
        self._polled: Counter[str] = Counter()

    def start_clock(self) -> None:
        """Begin to tick."""
        self.clock_runs = True
        self._clock = self.call("proxy", NEVER)

    def call(self, kind: str, plan: Plan | None = None) -> Call:
        """Make the node ask; by default after a plan drawn at random."""
        if plan is None:
            [plan] = self._random.choices(list(PLANS[kind]), list(PLANS[kind].values()))
        msg_id = next(self._traffic.msg_ids)
        field = "inner" if kind == "proxy" else "payload"
        body = {"type": kind, "target": PEER, field: {"type": "ask", "tag": msg_id}, "msg_id": msg_id}
        self._traffic.put(kind, CALLER, body)
        call = self.calls[msg_id] = Call(kind, msg_id, plan)
        return call

    def poll(self) -> None:
        """Ask the node for what it has counted of its RPCs."""
        self._traffic.request({"type": "reaper_stats"}, self._polled_well)

    def is_overrun(self) -> bool:
        """Tell whether the node has sent so much during an RPC that it may soon mix it up with another."""
        return bool(self.notes) and self._traffic.last_msg_id - self.notes[0].rpc.msg_id > SPAN

    def has_answers(self) -> bool:
        """Tell whether every request has been answered, but for the clock's."""
        return all(call is self._clock for call in self.calls.values())

    # What the node sends

    def take_rpc(self, body: Body) -> None:
        """Take an RPC of the node, and do about it what is planned.

        Raises:
          SoakError: if nobody asked for it.
        """
        rpc = Rpc(body["msg_id"], self._traffic.handled_at)
        self._books.certain["rpcs"] += 1
        if body == {"type": "note", "msg_id": rpc.msg_id}:
            self._books.got["note"] += 1
            self._take_note(rpc)
            return
        call = self.calls.get(body.get("tag", -1))
        if call is None or body != {"type": "ask", "tag": call.msg_id, "msg_id": rpc.msg_id}:
            raise SoakError(f"an RPC that nobody asked for: {body!r:.300}")
        self._books.got["ask"] += 1
        call.attempts.append(rpc)
        if len(call.attempts) > ATTEMPTS[call.kind]:
            raise SoakError(f"an attempt too many: {call}")
        plan = call.plan
        if 0 < plan.once_seen < len(call.attempts):
            # It went on after the attempt that was answered, so that one waits for late replies. Has it got this one?
            call.must_succeed = self._traffic.handled_at > call.attempts[plan.answers - 1].replied_at
        if plan.answers and len(call.attempts) == max(plan.answers, plan.once_seen):
            for _ in range(plan.copies):
                self._reply(call.attempts[plan.answers - 1], call)

    def take_answer(self, message: Incoming) -> None:
        """Take the answer to a `call`.

        Raises:
          SoakError: if it is not one that can be.
        """
        body = message.body
        call = self.calls.pop(body.get("in_reply_to", -1), None)
        if call is None or not self._ended_well(call, body):
            raise SoakError(f"a wrong answer to {call}: {message!r:.500}")
        kind, code = body["type"], body.get("code")
        self._books.got[f"error {code} to {call.kind}" if kind == "error" else kind] += 1
        if call.attempts and len(call.attempts) >= call.plan.answers:
            rpc = call.attempts[max(call.plan.answers, 1) - 1]
            for _ in range(call.plan.afterwards if rpc.was_answered is not None else 0):
                self._reply(rpc)
        if call is self._clock:
            self._tick(code == 0)

    def _take_note(self, rpc: Rpc) -> None:
        if self.is_parting:
            self._books.open_at_end += 1
            return
        [copies] = self._random.choices((0, 1, 2), (90, 7, 3))
        self.notes.append(Note(rpc, self._ticks + TICKS, copies))

    def _tick(self, is_timeout: bool) -> None:
        self._ticks += is_timeout
        while self.notes and self.notes[0].due <= self._ticks:
            note = self.notes.popleft()
            self._reaped(note.rpc)
            for _ in range(note.copies):
                self._reply(note.rpc)
        self._clock = self.call("proxy", NEVER) if self.clock_runs else None

    # Replies, and what becomes of them

    def _reply(self, rpc: Rpc, call: Call | None = None) -> None:
        """Answer *rpc*, unless that was so long ago that the node may not remember it."""
        if self._is_forgotten(rpc):
            return
        body: Body = {"type": "ask_ok", "copy": rpc.replies}
        if call is not None and call.plan.refuses:
            body = {"type": "error", "code": 20, "text": f"no {call.msg_id}"}
        body |= {"in_reply_to": rpc.msg_id, "msg_id": next(self._traffic.msg_ids)}
        self._traffic.put("reply", PEER, body)
        self._books.replies += 1
        if rpc.was_answered is None:
            rpc.reply = rpc.reply or body
            rpc.replied_at = min(rpc.replied_at, time.monotonic())
            rpc.replies += 1
        else:
            self._books.certain["duplicate_replies" if rpc.was_answered else "late_replies"] += 1

    def _is_forgotten(self, rpc: Rpc) -> bool:
        return self._traffic.last_msg_id - rpc.msg_id > FORGOTTEN

    def _ended_well(self, call: Call, body: Body) -> bool:
        """Tell whether *body* can be the answer to *call*, and enter what it says of the RPCs."""
        if error_body(11)(body):
            self._books.certain["shed"] += 1
            return not call.attempts
        if error_body(0)(body):
            for rpc in call.attempts:
                self._reaped(rpc)
            return len(call.attempts) == ATTEMPTS[call.kind] and not call.must_succeed
        answers = call.plan.answers
        if not 0 < answers <= len(call.attempts) or not call.attempts[answers - 1].reply:
            return False
        rpc = call.attempts[answers - 1]
        *earlier, last = call.attempts
        for attempt in earlier:
            self._reaped(attempt)
        if rpc is not last:
            self._books.overtaken += 1
            last.was_answered = False
        elif ATTEMPTS[call.kind] > 1 and time.monotonic() - rpc.not_before >= ATTEMPT:
            # Late even for the last attempt, it still counts if it comes before the call has seen that it expired.
            self._doubt(rpc)
        else:
            self._answered(rpc)
        if call.plan.refuses:
            return error_body(20)(body) and body["text"] == rpc.reply["text"]
        fields = {"attempts": len(call.attempts)} if call.kind == "relay" else {}
        return ok_body(call.kind, **fields, result=rpc.reply)(body)

    def _answered(self, rpc: Rpc) -> None:
        rpc.was_answered = True
        self._books.certain["answered"] += 1
        self._books.certain["duplicate_replies"] += rpc.replies - 1

    def _reaped(self, rpc: Rpc) -> None:
        rpc.was_answered = False
        self._books.certain["reaped"] += 1
        self._books.certain["late_replies"] += rpc.replies

    def _doubt(self, rpc: Rpc) -> None:
        self._books.doubtful += 1
        if self._is_forgotten(rpc):
            return

        def find_out(body: Body) -> bool:
            late: int = body["late_replies"] - self._polled["late_replies"]
            self._books.doubtful -= 1
            if late:
                self._reaped(rpc)
            else:
                self._answered(rpc)
            return late in (0, 1) and self._polled_well(body)

        # Three lines in a row, which the node takes one after the other: no other reply comes in between.
        self.poll()
        self._reply(rpc)
        self._traffic.request({"type": "reaper_stats"}, find_out)

    def _polled_well(self, body: Body) -> bool:
        """Tell whether the counters in *body* can be: none has gone back, and together they are the RPCs seen."""
        names = ("sent", "answered", "reaped", "late_replies")
        polled = Counter({name: body[name] for name in names})
        went_back = any(polled[name] < self._polled[name] for name in names)
        self._polled = polled
        abandoned: int = body["sent"] - body["answered"] - body["reaped"] - body["pending"]
        return (
            not went_back
            and body["sent"] == self._books.certain["rpcs"]
            and abandoned >= 0
            and body["answered"] + body["late_replies"] <= self._books.replies
            and (body["pending"] > 0 or body["oldest_age_ms"] == 0)
        )
