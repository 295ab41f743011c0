"""The load of a soak: everything that is sent to the node, and where each thing that comes back belongs.

Two things make the books exact, however slow the machine. Everything the node sends is numbered, in one sequence and
in one stream, so a line that is lost, torn or sent twice shows in its number, and what stood before a line happened
before it. And plain handlers answer in the order of the requests. For the rest, see `soak_peer`.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from random import Random

from bench.soak_node import CLIENT, Body, Traffic, error_body, ok_body
from bench.soak_peer import CALLER, NEVER, PEER, Peer

OTHER = "c2"

BUFFER = 1 << 16
"""Bytes of input that wait for the pipe before no more is made."""

DEDUP_CAPACITY = 1000
"""Answers that the node remembers, to know a duplicate."""

MALFORMED: tuple[tuple[bytes, bool], ...] = (
    (b"rubbish", False),
    (b'{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":@', False),
    (b"[1,2,3]", False),
    (b"\0\0\0", False),
    (b'{"src":"c1","dest":"n1"}', False),
    (b'{"src":1,"dest":"n1","body":{"type":"echo","msg_id":@,"echo":1}}', False),
    (b'{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":"@","echo":1}}', False),
    (b'{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":@,"in_reply_to":"1"}}', False),
    (b'{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":1,"echo":"\xff\xfe"}}', False),
    (
        b'{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":1,"echo":' + b"[" * 30_000 + b"]" * 30_000 + b"}}",
        False,
    ),
    (b'{"src":"c1","dest":"n1","body":{"msg_id":@}}', True),
    (b'{"src":"c1","dest":"n1","body":{"type":7,"msg_id":@}}', True),
    (b'{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":@,"echo":NaN}}', True),
    (b'\xef\xbb\xbf{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":@,"echo":1}}', True),
    (b'{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":@,"echo":"\\ud800"}}', True),
)
"""Lines that are no messages, with ``@`` for a number, and whether they are answered all the same."""


FIRE_FORGET: Body = {"type": "send_fire_forget", "target": PEER, "payload": {"type": "note"}}

NOT_AS_DEMANDED: tuple[Body, ...] = (
    {"type": "echo"},
    {"type": "send_fire_forget", "target": PEER, "payload": {"no": "type"}},
    {"type": "get_log", "count": -1},
    {"type": "chaos_on", "drop_rate": 2},
)
"""Requests that are messages, but not what their handlers take."""


class Dedup:
    """What the node must know of the requests that it deduplicates: a model of its memory."""

    def __init__(self, random: Random) -> None:
        self.total = self.duplicates = 0
        self._random = random
        self._answers: OrderedDict[tuple[str, int], object] = OrderedDict()
        self._known: deque[tuple[str, int]] = deque(maxlen=2 * DEDUP_CAPACITY)

    def draw(self, msg_id: int) -> tuple[str, int]:
        """Return who sends the next request, and its number: often that of an earlier one, else *msg_id*."""
        if not self._known or self._random.random() < 0.6:
            return CLIENT, msg_id
        # One of the latest, which the node remembers; or any of those that it may have forgotten.
        reach = 20 if self._random.random() < 0.9 else len(self._known)
        src, msg_id = self._known[-self._random.randint(1, min(reach, len(self._known)))]
        # The same number of another client is another request.
        return (OTHER if self._random.random() < 0.1 else src), msg_id

    def answer(self, src: str, msg_id: int, value: object) -> Body:
        """Return the fields of the answer to such a request with *value*."""
        self.total += 1
        key = src, msg_id
        is_duplicate = key in self._answers
        if is_duplicate:
            self.duplicates += 1
        else:
            self._answers[key] = value
            self._known.append(key)
        self._answers.move_to_end(key)
        if len(self._answers) > DEDUP_CAPACITY:
            self._answers.popitem(last=False)
        return {"echo": self._answers[key], "was_duplicate": is_duplicate}

    def stats(self) -> Body:
        """Return the fields of the answer to ``dedup_stats``."""
        return {"total": self.total, "duplicates": self.duplicates, "cache_size": len(self._answers)}


class Load:
    """Clients, the peer and strangers, around the node n1.

    Args:
      seed: Of every choice that is made here. When a thing happens is not ours to choose.
    """

    def __init__(self, seed: int) -> None:
        self.traffic = Traffic()
        """What goes in and comes out."""
        self._random = Random(seed)
        self._peer = Peer(self.traffic, self._random)
        self._dedup = Dedup(self._random)
        self._values = _values(self._random)
        mix: dict[Callable[[], object], int] = {
            self._echo: 30,
            self._dedup_echo: 8,
            self._proxy: 20,
            self._relay: 20,
            self._fire_forget: 8,
            self._malformed: 4,
            self._not_as_demanded: 2,
            self._without_msg_id: 3,
            self._reply_to_nothing: 3,
            self._stray: 2,
            self._unsupported: 1,
            self._init: 1,
        }
        self._kinds, self._weights = list(mix), list(mix.values())
        self._calls = (self._proxy, self._relay)

    # What is to be done

    def start(self) -> None:
        """Ask too early, introduce the node to itself, and start the clock."""
        self.traffic.books.certain["early"] += 1
        self.traffic.request({"type": "echo", "echo": 1}, error_body(11))
        self._init()
        self._peer.start_clock()

    def fill(self, plain: float, calls: int) -> None:
        """Make input, until so many *plain* requests wait for their answers, or the buffer is full.

        Makes none while that is too much for the node's memory of its RPCs, unless *plain* is infinite: what goes into
        pipes that nobody reads is not enough to matter. Once *calls* requests wait for the peer, there are echoes
        instead of more of them.
        """
        if plain < math.inf and self._peer.is_overrun():
            return
        while len(self.traffic.output) < BUFFER and len(self.traffic.wanted) < plain:
            for make in self._random.choices(self._kinds, self._weights, k=16):
                is_too_much = make in self._calls and len(self._peer.calls) >= calls
                (self._echo if is_too_much else make)()

    def crowd(self, count: int) -> None:
        """Make so many requests at once that the peer leaves unanswered."""
        for _ in range(count):
            self._peer.call("proxy", NEVER)

    def poll(self) -> None:
        """Ask the node for what it has counted of its RPCs."""
        self._peer.poll()

    def take(self, line: bytes) -> None:
        """Take the next line that the node wrote, and do whatever is to be done about it.

        Raises:
          SoakError: if it is not what had to come.
        """
        message = self.traffic.receive(line)
        if message.dest == PEER:
            self._peer.take_rpc(message.body)
        elif message.dest == CALLER:
            self._peer.take_answer(message)
        else:
            self.traffic.take_answer(message)

    def has_answers(self) -> bool:
        """Tell whether every request has been answered and every RPC has ended, but for the clock's."""
        return not self.traffic.wanted and not self._peer.notes and self._peer.has_answers()

    def stop_clock(self) -> None:
        """Let the clock's last RPC be the last."""
        self._peer.clock_runs = False

    def is_at_rest(self) -> bool:
        """Tell whether nothing at all is to come."""
        return not self._peer.calls and self.has_answers()

    def ask_at_rest(self) -> None:
        """Ask the node, when it has nothing to do, whether it knows so."""
        self._peer.poll()
        self.traffic.request({"type": "pending_count"}, ok_body("pending_count", count=0))
        self.traffic.request({"type": "dedup_stats"}, ok_body("dedup_stats", **self._dedup.stats()))

    def part(self, count: int) -> None:
        """Make the last requests, of which *count* leave an RPC open; the last one lacks its newline."""
        self._peer.is_parting = True
        for _ in range(count):
            self._note()
            self._echo()
        del self.traffic.output[-1]

    def missing(self) -> str:
        """Describe what has not been answered."""
        plain = [f"{wanted.dest} {wanted.in_reply_to}" for wanted in self.traffic.wanted]
        calls = [f"{call.kind} {call.msg_id}" for call in self._peer.calls.values()]
        return f"{len(plain)} plain requests and {len(calls)} calls: {', '.join([*plain, *calls][:10])}"

    # Requests by kind

    def _value(self) -> object:
        return {"number": self._random.getrandbits(40), "value": self._random.choice(self._values)}

    def _echo(self) -> None:
        value = self._value()
        self.traffic.request({"type": "echo", "echo": value}, ok_body("echo", echo=value))

    def _dedup_echo(self) -> None:
        value = self._value()
        src, msg_id = self._dedup.draw(next(self.traffic.msg_ids))
        self.traffic.put("dedup_echo", src, {"type": "dedup_echo", "echo": value, "msg_id": msg_id})
        self.traffic.want(src, msg_id, ok_body("dedup_echo", **self._dedup.answer(src, msg_id, value)))

    def _proxy(self) -> None:
        self._peer.call("proxy")

    def _relay(self) -> None:
        self._peer.call("relay")

    def _fire_forget(self) -> None:
        if self._random.random() < 0.9:
            self._note()
        else:
            self.traffic.put("without msg_id", CLIENT, FIRE_FORGET)

    def _note(self) -> None:
        self.traffic.request(FIRE_FORGET, _is_pending)

    def _malformed(self) -> None:
        template, is_answered = self._random.choice(MALFORMED)
        msg_id = next(self.traffic.msg_ids)
        self.traffic.put_line("malformed", template.replace(b"@", b"%d" % msg_id))
        self.traffic.books.certain["malformed"] += 1
        if is_answered:
            self.traffic.want(CLIENT, msg_id, error_body(12))
        self.traffic.output += self._random.choice((b"", b"\n", b" \t\r\n"))  # blank lines do not count

    def _not_as_demanded(self) -> None:
        self.traffic.request(self._random.choice(NOT_AS_DEMANDED), error_body(12))

    def _without_msg_id(self) -> None:
        kind = self._random.choice(("echo", "dedup_echo", "nobody_knows_this"))
        self.traffic.put("without msg_id", CLIENT, {"type": kind, "echo": self._value()})
        self._dedup.total += kind == "dedup_echo"
        self.traffic.books.certain["unsupported"] += kind == "nobody_knows_this"

    def _reply_to_nothing(self) -> None:
        kind = self._random.choice(("echo_ok", "error", "echo", "init"))
        in_reply_to = self._random.choice((-1, 0, 10**12, 10**30))  # 0 is a number of the node's, but of no RPC
        self.traffic.put("reply to nothing", PEER, {"type": kind, "in_reply_to": in_reply_to})
        self.traffic.books.replies += 1
        self.traffic.books.certain["unknown_replies"] += 1

    def _stray(self) -> None:
        msg_id = next(self.traffic.msg_ids)
        if self._random.random() < 0.5:
            self.traffic.put("misdirected", CLIENT, {"type": "echo", "echo": 1, "msg_id": msg_id}, dest="n9")
            self.traffic.books.certain["misdirected"] += 1
        else:
            self.traffic.put("stray error", PEER, {"type": "error", "code": 0, "text": "?", "msg_id": msg_id})
            self.traffic.books.certain["stray_errors"] += 1

    def _unsupported(self) -> None:
        self.traffic.request({"type": "nobody_knows_this"}, error_body(10))
        self.traffic.books.certain["unsupported"] += 1

    def _init(self) -> None:
        self.traffic.request({"type": "init", "node_id": "n1", "node_ids": ["n1", PEER]}, ok_body("init"))


def _values(random: Random) -> list[object]:
    """Return what to have echoed: mostly small, of every type; one large, so that a slow reader soon has a backlog."""
    small: list[object] = [
        "short",
        'żółw \u2028 \U0001f422 \x00 "quoted" \\ \'',
        [random.random(), -random.getrandbits(53), 2**70, True, None, ""],
        {"deep": [[[{"er": {}}]]], "": 0, "msg_id": 1, "in_reply_to": 2},
    ]
    return 12 * small + ["x" * random.randrange(1000) for _ in range(15)] + ["ü" * 5000]


def _is_pending(body: Body) -> bool:
    return body.get("type") == "send_fire_forget_ok" and body.get("pending", 0) >= 1
