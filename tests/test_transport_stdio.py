"""The stdio transport, where an executable cannot be brought to: on descriptors that the test chooses."""

from __future__ import annotations

import array
import errno
import fcntl
import functools
import itertools
import os
import re
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import trio
from harness import INIT
from harness_process import LIMIT, echo, needs_proc
from hypothesis import given, strategies as st
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from trio_messenger import MalformedMessage
from trio_messenger.transports import stdio
from trio_messenger.transports.stdio import PIPE_SIZE, StdioTransport, _Descriptor, _pipefuls, _untearable_parts


@attrs.frozen
class Pipes:
    """The ends of two pipes that a transport has instead of stdin and stdout."""

    given_read: int
    given_write: int
    output_read: int
    output_write: int

    def close(self, *ends: int) -> None:
        """Close *ends*, by default all that are open."""
        for fd in ends or attrs.astuple(self):
            try:
                os.close(fd)
            except OSError as exc:
                if exc.errno != errno.EBADF:
                    raise

    def fill_output(self) -> int:
        """Fill the pipe that the transport writes to, and return how many bytes that took."""
        writer = os.open(f"/proc/self/fd/{self.output_write}", os.O_WRONLY | os.O_NONBLOCK)
        count = 0
        try:
            while True:
                count += os.write(writer, b"\n" * 4096)
        except BlockingIOError:
            return count
        finally:
            os.close(writer)

    def read_output(self, size: int) -> bytes:
        """Read *size* bytes of what the transport wrote; blocks."""
        data = b""
        while len(data) < size:
            data += os.read(self.output_read, size - len(data))
        return data


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """Make the pipes, and close them afterwards; no call of a test blocks on them for ever."""

    def interrupt(*_: object) -> None:
        raise TimeoutError(f"blocked for {LIMIT:g} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    it = Pipes(*os.pipe(), *os.pipe())
    yield it
    it.close()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def make(pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StdioTransport]:
    """Return a function that makes a transport on the pipes, or on other descriptors in place of 0 and 1."""

    def make_transport(
        stdin: int = pipes.given_read, stdout: int = pipes.output_write, *, shared: bool = False
    ) -> StdioTransport:
        numbers = {0: stdin, 1: stdout}
        monkeypatch.setattr(stdio, "_Descriptor", lambda number, access: _Descriptor(numbers[number], access))
        monkeypatch.setattr(stdio, "_is_same_pipe", lambda *_: shared)
        return StdioTransport()

    return make_transport


@pytest.fixture
def without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be opened anew, as where there is no /proc."""

    def refuse(path: object, flags: int) -> int:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    monkeypatch.setattr(os, "open", refuse)


# Awaiting


async def test_receive_returns_what_is_there(make: Callable[..., StdioTransport], pipes: Pipes) -> None:
    """Whole lines come as one batch, the rest of a line with the next; each call is a checkpoint."""
    async with make() as transport:
        os.write(pipes.given_write, INIT + echo(2) + echo(3)[:30])
        with assert_checkpoints():
            batch = await transport.receive()
        assert [message.body["msg_id"] for message in batch] == [1, 2]
        os.write(pipes.given_write, echo(3)[30:])
        with assert_checkpoints():
            batch = await transport.receive()
        assert [message.body["msg_id"] for message in batch] == [3]


async def test_receive_reads_on_past_what_is_no_message(make: Callable[..., StdioTransport], pipes: Pipes) -> None:
    """Blank lines and parts of a line are no batch: the call goes on waiting for one."""
    async with make() as transport, trio.open_nursery() as nursery:
        batches = []

        async def receive() -> None:
            batches.append(await transport.receive())

        os.write(pipes.given_write, b"\n\n  \n")
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        os.write(pipes.given_write, echo(2)[:30])
        await wait_all_tasks_blocked()
        assert batches == []
        os.write(pipes.given_write, echo(2)[30:])
        with trio.fail_after(LIMIT):
            while not batches:
                await trio.lowlevel.checkpoint()
        assert [message.body["msg_id"] for message in batches[0]] == [2]


async def test_receive_ends_for_good_at_eof(make: Callable[..., StdioTransport], pipes: Pipes) -> None:
    """The unfinished last line comes first, then `EndOfChannel`, however often one asks."""
    async with make() as transport:
        os.write(pipes.given_write, echo(2)[:-1])
        pipes.close(pipes.given_write)
        [message] = await transport.receive()
        assert message.body["msg_id"] == 2
        for _ in range(2):
            with assert_checkpoints(), pytest.raises(trio.EndOfChannel):
                await transport.receive()


async def test_cancelled_receive_has_taken_nothing(make: Callable[..., StdioTransport], pipes: Pipes) -> None:
    """Cancelled before or while it waits, it leaves every byte to the next call."""
    async with make() as transport:
        os.write(pipes.given_write, echo(2)[:30])
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(transport.receive)
                await wait_all_tasks_blocked()
                scope.cancel()
        os.write(pipes.given_write, echo(2)[30:])
        with trio.CancelScope() as scope:
            scope.cancel()
            await transport.receive()
        assert scope.cancelled_caught
        [message] = await transport.receive()
        assert message.body["msg_id"] == 2


async def test_line_limit_is_the_transports(make: Callable[..., StdioTransport], pipes: Pipes) -> None:
    """A line over `line_limit` comes out as malformed, and the next one is a message."""
    make()  # lets the next one have the same descriptors
    async with StdioTransport(line_limit=100) as transport:
        os.write(pipes.given_write, b"x" * 101 + b"\n" + echo(2))
        refused, message = await transport.receive()
        assert isinstance(refused, MalformedMessage)
        assert message.body["msg_id"] == 2


async def test_send_writes_each_line_with_its_newline(make: Callable[..., StdioTransport], pipes: Pipes) -> None:
    """A batch leaves in one piece."""
    async with make() as transport:
        await transport.send([b"one", b"two"])
        assert os.read(pipes.output_read, 100) == b"one\ntwo\n"


@given(st.lists(st.integers(0, 3 * PIPE_SIZE), max_size=6), st.integers(0, 2000), st.integers(0, 300))
def test_what_is_written_at_once_is_about_a_pipeful(sizes: list[int], count: int, size: int) -> None:
    """Lines are joined into parts of about what a pipe holds, though there be a megabyte: nothing lost, in order."""
    lines = [bytes([index % 256]) * size for index in range(count)]
    parts = list(_pipefuls(lines))
    assert b"".join(parts) == b"".join(line + b"\n" for line in lines)
    assert all(len(part) <= PIPE_SIZE for part in parts)
    assert len(parts) <= 2 * count * (size + 1) // PIPE_SIZE + 1
    mixed = [b"x" * size for size in sizes]
    assert b"".join(_pipefuls(mixed)) == b"".join(line + b"\n" for line in mixed)


@pytest.mark.parametrize("shared", [False, True])
async def test_send_waits_for_a_slow_receiver(make: Callable[..., StdioTransport], pipes: Pipes, shared: bool) -> None:
    """What the pipe cannot hold waits, without keeping other tasks from running, and nothing is lost."""
    lines = [b"%d" % number * 100 for number in range(5000)]
    expected = b"".join(text + b"\n" for text in lines)
    ticks = 0
    async with make(shared=shared) as transport:
        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(transport.send, lines)
                await wait_all_tasks_blocked()
                output = b""
                while len(output) < len(expected):
                    output += os.read(pipes.output_read, 10_000)
                    await wait_all_tasks_blocked()
                    ticks += 1
    assert output == expected
    assert ticks > 10


@pytest.mark.parametrize("shared", [False, True])
async def test_cancelled_send_ends_at_once(make: Callable[..., StdioTransport], pipes: Pipes, shared: bool) -> None:
    """Cancelled while the pipe is full, it stops waiting; what it wrote is a beginning of what it was given."""
    lines = [b"x" * 99] * 10_000
    async with make(shared=shared) as transport:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(transport.send, lines)
                await wait_all_tasks_blocked()
                scope.cancel()
    pipes.close(pipes.output_write)
    written = b""
    while data := os.read(pipes.output_read, PIPE_SIZE):
        written += data
    assert written
    assert b"\n".join(lines).startswith(written)


# One pipe for stdout and stderr


@needs_proc
async def test_long_line_is_not_left_until_it_is_whole(make: Callable[..., StdioTransport], pipes: Pipes) -> None:
    """Within a line that no single write can hold, no other task runs: one that logged would tear it."""
    long = b"x" * 500_000
    full = pipes.fill_output()
    journal: list[str] = []

    output: list[bytes] = []

    def read_everything() -> None:
        pipes.read_output(full)
        output.append(pipes.read_output(1000))
        journal.append("begun")
        output.append(pipes.read_output(200_000))
        journal.append("far from its end")  # farther than a pipe is long
        output.append(pipes.read_output(len(long) + len(b"\nshort\n") - 201_000))

    async def note_that_others_run() -> None:
        while True:
            journal.append("others run")
            await trio.lowlevel.checkpoint()

    async with make(shared=True) as transport:
        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(transport.send, [long, b"short"])
                await wait_all_tasks_blocked()
                count = array.array("i", [0])
                fcntl.ioctl(pipes.output_read, termios.FIONREAD, count)
                assert count[0] == full  # it is not begun in a full pipe, and others run
                reader = threading.Thread(target=read_everything, daemon=True)
                reader.start()
                nursery.start_soon(note_that_others_run)
                while reader.is_alive():
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
    assert b"".join(output) == long + b"\nshort\n"
    begun = journal.index("begun")
    assert journal[begun : begun + 2] == ["begun", "far from its end"]


@pytest.mark.parametrize("errors", ["same", "other", "closed", "file"])
def test_only_the_very_same_pipe_is_shared(errors: str, pipes: Pipes, tmp_path: Path) -> None:
    """Lines are cut to what cannot be torn where stderr is the pipe that stdout is, and nowhere else."""
    closed = os.dup(pipes.output_write)
    with (tmp_path / "file").open("wb") as file:
        os.close(closed)  # after the file was opened, which would take its number
        other = {"same": pipes.output_write, "other": pipes.given_write, "closed": closed, "file": file.fileno()}
        assert stdio._is_same_pipe(pipes.output_write, other[errors]) == (errors == "same")
        assert not stdio._is_same_pipe(file.fileno(), file.fileno())


def test_unknown_trouble_with_stderr_is_not_hidden(pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a descriptor is closed is expected; any other error from the system is not, and is raised."""

    def fail(fd: int) -> os.stat_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", fail)
        with pytest.raises(OSError, match=r"^\[Errno 5\] Input/output error$"):
            stdio._is_same_pipe(pipes.output_write, pipes.output_write)


SIZES = st.sampled_from([0, 1, 100, select.PIPE_BUF // 2, select.PIPE_BUF - 1, select.PIPE_BUF, 3 * select.PIPE_BUF])


@given(st.lists(SIZES | st.integers(0, 2 * select.PIPE_BUF)))
def test_parts_are_whole_lines_that_one_write_can_hold(sizes: list[int]) -> None:
    """Parts add up to all lines; each holds as many whole ones as fit, or one that is too long for any."""
    lines = [b"x" * size for size in sizes]
    parts = _untearable_parts(lines)
    assert b"".join(parts) == b"".join(text + b"\n" for text in lines)
    assert all(part.endswith(b"\n") for part in parts)
    assert all(len(part) <= select.PIPE_BUF or part.count(b"\n") == 1 for part in parts)
    for part, following in itertools.pairwise(parts):
        assert len(part) + following.index(b"\n") + 1 > select.PIPE_BUF  # its first line had no room before


# Descriptors


@needs_proc
def test_pipe_is_opened_anew(pipes: Pipes) -> None:
    """The flags of a pipe, which others may share, are never touched; what was opened is closed, and only once."""
    descriptor = _Descriptor(pipes.given_read, os.O_RDONLY)
    opened = descriptor.fd
    assert opened != pipes.given_read
    assert (os.get_blocking(opened), os.get_inheritable(opened)) == (False, False)
    assert os.get_blocking(pipes.given_read)
    descriptor.restore()
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.EBADF))):
        os.fstat(opened)
    os.dup2(pipes.given_write, opened)  # now the number is somebody else's
    descriptor.restore()
    os.fstat(opened)
    os.close(opened)


