"""A store in a directory: restarts, locks, syncs beside a running event loop, disks that fail."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from support.processes import LIMIT

from trio_messenger import FileStore, StoreError
from trio_messenger._storage import file_store
from trio_messenger._storage.store_log import checked_line, mark_line


class HeldDisk:
    """An ``os.fsync`` that waits until it is released, and counts its calls."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.began = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self._real = os.fsync
        patched.setattr(os, "fsync", self._wait)

    def _wait(self, file: int) -> None:
        self.calls += 1
        self.began.release()
        assert self.go_on.acquire(timeout=LIMIT)
        self._real(file)

    async def until_called(self) -> None:
        """Wait until the next call has begun."""
        await trio.to_thread.run_sync(self.began.acquire)


def test_a_later_life_has_what_earlier_ones_assigned(tmp_path: Path) -> None:
    """Also without a sync, and what was deleted is gone. Lives are counted."""
    directory = tmp_path / "new" / "data"
    for life in range(3):
        with FileStore(directory) as store:
            assert store.life == life
            assert dict(store) == ({} if life == 0 else {"life": life - 1})
            store["life"] = store["gone"] = life
            del store["gone"]
    assert sorted(path.name for path in directory.iterdir()) == ["lock", "log"]


def test_two_stores_in_one_directory_are_refused(tmp_path: Path) -> None:
    """The error names the process that has it. The end of the first store frees the directory."""
    with FileStore(tmp_path):
        with pytest.raises(
            StoreError,
            match=f"^the store '{tmp_path}' is in use by process {os.getpid()}; end that process, or use another ",
        ) as caught:
            FileStore(tmp_path)
        assert caught.value.directory == str(tmp_path)
        (tmp_path / "lock").write_bytes(b"")  # as if the other one had not come to write its number
        with pytest.raises(StoreError, match="is in use by another process; end"):
            FileStore(tmp_path)
    FileStore(tmp_path).close()


def test_a_second_process_is_locked_out(tmp_path: Path) -> None:
    """A real one, until it is killed."""
    code = f"import trio_messenger; store = trio_messenger.FileStore({str(tmp_path)!r}); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        with pytest.raises(StoreError, match=f"is in use by process {process.pid}; end"):
            FileStore(tmp_path)
        process.kill()
        process.wait()
        FileStore(tmp_path).close()


@pytest.mark.parametrize("name", ["file/data", "file"])
def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, name: str) -> None:
    """With the reason."""
    (tmp_path / "file").touch()
    with pytest.raises(
        StoreError, match=r"^the store '.*file.*' cannot be opened: .*; use a directory that can be written$"
    ):
        FileStore(tmp_path / name)


def test_a_log_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The lock is free again."""
    (tmp_path / "log").mkdir()
    with pytest.raises(StoreError, match=r"cannot be opened: .*Is a directory"):
        FileStore(tmp_path)
    (tmp_path / "log").rmdir()
    FileStore(tmp_path).close()


async def test_a_damaged_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Nothing that was synced is dropped, and a copy can be restored."""
    with FileStore(tmp_path) as store:
        store["a"] = "synced"
        await store.sync()
    log = tmp_path / "log"
    damaged = log.read_bytes().replace(b'"a"', b'"b"')
    log.write_bytes(damaged)
    with pytest.raises(
        StoreError,
        match=r"is damaged: byte \d+ of its log does not match its checksum; restore the directory from a copy, or use "
        "a new one to begin without data$",
    ):
        FileStore(tmp_path)
    assert log.read_bytes() == damaged


def test_an_incomplete_end_is_cut_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A crash in the middle of a write loses that change alone."""
    with FileStore(tmp_path) as store:
        store["a"] = 1
        store["a"] = 2
    log = tmp_path / "log"
    log.write_bytes(log.read_bytes()[:-3])
    with FileStore(tmp_path) as store:
        assert dict(store) == {"a": 1}
        store["b"] = 3
    assert caplog.messages == [
        f"cut off the last 14 bytes of the log of store {str(tmp_path)!r}, which a crash had left incomplete and "
        "nobody had synced"
    ]
    with FileStore(tmp_path) as store:
        assert dict(store) == {"a": 1, "b": 3}


def test_a_crash_before_the_new_log_is_renamed_loses_nothing(tmp_path: Path) -> None:
    """An unfinished new log is only a file that the next one replaces, however it looks."""
    with FileStore(tmp_path) as store:
        store["a"] = 1
    (tmp_path / "log.new").write_bytes(b"unfinished, and longer than the log that replaces it" * 10)
    with FileStore(tmp_path) as store:
        assert dict(store) == {"a": 1}
    assert not (tmp_path / "log.new").exists()


async def test_the_disk_has_a_mark_after_each_sync(tmp_path: Path) -> None:
    """So that damage of what was synced can be told from an incomplete end. A sync without changes does nothing."""
    with FileStore(tmp_path) as store:
        store["a"] = 1
        size = (tmp_path / "log").stat().st_size
        await store.sync()
        after = (tmp_path / "log").read_bytes()
        assert after[size:] == checked_line(mark_line(size), size)
        await store.sync()
        assert (tmp_path / "log").read_bytes() == after


# Syncing


async def test_the_event_loop_continues_while_the_disk_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that the disk holds up delays only who waits for it. Changes made meanwhile are not lost."""
    with FileStore(tmp_path) as store:
        disk = HeldDisk(monkeypatch)
        store["a"] = 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.sync)
            await disk.until_called()
            for number in range(10):  # the loop takes turns, and the store takes changes
                store["b"] = number
                await trio.lowlevel.checkpoint()
            disk.go_on.release(100)
    with FileStore(tmp_path) as store:
        assert dict(store) == {"a": 1, "b": 9}


