"""Children: processes in sessions of their own, with pipes, of which nothing is left once they are closed.

A node may be a shell script that starts the real one, which would outlive it. So each child leads a session and with
it a group of processes, and signals go to the whole group. What leaves the group, as daemons do, is out of reach of
these signals; the guardian ends it (see `Guardian`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, final

import trio

INBOX_LIMIT: Final = 64 * 1024 * 1024
"""Bytes that may wait to be written to a child's stdin: more than any node is behind that reads at all."""

PIPE_GRACE: Final = 3.0
"""Seconds that the pipes of a child may stay open after its end: only what has left its group holds them longer, unless
the machine stands still."""

KILL_TIMEOUT: Final = 5.0
"""Seconds after which a killed child is given up, such as one of another user, which cannot be killed."""


@final
class Child:
    """A process and its pipes. Made by `open`; whoever opens it runs `write`, reads both pipes, and calls `aclose`."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdout: Final = process.stdout
        """What it prints."""
        self.stderr: Final = process.stderr
        """What it says on the side."""
        self.ended: Final = trio.Event()
        """Set once `wait` has seen its end."""
        self.serving: Final = trio.CancelScope()
        """For what serves it; cancelled where it does not die though it was killed."""
        self.gone: Final = trio.Event()
        """Set once `aclose` is done."""
        self._process = process
        self._stdin = process.stdin
        self._inbox: list[bytes] = []
        self._size = 0  # of the inbox, and of what is being written
        self._writer = trio.lowlevel.ParkingLot()
        self._writing = trio.CancelScope()

    @classmethod
    async def open(cls, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Child:
        """Start *command* in *folder*, with *environment*, by default that of this process.

        Raises:
          OSError: if that cannot be done.

        If cancelled, nothing was started. When it returns, no checkpoint has passed since the process was started.
        """
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment,
            start_new_session=True,  # also keeps the terminal's Ctrl-C from it
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """The number of the process, and of its group."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How the process ended, as `trio.Process` has it; None while it runs."""
        return self._process.returncode

    def put(self, line: bytes) -> bool:
        """Let *line* be written to stdin; return False if there is more to write than it should ever come to."""
        self._inbox.append(line)
        self._size += len(line)
        self._writer.unpark()
        return self._size <= INBOX_LIMIT

    async def write(self) -> None:
        """Write to stdin what is `put`, until nobody can read it any more."""
        with self._writing, contextlib.suppress(trio.BrokenResourceError):
            while True:
                if not self._inbox:
                    await self._writer.park()
                data, self._inbox = b"".join(self._inbox), []
                await self._stdin.send_all(data)
                self._size -= len(data)

    def signal(self, number: signal.Signals) -> None:
        """Send the whole group a signal. Does nothing after `wait`: the number may be another group's by then."""
        if not self.ended.is_set():
            # What is not there any more, or is another user's, cannot be signalled.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """Send the whole group SIGKILL."""
        self.signal(signal.SIGKILL)
        self.serving.deadline = min(self.serving.deadline, trio.current_time() + KILL_TIMEOUT)

    async def wait(self) -> int:
        """Wait for the end of the process, kill what is left of its group, and return the status as `trio.Process`."""
        status = await self._process.wait()
        self.signal(signal.SIGKILL)
        self.ended.set()
        self._writing.cancel()
        return status

    async def aclose(self) -> bool:
        """Kill the group, wait for the end, and close the pipes; return whether the process has ended.

        Not cancellable, but waits no longer than `KILL_TIMEOUT` seconds from the first `kill`.
        """
        with trio.CancelScope(shield=True):
            self.kill()
            with trio.CancelScope(deadline=self.serving.deadline):
                await self.wait()
            for stream in (self._stdin, self.stdout, self.stderr):
                await trio.aclose_forcefully(stream)
        self.gone.set()
        return self.ended.is_set()


@final
class LineSplitter:
    """Cuts a stream of bytes into lines; keeps the unfinished last line for later.

    Args:
      limit: Bytes of the longest line. Of one that is longer, the first ``limit + 1`` bytes are given, and no more is
        ever held of it.
    """

    def __init__(self, limit: int) -> None:
        self._kept = limit + 1
        self._held = bytearray()

    @property
    def unfinished(self) -> bytes:
        """The beginning of a line whose end has not come yet."""
        return bytes(self._held)

    def receive_data(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return the lines that they complete, without their newlines."""
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines:
            lines[0] = bytes(self._held) + lines[0]
            self._held.clear()
        self._held += rest[: self._kept - len(self._held)]
        return [line[: self._kept] for line in lines]

    def receive_eof(self) -> list[bytes]:
        """Take note of the end of the stream and return the last line, if it lacked its newline."""
        return self.receive_data(b"\n") if self._held else []
