"""A durable store in a directory: all values in memory, and each change at the end of a log.

An assignment is one write to the log, without waiting for the disk. `FileStore.sync` waits for the disk in a worker
thread. If the log contains much more than the current values, `sync` also replaces it with a shorter one: it writes the
new log to another file, syncs that, and renames it. So at any instant, the log under its name is complete.

Only one sync runs at a time. Calls that come meanwhile wait for it, and the next sync serves all of them.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NoReturn, Self, final

import trio

from .._protocol.errors import StoreError
from .store_log import (
    OVERHEAD,
    DamagedLogError,
    LogContents,
    change_line,
    checked_line,
    mark_line,
    read_log,
    snapshot_lines,
)
from .stores import MemoryStore

SYNC_SLACK: Final = 1024 * 1024
"""Bytes by which a log may exceed twice the size of its values before `sync` shortens it. Less costs small stores a
rename more often, and more costs disk space and the time to open."""

WRITE_SLACK: Final = 16 * 1024 * 1024
"""The same for an assignment, and four times the size. Only nodes that do not sync get there, and wait for the disk."""

_PIECE: Final = 1024 * 1024
"""Bytes that are written at once to a new log."""

_log = logging.getLogger("trio_messenger")


@final
class FileStore(MemoryStore):
    """A durable store in a directory, for one process at a time.

    An assignment survives the end of the process, also by SIGKILL. After `sync`, it survives a power failure, too.
    The values are also in memory, so a read needs no disk.

    Opening the store reads and rewrites it, which blocks: do it before the node serves. An assignment does not wait for
    the disk, but for the system to take it over. (If a node assigns without ever syncing, this may take longer each
    time that the log has grown by 16 MiB.)

    Use it in a ``with`` block, or `close` it. The process holds a lock on the directory meanwhile, and the lock ends
    with the process.

    Args:
      directory: Where the store is; created if it does not exist. It belongs to the store alone.

    Raises:
      StoreError: if another process has opened the store, if its log is damaged in a part that was synced, or if the
        system refuses access. An incomplete end that a crash left is cut off, with a warning in the log.

    Example:
      >>> async def main(directory):
      ...     with FileStore(directory) as store:
      ...         store["term"] = 7
      ...         await store.sync()
      ...         print(store.directory == Path(directory), store.life)
      ...     with FileStore(directory) as store:  # as after a restart
      ...         print(store["term"], store.life)
      ...         node = Node(first_msg_id=store.life << 32)  # numbers that no earlier life has used
      ...     store.close()  # the block has done this already
      >>> with TemporaryDirectory() as directory:
      ...     trio.run(main, directory)
      True 0
      7 1
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        super().__init__()
        self.directory: Final = Path(directory)
        """Where the store is."""
        self._path = self.directory / "log"
        self._new_path = self.directory / "log.new"
        self._syncing = trio.Lock()
        self._since: list[bytes] | None = None  # changes since a new log was begun, while a thread writes that log
        self._file = -1  # the descriptor of the log
        self._size = 0  # bytes of the log
        self._changes = 0  # since the store was opened
        self._synced = 0  # how many of them are durable
        self._is_renamed = False  # whether the disk may lack the name of the log
        self._is_closed = False
        self._failure: OSError | None = None
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = self._take_lock()
        except OSError as exc:
            raise self._cannot_be_opened(exc) from None
        try:
            contents = self._read()
            self._values = contents.values
            self.life: Final = contents.life + 1
            """How often the store was opened before: 0 at first. No later life gets the same number."""
            self._live = sum(_size_of(name, value) for name, value in self._values.items())
            self._file, size = _write_log(self._new_path, self.life, self._values)
            self._replace(self._file, size, [])
            self._sync_names()
        except BaseException as exc:
            self._release()
            if isinstance(exc, OSError):
                raise self._cannot_be_opened(exc) from None
            raise

    # Opening

    def _take_lock(self) -> int:
        """Return the descriptor of the lock file, which is locked as long as it is open."""
        try:
            fcntl = importlib.import_module("fcntl")  # here, so that simulations run on systems without it
        except ImportError:
            raise StoreError(
                str(self.directory), "needs the module fcntl, which this system lacks; use Linux, or a MemoryStore"
            ) from None
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode(errors="replace").strip()
            os.close(lock)
            who = f"process {owner}" if owner else "another process"
            raise StoreError(
                str(self.directory), f"is in use by {who}; end that process, or use another directory"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        return lock

    def _read(self) -> LogContents:
        """Return the contents of the log, or those of an empty store, whose next life is 0."""
        try:
            contents = read_log(self._path.read_bytes())
        except FileNotFoundError:
            return LogContents(-1, {}, cut=0)
        except DamagedLogError as exc:
            raise StoreError(
                str(self.directory),
                f"is damaged: {exc}; restore the directory from a copy, or use a new one to begin without data",
            ) from None
        if contents.cut:
            _log.warning(
                "cut off the last %d bytes of the log of store %r, which a crash had left incomplete and nobody had "
                "synced",
                contents.cut,
                str(self.directory),
            )
        return contents

    def _cannot_be_opened(self, exc: OSError) -> StoreError:
        return StoreError(str(self.directory), f"cannot be opened: {exc}; use a directory that can be written")

    # Changes

    def _write(self, name: str, value: bytes | None) -> None:
        self._check()
        if self._size > 4 * self._live + WRITE_SLACK and not self._syncing.locked():
            with self._breaking():
                self._replace(*_write_log(self._new_path, self.life, self._values), [])
                self._sync_names()
        change = change_line(name, value)
        with self._breaking():
            self._size = _append(self._file, change, self._size)
        self._changes += 1
        if self._since is not None:
            self._since.append(change)
        if (old := self._values.get(name)) is not None:
            self._live -= _size_of(name, old)
        if value is not None:
            self._live += _size_of(name, value)

    async def sync(self) -> None:
        """Wait until the disk has everything that was assigned or deleted before this call.

        The event loop continues meanwhile. Concurrent calls share the work: while one waits for the disk, others queue,
        and one more pass serves all of them.

        Always a checkpoint. A call that works for others waits for the disk even if it is cancelled, since the system
        offers no way to interrupt that. Then the changes may or may not be durable.

        Raises:
          trio.BrokenResourceError: if the disk failed, or the log was deleted, now or before. The changes may or may
            not be durable, and the store accepts nothing more: start the process again, so that the store is read from
            the disk.
          trio.ClosedResourceError: if the store is closed.
        """
        self._check()
        wanted = self._changes
        async with self._syncing:
            try:
                if self._synced < wanted:
                    self._check()
                    await self._sync_all()
            finally:
                if self._is_closed:
                    self._release()

    async def _sync_all(self) -> None:
        """Make all changes durable that were made until now."""
        covered = self._changes
        with self._breaking():
            if self._size > 2 * self._live + SYNC_SLACK:
                await self._shorten()
            size = self._size
            await trio.to_thread.run_sync(self._wait_for_disk, self._file)
            self._synced = covered
            if not self._is_closed:
                self._size = _append(self._file, mark_line(size), self._size)

    async def _shorten(self) -> None:
        """Replace the log with a shorter one. Changes that are made meanwhile go to both."""
        since: list[bytes] = []
        self._since = since
        try:
            new, size = await trio.to_thread.run_sync(_write_log, self._new_path, self.life, self._values.copy())
            self._replace(new, size, since)
        finally:
            self._since = None

    def _replace(self, new: int, size: int, since: list[bytes]) -> None:
        """Continue with the log in the file *new*, whose *size* bytes are synced, after the changes *since*."""
        size = _append(new, mark_line(size), size)
        for change in since:
            size = _append(new, change, size)
        self._new_path.rename(self._path)
        old, self._file, self._size, self._is_renamed = self._file, new, size, True
        if old != new:
            os.close(old)

    def _wait_for_disk(self, file: int) -> None:
        os.fsync(file)
        if os.fstat(file).st_nlink == 0:  # the system still syncs such a file, but the next life will not find it
            raise FileNotFoundError(errno.ENOENT, "the log has been deleted", str(self._path))
        self._sync_names()

    def _sync_names(self) -> None:
        """Make the name of the log durable, and that of the directory."""
        if self._is_renamed:
            for folder in (self.directory, self.directory.parent):
                names = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(names)
                finally:
                    os.close(names)
            self._is_renamed = False

    # Ends

    def close(self) -> None:
        """Close the store and give up the lock. Does not sync. Does nothing if the store is closed already.

        If a sync is running, it ends first, in the background.
        """
        if not self._is_closed:
            self._is_closed = True
            if not self._syncing.locked():
                self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _release(self) -> None:
        for file in (self._file, self._lock):
            if file >= 0:
                os.close(file)
        self._file = self._lock = -1

    def _check(self) -> None:
        """Raise if the store is closed or broken."""
        if self._is_closed:
            raise trio.ClosedResourceError(f"the store {str(self.directory)!r} is closed")
        if self._failure is not None:
            self._fail(self._failure)

    @contextlib.contextmanager
    def _breaking(self) -> Iterator[None]:
        """Break the store at an `OSError`. A retry could seem to succeed: the system may have dropped the data."""
        try:
            yield
        except OSError as exc:
            self._failure = exc
            self._fail(exc)

    def _fail(self, exc: OSError) -> NoReturn:
        raise trio.BrokenResourceError(
            f"the store {str(self.directory)!r} is broken: {exc}; start the process again when the disk works"
        ) from exc


def _size_of(name: str, value: bytes) -> int:
    """Return about how many bytes an assignment takes in the log."""
    return len(name) + len(value) + OVERHEAD


def _write_log(path: Path, life: int, values: Mapping[str, bytes]) -> tuple[int, int]:
    """Write and sync a new log; return its descriptor and its size."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        size, waiting = 0, bytearray()
        for line in snapshot_lines(life, values):
            waiting += line
            if len(waiting) >= _PIECE:
                size = _write_at(file, waiting, size)
                waiting.clear()
        size = _write_at(file, waiting, size)
        os.fsync(file)
    except BaseException:
        os.close(file)
        raise
    return file, size


def _append(file: int, content: bytes, position: int) -> int:
    """Write the line of *content* at *position*, the end of the log, and return its new end.

    A write that an exception interrupts is no part of the log: the next one takes its place.
    """
    return _write_at(file, checked_line(content, position), position)


def _write_at(file: int, data: bytes | bytearray, position: int) -> int:
    """Write all of *data* at *position* and return the position behind it."""
    end = position + len(data)
    while position < end:
        position += os.pwrite(file, data[len(data) - (end - position) :], position)
    return end
