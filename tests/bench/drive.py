"""What the benchmark does to a node: flood it, or keep so many requests in flight.

The clock is that of the node's whole process, all threads. It starts when ``init_ok`` is here and stops with the last
reply; input is made before that, and replies are kept as bytes and checked afterwards.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable

import attrs
from bench import load
from bench.child import Child, ChildError

LONE_READ_SIZE = 4096
"""Bytes read at once where one reply is waited for: more than it has, and no large buffer to allocate for each."""


@attrs.frozen
class Usage:
    """What a load cost, per message in microseconds."""

    cpu: float
    """CPU time of the child."""
    wall: float
    """Time on the wall."""
    driver: float
    """CPU time of the benchmark itself: past the child's wall time, it would be the bottleneck."""


def check(child: Child, kind: str, count: int, lines: Iterable[bytes]) -> None:
    """Check that *lines* answer all of the requests; else fail."""
    try:
        load.check(kind, count, lines)
    except load.WrongReplyError as exc:
        child.fail(str(exc))


class Meter:
    """Clocks that start now."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._cpu, self._own, self._wall = child.cpu(), time.process_time(), time.perf_counter()

    def stop(self, count: int) -> Usage:
        """Return what each of *count* messages cost since the start."""
        wall = time.perf_counter() - self._wall
        cpu, own = self._child.cpu() - self._cpu, time.process_time() - self._own
        return Usage(*(seconds / count * 1e6 for seconds in (cpu, wall, own)))


def flood(child: Child, kind: str, count: int, *, pause: float = 0.0, last: bool = True) -> Usage:
    """Push *count* requests as fast as the pipe takes them.

    Args:
      child: Who is to answer them.
      kind: Which requests.
      count: How many.
      pause: Seconds after which the first reply is read.
      last: Close stdin after them. Whoever buffers its output has to be told.
    """
    data = b"".join(load.requests(kind, count))
    meter = Meter(child)
    writer = _push(child, data, last)
    time.sleep(pause)
    output = _read_lines(child, count)
    usage = meter.stop(count)
    writer.join()
    check(child, kind, count, b"".join(output).splitlines())
    return usage


def leak(child: Child, count: int) -> None:
    """Push *count* requests for each of which the child sends an RPC to n2, and then replies; n2 stays silent."""
    data = b"".join(load.requests("leak", count))
    writer = _push(child, data, last=False)
    lines = b"".join(_read_lines(child, 2 * count)).splitlines()
    writer.join()
    check(child, "leak", count, (line for line in lines if b'"dest": "n2"' not in line))


def _push(child: Child, data: bytes, last: bool) -> threading.Thread:
    def push() -> None:
        try:
            child.write(data)
        except ChildError:
            return  # the reading side fails, too, and reports it
        if last:
            child.close_stdin()

    thread = threading.Thread(target=push)
    thread.start()
    return thread


def _read_lines(child: Child, count: int) -> list[bytes]:
    """Read until *count* lines are there; return them in whatever pieces they came."""
    chunks, seen = [], 0
    while seen < count:
        chunks.append(child.read())
        seen += chunks[-1].count(b"\n")
    return chunks


def closed_loop(child: Child, kind: str, count: int, in_flight: int) -> Usage:
    """Send *count* requests, the next one only when a reply has come, with *in_flight* of them unanswered."""
    lines = load.requests(kind, count)
    chunks, sent, seen = [], in_flight, 0
    first = b"".join(lines[:sent])
    meter = Meter(child)
    child.write(first)
    while seen < count:
        chunks.append(child.read())
        new = chunks[-1].count(b"\n")
        seen += new
        if sent < count:
            child.write(b"".join(lines[sent : sent + new]))
            sent += new
    usage = meter.stop(count)
    check(child, kind, count, b"".join(chunks).splitlines())
    return usage


def relay(child: Child, count: int, in_flight: int) -> Usage:
    """As `closed_loop`, and play the peer n2 that the child asks before it can reply."""
    lines = load.requests("relay", count)
    replies: list[bytes] = []
    sent, rest = in_flight, b""
    first = b"".join(lines[:sent])
    meter = Meter(child)
    child.write(first)
    while len(replies) < count:
        received = (rest + child.read()).split(b"\n")
        rest = received.pop()
        output: list[bytes] = []
        for line in received:
            message = load.decode(line)
            if message.dest == "n2":
                output.append(
                    b'{"src":"n2","dest":"n1","body":{"type":"fwd_ok","in_reply_to":%d,"value":%d}}\n'
                    % (message.body.msg_id, message.body.value)
                )
            else:
                replies.append(line)
                output += lines[sent : sent + 1]
                sent += 1
        child.write(b"".join(output))
    usage = meter.stop(count)
    check(child, "relay", count, replies)
    return usage


def latency(child: Child, count: int) -> float:
    """Return the median of the microseconds that one echo takes there and back, with no other under way."""
    lines = load.requests("echo", count)
    chunks, times = [], []
    with child.watched() as (to, from_):
        for line in lines:
            begun = time.perf_counter()
            os.write(to, line)
            chunks.append(os.read(from_, LONE_READ_SIZE))
            while not chunks[-1].endswith(b"\n"):  # some write a line and its newline by two writes
                chunks.append(os.read(from_, LONE_READ_SIZE))
            times.append(time.perf_counter() - begun)
    check(child, "echo", count, b"".join(chunks).splitlines())
    times.sort()
    return times[count // 2] * 1e6
