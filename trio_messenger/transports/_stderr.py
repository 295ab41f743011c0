"""What the process of a node writes on stderr: a writer that never waits.

Logs, prints and tracebacks are for people and programs that may have stopped reading. If a node waited for them, the
reader of its logs could stop it. So each write does what can be done at once. The rest waits here, up to a limit. Lines
beyond the limit are counted; as soon as everything that waited is written, a line says how many they were.

Any thread may write, and so may a signal handler, in the middle of another write. So no writer waits for the lock: a
writer that does not get it leaves its data to the one that has it, which looks again after giving it back.
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

LIMIT: Final = 1024 * 1024
"""Bytes that wait for the reader: about 10,000 log lines, so that a reader that is only slow loses none."""

PATIENCE: Final = 0.5
"""Seconds that lines, before a node runs and after it has ended, wait for a reader that reads nothing. Short, since
even then the process must end within the time that a supervisor gives it."""


@final
class LogWriter:
    """Writes to what the descriptor *number* is now.

    Args:
      number: A descriptor.
    """

    def __init__(self, number: int) -> None:
        self.number: Final = number
        """The descriptor."""
        self._descriptor: Final = Descriptor(number, os.O_WRONLY)
        self._whole_lines = False  # set once messages go the same way
        self._start_empty()
        # In a child of fork(), what waits is its parent's, another thread may have had the lock, and no task writes.
        os.register_at_fork(after_in_child=self._start_empty)

    def _start_empty(self) -> None:
        self._patience = PATIENCE  # seconds to wait for the reader; 0 while a node runs, since that must not wait
        self._incoming: deque[bytes] = deque()  # anybody may append; everything else is changed with the lock only
        self._lock = threading.Lock()
        self._tail = b""  # the beginning of a line that must wait for its end
        self._waiting: deque[tuple[bytes, int]] = deque()  # parts, and how many lines each has or tells of
        self._size = 0  # bytes of all parts
        self._is_torn = False  # part of the first part is written
        self._lost = 0  # lines that did not fit, of which no part tells yet
        self._is_held = False
        self._wanted: trio.Event | None = None  # what wakes `run`, while that sleeps
        self._token: trio.lowlevel.TrioToken | None = None  # where `run` runs

    def write(self, data: bytes) -> None:
        """Write *data* now or later, or count its lines as lost. Never raises; never waits from `begin` to `end`."""
        self._incoming.append(data)
        self._work()
        if self._patience:
            self._wait_for_reader()

    async def run(self) -> NoReturn:
        """Write what waits as soon as the reader lets it, until cancelled."""
        self._token = trio.lowlevel.current_trio_token()
        while True:
            self._wanted = wanted = trio.Event()
            if self._is_idle:  # looked at after the event is there: another thread may write at any time
                await wanted.wait()
            else:
                await self._descriptor.wait_writable()
                self._work(anyway=True)

    def begin(self) -> None:
        """Never wait from here on: a node runs."""
        self._patience = 0.0

    def end(self) -> None:
        """Let lines wait for the reader a little, since nobody will write them later: the node has ended."""
        self._whole_lines = False
        self._incoming.append(b"")  # so that what waits for the end of its line goes out as well
        self._work()
        self._patience = PATIENCE
        self._wait_for_reader()

    def close(self) -> None:
        """Close what was opened here; *number* stays as it is."""
        self._descriptor.close()

    # Where messages go the same way

    def is_shared_with(self, number: int) -> bool:
        """Tell whether the descriptor *number* is the same pipe, socket or terminal; then write whole lines only."""
        self._whole_lines = is_same_channel(number, self.number)
        return self._whole_lines

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Write nothing while inside, except in `finish_line`: a message is under way."""
        with self._lock:
            self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            self._work(anyway=True)

    def finish_line(self) -> bool:
        """While held, write the rest of a line that is half written; return False if the reader must read first."""
        with self._lock:
            while self._is_torn and self._write_first():
                pass
            return not self._is_torn

    # All of the following needs the lock, where it does not get it

    @property
    def _is_idle(self) -> bool:
        return self._is_held or not self._waiting

    def _work(self, *, anyway: bool = False) -> None:
        """Take what came in, and write what can be written, unless another thread is doing that."""
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
            if len(data) - end <= LIMIT:  # of a longer line, the end never comes
                data, self._tail = data[:end], data[end:]
        if self._lost and not self._waiting:
            self._tell_of_lost()  # the reader had gone; it may be another one now
        for part in cut(data):
            lines = part.count(b"\n") or 1
            if self._lost or self._size + len(part) > LIMIT:
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
        except OSError:  # nobody reads it any more, or the disk is full
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
                self._patience = 0.0  # it had its time
                return
            self._work(anyway=True)
