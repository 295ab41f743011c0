"""The writer of a node's stderr. It never waits.

People and programs read logs, prints and tracebacks, and they may have stopped reading. If a node waited for them, the
reader of its logs could stop it. So each write sends immediately as much as stderr takes. The rest waits here, up to a
limit. The writer counts lines beyond the limit. When it has written everything that waited, it adds a line that says
how many lines are missing.

Any thread may write, and so may a signal handler, in the middle of another write. So no thread waits for the lock. A
thread that does not get the lock leaves its data to the thread that has it, which looks again after it releases it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from typing import Final, NoReturn, final

import trio

from ._descriptors import Descriptor, cut, is_same_channel

STDERR_LIMIT: Final = 1024 * 1024
"""Bytes that may wait for the reader: about 10,000 log lines, so that a slow reader loses none."""

READER_PATIENCE: Final = 0.5
"""Seconds to wait for a reader that reads nothing, before a node runs and after it has ended. This is short, since the
process must still end within the time that a supervisor gives it."""


@final
class LogWriter:
    """Writes to the file that the descriptor *number* refers to now.

    Args:
      number: A descriptor.
    """

    def __init__(self, number: int) -> None:
        self.number: Final = number
        """The descriptor."""
        self._descriptor: Final = Descriptor(number, os.O_WRONLY)
        self._whole_lines = False  # True if messages go to the same place
        self._start_empty()
        # In a child of fork(), the waiting lines belong to the parent, another thread may have held the lock, and no
        # task writes.
        os.register_at_fork(after_in_child=self._start_empty)

    def _start_empty(self) -> None:
        self._patience = READER_PATIENCE  # seconds to wait for the reader; 0 while a node runs, as it must not wait
        self._incoming: deque[bytes] = deque()  # any thread may append; all other fields change under the lock only
        self._lock = threading.Lock()
        self._tail = b""  # the beginning of a line that must wait for its end
        self._waiting: deque[tuple[bytes, int]] = deque()  # parts, and how many lines each one has or reports as lost
        self._size = 0  # bytes of all parts
        self._is_torn = False  # True if only a piece of the first part is written
        self._lost = 0  # lines that did not fit and that no part reports yet
        self._is_held = False
        self._wanted: trio.Event | None = None  # wakes `run`; None while `run` does not sleep
        self._token: trio.lowlevel.TrioToken | None = None  # of the Trio run in which `run` runs

    def write(self, data: bytes) -> None:
        """Write *data* now or later, or count its lines as lost. Never raises; never waits from `begin` to `end`."""
        self._incoming.append(data)
        self._work()
        if self._patience:
            self._wait_for_reader()

    async def run(self) -> NoReturn:
        """Write waiting lines whenever the reader makes room, until cancelled."""
        self._token = trio.lowlevel.current_trio_token()
        while True:
            self._wanted = wanted = trio.Event()
            if self._is_idle:  # checked after the event exists, since another thread may write at any time
                await wanted.wait()
            else:
                await self._descriptor.wait_writable()
                self._work(anyway=True)

    def begin(self) -> None:
        """Never wait from now on, because a node runs."""
        self._patience = 0.0

    def end(self) -> None:
        """Wait for the reader a little from now on: the node has ended, so no task writes the lines later."""
        self._whole_lines = False
        self._incoming.append(b"")  # so that an unfinished line goes out as well
        self._work()
        self._patience = READER_PATIENCE
        self._wait_for_reader()

    def close(self) -> None:
        """Close the private descriptors; *number* does not change."""
        self._descriptor.close()

    # For messages that go to the same place

    def is_shared_with(self, number: int) -> bool:
        """Tell whether the descriptor *number* is the same pipe, socket or terminal. If so, write whole lines only."""
        self._whole_lines = is_same_channel(number, self.number)
        return self._whole_lines

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Write nothing while inside, except in `finish_line`, because a message is being written."""
        with self._lock:
            self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            self._work(anyway=True)

    def finish_line(self) -> bool:
        """While held, write the rest of a half-written line. Return False if the reader must read first."""
        with self._lock:
            while self._is_torn and self._write_first():
                pass
            return not self._is_torn

    # The caller must hold the lock for the following methods, except for those that acquire it themselves

    @property
    def _is_idle(self) -> bool:
        return self._is_held or not self._waiting

    def _work(self, *, anyway: bool = False) -> None:
        """Take new data, and write as much as possible, unless another thread is doing that."""
        while (anyway or self._incoming) and self._lock.acquire(blocking=False):
            anyway = False
            try:
                while self._incoming:
                    self._take(self._incoming.popleft())
                while not self._is_idle and self._write_first():
                    pass
            finally:
                self._lock.release()
        if not self._is_idle and self._wanted is not None and self._token is not None:
            wanted, self._wanted = self._wanted, None
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(wanted.set)

    def _take(self, data: bytes) -> None:
        data, self._tail = self._tail + data, b""
        if self._whole_lines:
            end = data.rfind(b"\n") + 1
            if len(data) - end <= STDERR_LIMIT:  # a longer line is taken to have no end
                data, self._tail = data[:end], data[end:]
        if self._lost and not self._waiting:
            self._tell_of_lost()  # the reader was gone; there may be a new one now
        for part in cut(data):
            lines = part.count(b"\n") or 1
            if self._lost or self._size + len(part) > STDERR_LIMIT:
                self._lost += lines
            else:
                self._put(part, lines)

    def _put(self, part: bytes, lines: int) -> None:
        self._waiting.append((part, lines))
        self._size += len(part)

    def _tell_of_lost(self) -> None:
        lines = "1 line was" if self._lost == 1 else f"{self._lost} lines were"
        self._put(f"WARNING: {lines} left out here, because stderr was not read\n".encode(), self._lost)
        self._lost = 0

    def _write_first(self) -> bool:
        """Write some of the first part; return False if nothing more can be written now."""
        part, lines = self._waiting[0]
        try:
            written = self._descriptor.write(part)
        except BlockingIOError:
            return False
        except OSError:  # nobody reads any more, or the disk is full
            self._lost += sum(lines for _, lines in self._waiting)
            self._waiting.clear()
            self._size = 0
            self._is_torn = False
            return False
        self._size -= written
        self._is_torn = written < len(part)
        if self._is_torn:
            self._waiting[0] = (part[written:], lines)
        else:
            self._waiting.popleft()
            if self._lost and not self._waiting:
                self._tell_of_lost()
        return True

    def _wait_for_reader(self) -> None:
        while self._waiting:
            if not self._descriptor.block_until_writable(self._patience):
                self._patience = 0.0  # the reader had its time
                return
            self._work(anyway=True)
