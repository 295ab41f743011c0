"""The node of a soak: its process behind two pipes, and the lines that go in and come out, with the books of them."""

from __future__ import annotations

import itertools
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import attrs
import msgspec

Body: TypeAlias = dict[str, Any]

Matches: TypeAlias = Callable[[Body], bool]
"""Tells whether the body of an answer is what it must be."""

CLIENT = "c1"

GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "262144"}
"""Makes glibc give freed buffers back to the system; by default it keeps more and more, and a leak could hide there."""

GUARD = 120.0
"""Seconds that nothing ever takes: a guard against hanging on the slowest machine, not an expectation."""


class SoakError(Exception):
    """The node did what it must never do; the text says what."""


class NodeProcess:
    """One ``trio_messenger node`` and both its pipes; killed on leaving, if it still runs."""

    def __init__(self) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", "trio_messenger", "node", "--log-level", "info"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
            env={**os.environ, **GIVE_BACK},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._to, self._from = self._stdin.fileno(), self._stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._moved_at = self._wrote_at = time.monotonic()

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for file in (self._stdin, self._stdout, self._stderr):
            file.close()

    def exchange(self, output: bytearray, *, read: int, timeout: float) -> bytes:
        """Write what the pipe takes of *output*, which shrinks, and return what there is to be read.

        Args:
          output: What waits to be written.
          read: Bytes to read at the most; 0 leaves them in the pipe.
          timeout: Seconds to wait until either can be done.

        Raises:
          SoakError: if the node ended, or nothing moved for `GUARD` seconds although it should.
        """
        poll = select.poll()
        if output:
            poll.register(self._to, select.POLLOUT)
        if read:
            poll.register(self._from, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(timeout * 1000)]
        if ready or not read:
            self._moved_at = time.monotonic()
        elif time.monotonic() - self._moved_at > GUARD:
            raise SoakError(f"the node neither read nor wrote for {GUARD:g} s, though there was something to do")
        if self._to in ready:
            self._wrote_at = time.monotonic()
            try:
                del output[: os.write(self._to, memoryview(output)[:65536].tobytes())]
            except BlockingIOError:
                pass  # room for less than PIPE_BUF, which a small write must have in one piece
            except BrokenPipeError:
                raise SoakError("the node closed its stdin") from None
        if self._from not in ready:
            return b""
        data = os.read(self._from, read)
        if not data:
            raise SoakError("the node closed its stdout")
        return data

    def has_taken_nothing_for(self, seconds: float) -> bool:
        """Tell whether its input pipe has been full, or nothing was written to it, for so many *seconds*."""
        return time.monotonic() - self._wrote_at >= seconds

    def close_stdin(self) -> None:
        """Tell the node that no more comes."""
        self._stdin.close()

    def read_rest(self) -> bytes:
        """Return what the node still writes, to the end of its stdout."""
        parts: list[bytes] = []
        while True:
            ready, _, _ = select.select([self._from], [], [], GUARD)
            if not ready:
                raise SoakError(f"the node neither wrote nor ended for {GUARD:g} s after the end of its stdin")
            parts.append(os.read(self._from, 65536))
            if not parts[-1]:
                return b"".join(parts)

    def wait(self) -> int:
        """Wait for the end of the process and return its exit status."""
        try:
            return self._process.wait(GUARD)
        except subprocess.TimeoutExpired:
            raise SoakError(f"the node did not end within {GUARD:g} s of the end of its stdin") from None

    def resident(self) -> float | None:
        """Return the memory that is resident now, in MiB; None where the system does not tell."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return None
        found = re.search(r"^VmRSS:\s*(\d+) kB", status, re.MULTILINE)
        return int(found[1]) / 1024 if found else None

    def errors(self) -> str:
        """Return everything that it wrote to stderr so far."""
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), size, 0).decode(errors="replace")


class Incoming(msgspec.Struct):
    """A line that the node sent."""

    src: str
    dest: str
    body: Body


@attrs.frozen
class Wanted:
    """The answer to a request that is answered in its turn."""

    dest: str
    in_reply_to: int
    matches: Callable[[Body], bool]
    asked_at: float


@attrs.define
class Books:
    """What was sent, and what the node is to have counted."""

    sent: Counter[str] = attrs.field(factory=Counter)
    """Lines by kind."""
    got: Counter[str] = attrs.field(factory=Counter)
    """Lines that came back, by what they were."""
    certain: Counter[str] = attrs.field(factory=Counter)
    """The node's counters as they must be, at least."""
    replies: int = 0
    """Replies sent to the node: to its RPCs, and to nothing."""
    doubtful: int = 0
    """RPCs that were answered, or reaped and answered late; none but for those that the node may have forgotten."""
    overtaken: int = 0
    """RPCs that were abandoned for the late reply to an earlier attempt, or reaped while it was on its way."""
    open_at_end: int = 0
    """RPCs sent just before the end: closed, or reaped if that took long."""

    def ranges(self) -> dict[str, tuple[int, int]]:
        """Return the least and the most that each counter of the node may be."""
        slack = {
            "answered": self.doubtful,
            "late_replies": self.doubtful,
            "reaped": self.doubtful + self.overtaken + self.open_at_end,
            "abandoned": self.overtaken,
            "closed": self.open_at_end,
        }
        names = (
            *("received", "sent", "malformed", "misdirected", "early", "unsupported", "shed", "stray_errors"),
            *("handler_failures", "rpcs", "answered", "reaped", "abandoned", "closed"),
            *("late_replies", "duplicate_replies", "unknown_replies"),
        )
        return {name: (self.certain[name], self.certain[name] + slack.get(name, 0)) for name in names}