@pytest.mark.usefixtures("without_proc")
def test_pipe_that_cannot_be_opened_anew_gets_its_flag_back(pipes: Pipes) -> None:
    """Elsewhere the flag is set, and put back once; what others set later is theirs."""
    descriptor = _Descriptor(pipes.given_read, os.O_RDONLY)
    assert descriptor.fd == pipes.given_read
    assert not os.get_blocking(pipes.given_read)
    descriptor.restore()
    assert os.get_blocking(pipes.given_read)
    os.set_blocking(pipes.given_read, False)
    descriptor.restore()
    assert not os.get_blocking(pipes.given_read)


@pytest.mark.usefixtures("without_proc")
def test_flag_that_was_set_before_stays(pipes: Pipes) -> None:
    """A description that came non-blocking is left so."""
    os.set_blocking(pipes.given_read, False)
    _Descriptor(pipes.given_read, os.O_RDONLY).restore()
    assert not os.get_blocking(pipes.given_read)


def test_regular_file_is_left_alone(tmp_path: Path) -> None:
    """A file never makes one wait; opened anew it would start from its beginning."""
    with (tmp_path / "file").open("w+b") as file:
        descriptor = _Descriptor(file.fileno(), os.O_RDONLY)
        assert descriptor.fd == file.fileno()
        assert os.get_blocking(file.fileno())
        descriptor.restore()
        os.fstat(file.fileno())