async def test_concurrent_syncs_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that come while the disk works wait for one more pass, which serves all of them."""
    with FileStore(tmp_path) as store:
        disk = HeldDisk(monkeypatch)
        store["a"] = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.sync)
            await disk.until_called()
            for number in range(20):
                store["a"] = number
                nursery.start_soon(store.sync)
            disk.go_on.release(100)
        assert disk.calls == 2


async def test_a_cancelled_sync_leaves_the_work_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that queues leaves at once; one that waits for the disk leaves after it; the next ones do all the work."""
    with FileStore(tmp_path) as store:
        disk = HeldDisk(monkeypatch)
        store["a"] = 1
        async with trio.open_nursery() as working, trio.open_nursery() as queuing:
            working.start_soon(store.sync)
            await disk.until_called()
            store["a"] = 2
            queuing.start_soon(store.sync)
            await trio.testing.wait_all_tasks_blocked()
            queuing.cancel_scope.cancel()
            working.cancel_scope.cancel()
            disk.go_on.release(100)
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.sync()
        assert (scope.cancelled_caught, disk.calls) == (True, 1)
        await store.sync()
        assert disk.calls == 2


async def test_closing_during_a_sync_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is held until then, so that no other process meets an unfinished sync."""
    store = FileStore(tmp_path)
    disk = HeldDisk(monkeypatch)
    store["a"] = 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.sync)
        await disk.until_called()
        store.close()
        with pytest.raises(StoreError, match="is in use"):
            FileStore(tmp_path)
        disk.go_on.release(100)
    with FileStore(tmp_path) as store:
        assert dict(store) == {"a": 1}


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    """To changes and syncs; reads still work."""
    with FileStore(tmp_path) as store:
        store["a"] = 1
    store.close()
    text = f"^the store '{tmp_path}' is closed$"
    with pytest.raises(trio.ClosedResourceError, match=text):
        store["a"] = 2
    with pytest.raises(trio.ClosedResourceError, match=text):
        await store.sync()
    assert store["a"] == 1


# Shortening the log


async def test_the_log_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With syncs, it stays below twice its values and a bit; without, below four times and a bit."""
    monkeypatch.setattr(file_store, "SYNC_SLACK", 1000)
    monkeypatch.setattr(file_store, "WRITE_SLACK", 3000)
    with FileStore(tmp_path) as store:
        store["long"] = "x" * 500
        for number in range(100):
            store["term"] = number
            await store.sync()
            assert (tmp_path / "log").stat().st_size < 2 * 600 + 1000 + 100
        for number in range(1000):
            store["term"] = number
            assert (tmp_path / "log").stat().st_size < 4 * 600 + 3000 + 100
    with FileStore(tmp_path) as store:
        assert (store["term"], store["long"]) == (999, "x" * 500)


