"""Children: processes with pipes, each in its own session. Closing a child ends all processes of its group.

A node may be a shell script that starts the real node, which would outlive the script. So each child leads a session
and a process group, and signals go to the whole group. They do not reach processes that leave the group, as daemons do;
the guardian ends those (see `Guardian`).
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
"""The limit of bytes that wait to be written to a child's stdin. A node that reads its stdin never falls this far
behind."""

PIPE_GRACE: Final = 3.0
"""Seconds that the pipes of a child may stay open after its end. Only processes that have left its group keep them open
longer, unless the machine itself stalls."""

KILL_TIMEOUT: Final = 5.0
"""Seconds until the simulator gives up waiting for a killed child. A process of another user, for example, cannot be
killed."""


@final
class Child:
    """A process and its pipes. The caller of `open` must run `write`, read both pipes, and call `aclose`."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdout: Final = process.stdout
        """The process's stdout, to read from."""
        self.stderr: Final = process.stderr
        """The process's stderr, to read from."""
        self.ended: Final = trio.Event()
        """Set once `wait` has seen the end of the process."""
        self.serving: Final = trio.CancelScope()
        """The scope for the tasks that serve the child; cancelled if the process does not die after `kill`."""
        self.gone: Final = trio.Event()
        """Set once `aclose` is complete."""
        self._process = process
        self._stdin = process.stdin
        self._inbox: list[bytes] = []
        self._size = 0  # bytes in the inbox and in the write in progress
        self._writer = trio.lowlevel.ParkingLot()
        self._writing = trio.CancelScope()

    @classmethod
    async def open(cls, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Child:
        """Start *command* in *folder* with *environment*, which is by default the environment of this process.

        Raises:
          OSError: if the process cannot be started.

        If cancelled, it has started nothing. There is no checkpoint between the start of the process and the return.
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
        """The id of the process, which is also the id of its group."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status as in `trio.Process`; None while the process runs."""
        return self._process.returncode

    def put(self, line: bytes) -> bool:
        """Queue *line* for stdin; return False if the queue is now longer than `INBOX_LIMIT`."""
        self._inbox.append(line)
        self._size += len(line)
        self._writer.unpark()
        return self._size <= INBOX_LIMIT

    async def write(self) -> None:
        """Write the queued lines to stdin, until nothing reads it any more."""
        with self._writing, contextlib.suppress(trio.BrokenResourceError):
            while True:
                if not self._inbox:
                    await self._writer.park()
                data, self._inbox = b"".join(self._inbox), []
                await self._stdin.send_all(data)
                self._size -= len(data)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group. Does nothing after `wait`: another group may have its id by then."""
        if not self.ended.is_set():
            # Processes that are gone, or belong to another user, cannot receive signals.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL to the whole group."""
        self.signal(signal.SIGKILL)
        self.serving.deadline = min(self.serving.deadline, trio.current_time() + KILL_TIMEOUT)

    async def wait(self) -> int:
        """Wait for the end of the process, kill the rest of its group, and return the exit status; see `status`."""
        status = await self._process.wait()
        self.signal(signal.SIGKILL)
        self.ended.set()
        self._writing.cancel()
        return status

    async def aclose(self) -> bool:
        """Kill the group, wait for the end, and close the pipes; return whether the process has ended.

        It cannot be cancelled, but waits at most `KILL_TIMEOUT` seconds from the first `kill`.
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
    """Splits a stream of bytes into lines, and keeps the unfinished last line for later.

    Args:
      limit: The longest line in bytes. Of a longer line, the splitter keeps and returns only the first ``limit + 1``
        bytes.
    """

    def __init__(self, limit: int) -> None:
        self._kept = limit + 1
        self._held = bytearray()

    @property
    def unfinished(self) -> bytes:
        """The beginning of a line whose end has not come yet."""
        return bytes(self._held)

    def receive_data(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the lines that they complete, without newlines."""
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines:
            lines[0] = bytes(self._held) + lines[0]
            self._held.clear()
        self._held += rest[: self._kept - len(self._held)]
        return [line[: self._kept] for line in lines]

    def receive_eof(self) -> list[bytes]:
        """Take the end of the stream; return the last line if it had no newline."""
        return self.receive_data(b"\n") if self._held else []
