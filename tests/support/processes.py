"""Node executables as child processes behind real pipes, none of which outlives its test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Final, final

import msgspec
import pytest
import trio

from support.lines import INIT, line

SCRIPTS = Path(sys.executable).parent
"""Where the console scripts of the environment that runs the tests are."""

MODULE = (sys.executable, "-m", "trio_messenger")
NODE = (*MODULE, "node")

LIMIT = 30.0
"""Seconds that no test ever needs; a guard against hanging, not an expectation."""

INIT_OK = b'{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}\n'

HELLO = b'{"src": "n1", "dest": "c1", "body": {"type": "echo_ok", "echo": "hello", "in_reply_to": 2, "msg_id": 1}}\n'

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into processes through /proc")

Target = int | IO[Any] | None
"""What a standard stream of a child is: a descriptor, a file, `subprocess.PIPE`, or None for the test's own."""


@final
class Child:
    """A process that runs; whatever it writes to a piped stderr is collected as it comes."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.pid = process.pid
        self.errors = b""
        """What stderr had so far; complete once `wait` has returned."""
        self._errors_ended = trio.Event()
        self._unread = b""

    async def collect_errors(self) -> None:
        """Read stderr to its end."""
        if self.process.stderr is not None:
            async for data in self.process.stderr:
                self.errors += data
        self._errors_ended.set()

    async def send(self, data: bytes) -> None:
        """Write to the child's stdin."""
        assert self.process.stdin is not None
        await self.process.stdin.send_all(data)

    async def feed(self, data: bytes) -> None:
        """Write all of the child's stdin and end it; the child may end before it has read everything."""
        with contextlib.suppress(trio.BrokenResourceError):
            await self.send(data)
        await self.send_eof()

    async def send_eof(self) -> None:
        """End the child's stdin."""
        assert self.process.stdin is not None
        await self.process.stdin.aclose()

    async def read_line(self) -> bytes:
        """Return the next line of stdout, with its newline."""
        assert self.process.stdout is not None
        while b"\n" not in self._unread:
            data = await self.process.stdout.receive_some()
            assert data, f"stdout ended after {self._unread!r}; stderr: {self.errors.decode()}"
            self._unread += data
        found, newline, self._unread = self._unread.partition(b"\n")
        return found + newline

    async def read_rest(self) -> bytes:
        """Return what stdout has, to its end."""
        assert self.process.stdout is not None
        parts = [self._unread] + [data async for data in self.process.stdout]
        self._unread = b""
        return b"".join(parts)

    async def wait(self) -> int:
        """Wait for the end of the process and of its stderr; return the exit status."""
        status = await self.process.wait()
        await self._errors_ended.wait()
        return status

    async def finish(self) -> bytes:
        """Return the rest of stdout, once the process has ended with status 0 and nothing on stderr."""
        rest = await self.read_rest()
        assert (await self.wait(), self.errors.decode()) == (0, "")
        return rest

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    async def signal_and_see_it_taken(self, number: int) -> None:
        """Send a signal for which the process has a handler, and wait until another one would be the system's."""
        self.signal(number)
        await until(lambda: not self.catches(number))

    # What Linux knows of the process

    def status(self, field: str) -> str:
        """Return a field of the process's status."""
        for entry in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            name, _, value = entry.partition(":")
            if name == field:
                return value.strip()
        raise AssertionError(f"no {field} in the status of the process")

    def resident_mb(self, field: str = "VmRSS") -> float:
        """Return its resident memory in megabytes, now or (VmHWM) at its highest."""
        return int(self.status(field).removesuffix("kB")) / 1024

    def catches(self, number: int) -> bool:
        """Tell whether the process has a handler of its own for the signal."""
        return bool(int(self.status("SigCgt"), 16) >> (number - 1) & 1)

    def terminal(self) -> int:
        """Return the device number of its controlling terminal, 0 if it has none."""
        _, _, fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")  # what ends there is its name
        return int(fields.split()[4])

    def wakeups(self) -> int:
        """Return how often the process has gone to sleep so far: an idle one stays asleep."""
        return int(self.status("voluntary_ctxt_switches"))

    async def comes_to_rest(self) -> None:
        """Wait until the process sleeps and does not wake up for a while."""
        before = -1
        while True:
            asleep = self.status("State").startswith("S")  # asked first: who wakes up after that is counted below
            now = self.wakeups()
            if asleep and now == before:
                return
            before = now
            await trio.sleep(0.15)