async def test_changes_during_shortening_are_in_both_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that come while a thread writes the new log follow it there; after a crash before, the old one has them."""
    monkeypatch.setattr(file_store, "SYNC_SLACK", 0)
    monkeypatch.setattr(file_store, "_PIECE", 10)
    with FileStore(tmp_path) as store:
        for number in range(20):
            store["a"], store["b"], store[f"c{number}"] = number, number, number
        store["a"] = 20
        for number in range(20):
            del store[f"c{number}"]
        disk = HeldDisk(monkeypatch)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.sync)
            await disk.until_called()
            store["a"] = 21
            del store["b"]
            copy = tmp_path / "copy"
            copy.mkdir()
            (copy / "log").write_bytes((tmp_path / "log").read_bytes())
            disk.go_on.release(100)
    for directory in (copy, tmp_path):
        with FileStore(directory) as store:
            assert dict(store) == {"a": 21}


# Disks that fail


def fail(*_: object) -> Any:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("call", ["fsync", "pwrite"])
async def test_a_disk_that_fails_breaks_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """The system may have dropped the data, so a store does not try again: only the disk knows what it has."""
    text = (
        rf"^the store '{tmp_path}' is broken: \[Errno 5\] Input/output error; start the process again when the disk "
        "works$"
    )

    async def change() -> None:
        store["a"] = 2
        await store.sync()

    with FileStore(tmp_path) as store:
        store["a"] = 1
        with monkeypatch.context() as patched:
            patched.setattr(os, call, fail)
            with pytest.raises(trio.BrokenResourceError, match=text):
                await change()
        for again in (change, store.sync):
            with pytest.raises(trio.BrokenResourceError, match=text):
                await again()
    with FileStore(tmp_path) as store:
        assert store["a"] == {"fsync": 2, "pwrite": 1}[call]


@pytest.mark.parametrize("is_all", [False, True])
async def test_a_sync_of_a_deleted_log_does_not_succeed(tmp_path: Path, is_all: bool) -> None:
    """The system syncs a file without a name, but the next life would not find what was promised."""
    with FileStore(tmp_path / "store") as store:
        store["a"] = 1
        await store.sync()
        if is_all:
            shutil.rmtree(tmp_path / "store")
        else:
            (tmp_path / "store" / "log").unlink()
        store["b"] = 2
        with pytest.raises(
            trio.BrokenResourceError, match=r"is broken: \[Errno 2\] the log has been deleted: '.*/log'; "
        ):
            await store.sync()
        with pytest.raises(trio.BrokenResourceError, match="the log has been deleted"):
            store["c"] = 3


async def test_those_that_wait_learn_that_the_disk_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that queued behind the one that failed does not succeed."""
    results: list[str] = []

    async def sync() -> None:
        try:
            await store.sync()
        except trio.BrokenResourceError as exc:
            results.append(re.sub(r".*broken: | Err.*", "", f"{exc}"))

    with FileStore(tmp_path) as store:
        store["a"] = 1
        monkeypatch.setattr(os, "fsync", fail)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(sync)
    assert len(results) == 3


@pytest.mark.parametrize("call", ["fsync", "pwrite"])
def test_a_disk_that_fails_at_the_start_keeps_the_old_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The store cannot be opened; later it can, with all values."""
    with FileStore(tmp_path) as store:
        store["a"] = 1
    real: Callable[..., int] = getattr(os, call)
    with monkeypatch.context() as patched:
        calls = itertools.count(1)  # the first pwrite is that of the lock file
        patched.setattr(os, call, lambda *given: real(*given) if next(calls) == 1 else fail())
        with pytest.raises(StoreError, match=r"cannot be opened: .*Input/output error"):
            FileStore(tmp_path)
    with FileStore(tmp_path) as store:
        assert dict(store) == {"a": 1}


def test_an_interrupted_write_is_no_part_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ctrl-C between two parts of a write leaves a part at the end; the next change takes its place."""
    real = os.pwrite

    def write_a_part(file: int, data: bytes, position: int) -> int:
        real(file, data[:-4], position)
        raise KeyboardInterrupt

    with FileStore(tmp_path) as store:
        store["a"] = 1
        monkeypatch.setattr(os, "pwrite", write_a_part)
        with pytest.raises(KeyboardInterrupt):
            store["a"] = 2
        monkeypatch.setattr(os, "pwrite", real)
        assert store["a"] == 1
        store["b"] = 3
        store["c"] = 4
    with FileStore(tmp_path) as store:
        assert dict(store) == {"a": 1, "b": 3, "c": 4}


def test_a_system_that_cannot_lock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else of the package works there, such as simulations."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(StoreError, match=r" needs the module fcntl, which this system lacks; use Linux, or a MemoryS"):
        FileStore(tmp_path)
    assert list(tmp_path.iterdir()) == []


WITHOUT = """
import os, select, signal, sys

for name in ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
for module, names in (
    (os, ("O_ACCMODE", "O_NOCTTY", "O_NONBLOCK", "fork", "killpg", "register_at_fork")),
    (select, ("PIPE_BUF", "poll")),
    (signal, ("SIGHUP", "SIGSTOP", "SIGUSR1")),
):
    for name in names:
        delattr(module, name)
import trio_messenger.metrics, trio_messenger.testing
from trio_messenger.nodes import echo
from trio_messenger.sim import simulate

print(simulate("echo", echo.build, time_limit=1, nemesis=["kill"]).valid)
"""


@pytest.mark.slow
def test_simulations_need_little_of_the_system() -> None:
    """Without what Windows lacks, the package can be imported, and nodes run in simulations."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False, timeout=LIMIT)
    assert (done.stdout, done.stderr) == ("True\n", "")