async def test_aclose_may_be_called_twice(make: Callable[..., StdioTransport], pipes: Pipes) -> None:
    """Closing is a checkpoint, leaves the standard descriptors open, and doing it again changes nothing."""
    transport = make()
    for _ in range(2):
        with assert_checkpoints():
            await transport.aclose()
    for fd in attrs.astuple(pipes):
        assert os.get_blocking(fd)


# What breaks


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("__stdin__", "stdin is closed; give the node its input on descriptor 0, or </dev/null"),
        ("__stdout__", "stdout is closed; give the node a descriptor 1 to write to, or >/dev/null"),
    ],
)
def test_closed_descriptors_are_refused(
    name: str, message: str, make: Callable[..., StdioTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was closed when Python started is told by name, with the remedy."""
    monkeypatch.setattr(sys, name, None)
    with pytest.raises(trio.BrokenResourceError, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.usefixtures("without_proc")
async def test_failing_read_breaks_stdin(make: Callable[..., StdioTransport]) -> None:
    """An error from the device that stdin is (here a terminal that hung up) says so, after what came before."""
    master, slave = os.openpty()
    try:
        async with make(stdin=master) as transport:
            os.write(slave, echo(2))
            [message] = await transport.receive()
            assert message.body["msg_id"] == 2
            os.close(slave)
            with pytest.raises(trio.BrokenResourceError, match=r"^stdin is broken: Input/output error$"):
                await transport.receive()
    finally:
        os.close(master)


async def test_directory_as_stdin_breaks_it(make: Callable[..., StdioTransport], tmp_path: Path) -> None:
    """A directory can be opened, and not read."""
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        async with make(stdin=folder) as transport:
            with pytest.raises(trio.BrokenResourceError, match=r"^stdin is broken: Is a directory$") as caught:
                await transport.receive()
        assert isinstance(caught.value.__cause__, IsADirectoryError)
    finally:
        os.close(folder)


@pytest.mark.parametrize("shared", [False, True])
async def test_failing_write_breaks_stdout(make: Callable[..., StdioTransport], pipes: Pipes, shared: bool) -> None:
    """A receiver that has gone breaks stdout at the next send."""
    async with make(shared=shared) as transport:
        pipes.close(pipes.output_read)
        with pytest.raises(trio.BrokenResourceError, match=r"^stdout is broken: Broken pipe$"):
            await transport.send([b"one"])


async def test_receiver_that_goes_while_send_waits_breaks_stdout(
    make: Callable[..., StdioTransport], pipes: Pipes
) -> None:
    """A send that waits for a slow receiver ends when that goes away."""
    sent = functools.partial(make().send, [b"x" * 1_000_000])
    with (
        trio.fail_after(LIMIT),
        pytest.RaisesGroup(pytest.RaisesExc(trio.BrokenResourceError, match=r"^stdout is broken: Broken pipe$")),
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sent)
            await wait_all_tasks_blocked()
            pipes.close(pipes.output_read)


# Sending without waiting


async def test_send_now_writes_what_fits(make: Callable[..., StdioTransport], pipes: Pipes) -> None:
    """An idle pipe takes a batch at once; of one that is too large, what is left is sent later and nothing is lost."""
    async with make() as transport:
        assert transport.send_now([b"one", b"two"]) == []
        assert os.read(pipes.output_read, 100) == b"one\ntwo\n"
        lines = [b"x" * 999] * 100
        left = transport.send_now(list(lines))
        assert 0 < len(b"\n".join([*left, b""])) < 100_000
        got = os.read(pipes.output_read, 1_000_000)
        assert got + b"\n".join([*left, b""]) == b"\n".join([*lines, b""])


async def test_send_now_may_leave_only_a_newline(
    make: Callable[..., StdioTransport], pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of which only the newline is left is finished by the next send."""
    write = os.write
    async with make() as transport:
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
        left = transport.send_now([b"one"])
        monkeypatch.undo()
        await transport.send([*left, b"two"])
        assert os.read(pipes.output_read, 100) == b"one\ntwo\n"


@pytest.mark.parametrize("trouble", ["full", "gone", "shared"])
async def test_send_now_leaves_trouble_to_send(make: Callable[..., StdioTransport], pipes: Pipes, trouble: str) -> None:
    """A pipe that is full, broken or shared with stderr takes nothing without waiting, and nothing is raised."""
    async with make(shared=trouble == "shared") as transport:
        if trouble == "full":
            pipes.fill_output()
        elif trouble == "gone":
            pipes.close(pipes.output_read)
        lines = [b"one"]
        assert transport.send_now(lines) is lines