@asynccontextmanager
async def child(
    *command: str | Path,
    stdin: Target = subprocess.PIPE,
    stdout: Target = subprocess.PIPE,
    stderr: Target = subprocess.PIPE,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    limit: float = LIMIT,
) -> AsyncIterator[Child]:
    """Run *command*; on leaving, however that comes about, it and all that it started have ended."""
    with trio.fail_after(limit):
        process = await trio.lowlevel.open_process(
            command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=env, start_new_session=True
        )
        try:
            async with trio.open_nursery() as nursery:
                it = Child(process)
                nursery.start_soon(it.collect_errors)
                yield it
                nursery.cancel_scope.cancel()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # a shell's children are in its group
            with trio.CancelScope(shield=True):
                await process.wait()
                for stream in (process.stdin, process.stdout, process.stderr):
                    if stream is not None:
                        await trio.aclose_forcefully(stream)


async def run(
    *command: str | Path,
    input: bytes | None = None,
    **options: Any,
) -> tuple[int, bytes, str]:
    """Run *command* on *input* to its end; return its exit status, its stdout and its stderr."""
    async with child(*command, **options) as node, trio.open_nursery() as nursery:
        if input is not None:
            nursery.start_soon(node.feed, input)
        output = b"" if node.process.stdout is None else await node.read_rest()
        return await node.wait(), output, node.errors.decode()


def own_node(folder: Path, source: str) -> tuple[str, ...]:
    """Write a module with a node, and return the command that runs it in *folder*."""
    head = "import time\nimport trio\nfrom trio_messenger import Node, Request\nnode = Node(rpc_timeout=600)\n"
    (folder / "own.py").write_text(head + source + "\ndef build():\n    return node\n")
    return (*NODE, "own:build")


async def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
        await trio.sleep(0.005)


def echo(number: int, value: object = "hello") -> bytes:
    """Return an echo request with *number* as its id."""
    return line({"type": "echo", "msg_id": number, "echo": value})


@final
class Flood:
    """Requests without end on descriptor *fd*, as fast as they are taken; every line has the same length."""

    FIRST: Final = 1_000_000_000

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.written = 0
        """Bytes written so far."""
        os.set_blocking(fd, False)

    async def pour(self) -> None:
        """Write until cancelled."""
        number = self.FIRST
        data = INIT
        while True:
            data += b"".join(map(echo, range(number, number + 500)))
            number += 500
            while len(data) > 4096:
                try:
                    count = os.write(self._fd, data)
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._fd)
                else:
                    self.written += count
                    data = data[count:]
            await trio.lowlevel.checkpoint()

    def requests_in(self, size: int) -> int:
        """Return how many whole echo requests the first *size* bytes have."""
        return (size - len(INIT)) // len(echo(self.FIRST))


def read_leftover(fd: int) -> int:
    """Return how many bytes are left in a pipe that nobody writes to any more."""
    size = 0
    while data := os.read(fd, 65536):
        size += len(data)
    return size


def echo_flood(count: int) -> bytes:
    """Return an init and *count* echo requests, whose ids are 2 and up."""
    return INIT + b"".join(map(echo, range(2, count + 2)))


def bodies(output: bytes) -> list[dict[str, Any]]:
    """Return the bodies of all messages in *output*, every line of which is to be whole."""
    assert output == b"" or output.endswith(b"\n")
    return [msgspec.json.decode(text)["body"] for text in output.splitlines()]


def assert_answers(output: bytes, count: int, first: int = 2) -> None:
    """Assert that *output* answers an init and then *count* requests from *first* up, all of them once, in order."""
    found = bodies(output)
    assert len(found) == count + 1
    assert [body["msg_id"] for body in found] == list(range(count + 1))
    assert [body["in_reply_to"] for body in found] == [1, *range(first, first + count)]