class Traffic:
    """The lines to the node and from it. Those that the node numbers wrongly, or that answer nothing, are errors."""

    def __init__(self) -> None:
        self.output = bytearray()
        """What is to be written to the node."""
        self.books = Books()
        self.msg_ids = itertools.count(1)
        """Numbers for what is sent."""
        self.last_msg_id = -1
        """The number of the node's last message."""
        self.handled_at = 0.0
        """A time before which the node had not said what it said last."""
        self.wanted: deque[Wanted] = deque()
        """The answers to come from handlers that answer in the order of the requests."""

    def put(self, kind: str, src: str, body: Body, dest: str = "n1") -> None:
        """Send a message, which the books are to call *kind*."""
        self.put_line(kind, msgspec.json.encode({"src": src, "dest": dest, "body": body}))

    def put_line(self, kind: str, line: bytes) -> None:
        """Send any *line* that is not blank."""
        self.output += line
        self.output += b"\n"
        self.books.sent[kind] += 1
        self.books.certain["received"] += 1

    def want(self, dest: str, msg_id: int, matches: Matches) -> None:
        """Expect an answer after all those that are expected already."""
        self.wanted.append(Wanted(dest, msg_id, matches, time.monotonic()))

    def request(self, body: Body, matches: Matches) -> None:
        """Send a request to a plain handler and expect its answer."""
        msg_id = next(self.msg_ids)
        self.put(body["type"], CLIENT, {**body, "msg_id": msg_id})
        self.want(CLIENT, msg_id, matches)

    def receive(self, line: bytes) -> Incoming:
        """Read the next line that the node wrote.

        Raises:
          SoakError: if it is no message, or not the one that was to come.
        """
        try:
            message = _decode(line)
        except msgspec.DecodeError as exc:
            raise SoakError(f"the node wrote what is no message: {exc}: {line!r:.300}") from None
        self.books.certain["sent"] += 1
        self.last_msg_id += 1
        if message.src != "n1" or message.body.get("msg_id") != self.last_msg_id:
            raise SoakError(f"the node's message {self.last_msg_id} was to come, not {line!r:.300}")
        return message

    def take_answer(self, message: Incoming) -> None:
        """Take the answer of a plain handler.

        Raises:
          SoakError: if it is not the one that was to come.
        """
        body = message.body
        wanted = self.wanted.popleft() if self.wanted else None
        if wanted is None or (wanted.dest, wanted.in_reply_to) != (message.dest, body.get("in_reply_to")):
            raise SoakError(f"an answer to nothing, or before its turn, which is that of {wanted}: {message!r:.300}")
        if not wanted.matches(body):
            raise SoakError(f"a wrong answer: {message!r:.500}")
        self.books.got[str(body.get("type"))] += 1
        self.handled_at = wanted.asked_at


_decode = msgspec.json.Decoder(Incoming).decode


def ok_body(kind: str, **fields: object) -> Callable[[Body], bool]:
    """Return what tells whether a body answers a request of *kind* with *fields* and nothing else."""
    wanted = {"type": kind + "_ok", **fields}
    return lambda body: len(body) == len(wanted) + 2 and wanted.items() <= body.items()


def error_body(code: int) -> Callable[[Body], bool]:
    """Return what tells whether a body is an error of that *code* with a text."""
    return lambda body: body.get("type") == "error" and body.get("code") == code and bool(body.get("text"))
