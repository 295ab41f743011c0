"""The stdio transport, where an executable cannot be brought to: on descriptors that the test chooses."""

from __future__ import annotations

import functools
import gc
import os
import re
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
import trio
from hypothesis import given, strategies as st
from support.lines import INIT
from support.pipes import Pipes, open_pipes, refuse_proc
from support.processes import LIMIT, echo, needs_proc
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from trio_messenger import MalformedMessage, Node
from trio_messenger.transports import stdio
from trio_messenger.transports._stderr import LogWriter
from trio_messenger.transports.stdio import PIPE_SIZE, StdioTransport, _pipefuls


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """Make pipes instead of stdin and stdout."""
    with open_pipes() as it:
        yield it


Make: TypeAlias = Callable[..., StdioTransport]


@pytest.fixture
def make(pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return a function that makes a transport on the pipes, or on other descriptors in place of 0 and 1.

    Stderr is the null device, or what stdout is if that is *shared*.
    """
    with open(os.devnull, "wb") as null:

        def make_transport(
            stdin: int = pipes.given_read, stdout: int = pipes.output_write, *, shared: bool = False, **options: Any
        ) -> StdioTransport:
            monkeypatch.setattr(stdio, "_STDIN", stdin)
            monkeypatch.setattr(stdio, "_STDOUT", stdout)
            monkeypatch.setattr(stdio, "_STDERR", stdout if shared else null.fileno())
            return StdioTransport(**options)

        yield make_transport


# Awaiting


async def test_receive_returns_what_is_there(make: Make, pipes: Pipes) -> None:
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


async def test_receive_waits_for_the_first_line(make: Make, pipes: Pipes) -> None:
    """A pipe in which nothing is yet is no end and no error."""
    async with make() as transport, trio.open_nursery() as nursery:
        batches = []

        async def receive() -> None:
            batches.append(await transport.receive())

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        assert batches == []
        os.write(pipes.given_write, INIT)
    assert [message.body["type"] for [message] in batches] == ["init"]


async def test_receive_reads_on_past_what_is_no_message(make: Make, pipes: Pipes) -> None:
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


async def test_receive_ends_for_good_at_eof(make: Make, pipes: Pipes) -> None:
    """The unfinished last line comes first, then `EndOfChannel`, however often one asks."""
    async with make() as transport:
        os.write(pipes.given_write, echo(2)[:-1])
        pipes.close(pipes.given_write)
        [message] = await transport.receive()
        assert message.body["msg_id"] == 2
        for _ in range(2):
            with assert_checkpoints(), pytest.raises(trio.EndOfChannel):
                await transport.receive()


async def test_cancelled_receive_has_taken_nothing(make: Make, pipes: Pipes) -> None:
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


async def test_line_limit_is_the_transports(make: Make, pipes: Pipes) -> None:
    """A line over `line_limit` comes out as malformed, and the next one is a message."""
    async with make(line_limit=100) as transport:
        os.write(pipes.given_write, b"x" * 101 + b"\n" + echo(2))
        refused, message = await transport.receive()
        assert isinstance(refused, MalformedMessage)
        assert message.body["msg_id"] == 2


async def test_send_writes_each_line_with_its_newline(make: Make, pipes: Pipes) -> None:
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
async def test_send_waits_for_a_slow_receiver(make: Make, pipes: Pipes, shared: bool) -> None:
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
async def test_cancelled_send_ends_at_once(make: Make, pipes: Pipes, shared: bool) -> None:
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


async def unread_long_line(transport: StdioTransport, pipes: Pipes, nursery: trio.Nursery, long: bytes) -> bytes:
    """Send *long* and a short line in a task that gets stuck within the long one; return what of it came out."""
    nursery.start_soon(transport.send, [long, b"short"])
    await wait_all_tasks_blocked()
    return pipes.output()


async def test_log_line_waits_for_the_message_that_was_begun(make: Make, pipes: Pipes) -> None:
    """Within a line that no single write can hold, others run and may log; what they log comes after the messages."""
    long = b"x" * 500_000
    logs = LogWriter(pipes.output_write)
    logs.begin()
    async with make(shared=True, logs=logs) as transport:
        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                output = await unread_long_line(transport, pipes, nursery, long)
                assert 0 < len(output) < len(long)
                logs.write(b"INFO: logged\n")
                while nursery.child_tasks:
                    await wait_all_tasks_blocked()
                    output += pipes.output()
    assert output == long + b"\nshort\nINFO: logged\n"
    logs.close()


async def test_message_waits_for_the_log_line_that_was_begun(make: Make, pipes: Pipes) -> None:
    """A log line that is half written is finished first, then come messages, then the other log lines."""
    logs = LogWriter(pipes.output_write)
    logs.begin()
    async with make(shared=True, logs=logs) as transport:
        logs.write(b"l" * 200_000 + b"\n")
        logs.write(b"last\n")
        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(transport.send, [b"message"])
                await wait_all_tasks_blocked()
                output = pipes.output()
                while nursery.child_tasks:
                    await wait_all_tasks_blocked()
                    output += pipes.output()
    assert output + pipes.output() == b"l" * 200_000 + b"\nmessage\nlast\n"
    logs.close()


async def test_send_that_is_cancelled_lets_logs_go_on(make: Make, pipes: Pipes) -> None:
    """However a send ends, log lines may be written afterwards."""
    logs = LogWriter(pipes.output_write)
    logs.begin()
    async with make(shared=True, logs=logs) as transport:
        async with trio.open_nursery() as nursery:
            await unread_long_line(transport, pipes, nursery, b"x" * 500_000)
            nursery.cancel_scope.cancel()
        pipes.output()
        logs.write(b"logged\n")
        assert pipes.output() == b"logged\n"
    logs.close()


@needs_proc
async def test_writes_to_a_shared_pipe_are_of_a_size_that_is_never_torn(make: Make, pipes: Pipes) -> None:
    """While the message pipe is stderr as well, other processes cannot write into the middle of a line."""
    begun, stop = threading.Event(), threading.Event()

    def write_lines() -> None:
        writer = os.open(f"/proc/self/fd/{pipes.output_read}", os.O_WRONLY)
        while not stop.is_set():
            os.write(writer, b"another process\n")
            begun.set()
        os.close(writer)

    async with make(shared=True) as transport:
        other = threading.Thread(target=write_lines, daemon=True)
        other.start()
        begun.wait()
        output = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.send, [b"x" * 1000] * 500)
            while nursery.child_tasks:
                await trio.lowlevel.checkpoint()
                output += pipes.output()
        stop.set()
        while other.is_alive():
            output += pipes.output()
    output += pipes.output()
    assert set(output.splitlines()) == {b"x" * 1000, b"another process"}


# Descriptors


async def test_standard_descriptors_belong_to_the_node_while_it_is_open(
    make: Make, pipes: Pipes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For everybody else descriptor 0 is empty and descriptor 1 is stderr; afterwards both are what they were."""
    os.write(pipes.given_write, echo(2) + echo(3)[:10])
    with (tmp_path / "errors").open("w+b") as errors:
        transport = make()
        await transport.aclose()
        monkeypatch.setattr(stdio, "_STDERR", errors.fileno())
        async with StdioTransport() as transport:
            assert os.read(pipes.given_read, 10) == b""
            os.write(pipes.output_write, b"another's\n")
            await transport.send([b"ours"])
            [message] = await transport.receive()
            assert message.body["msg_id"] == 2
        assert pipes.output() == b"ours\n"
        errors.seek(0)
        assert errors.read() == b"another's\n"
    os.write(pipes.given_write, b"x")
    assert os.read(pipes.given_read, 10) == b"x"
    os.write(pipes.output_write, b"y")
    assert pipes.output() == b"y"


async def test_where_stderr_is_closed_descriptor_1_leads_nowhere(
    make: Make, pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of a stderr that was closed at the start may be anybody's by now, so nothing is written there."""
    transport = make(shared=True)
    await transport.aclose()
    monkeypatch.setattr(sys, "__stderr__", None)
    async with StdioTransport() as transport:
        os.write(pipes.output_write, b"lost\n")
        assert transport.send_now([b"ours"]) == []  # it is not taken for shared either
    assert pipes.output() == b"ours\n"


async def test_a_file_goes_on_where_the_node_left_it(make: Make, tmp_path: Path) -> None:
    """Files are read from where they stand and written where they stand, and stand behind that afterwards."""
    (tmp_path / "given").write_bytes(b"skipped\n" + echo(2) + echo(3))
    with (tmp_path / "given").open("rb", buffering=0) as source, (tmp_path / "output").open("wb", 0) as target:
        source.seek(len(b"skipped\n"))
        target.write(b"before\n")
        async with make(source.fileno(), target.fileno()) as transport:
            assert [message.body["msg_id"] for message in await transport.receive()] == [2, 3]
            await transport.send([b"ours"])
        assert source.read() == b""
        target.write(b"after\n")
    assert (tmp_path / "output").read_bytes() == b"before\nours\nafter\n"


async def test_aclose_may_be_called_twice(make: Make, pipes: Pipes) -> None:
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
def test_closed_descriptors_are_refused(name: str, message: str, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was closed when Python started is told by name, with the remedy."""
    monkeypatch.setattr(sys, name, None)
    with pytest.raises(trio.BrokenResourceError, match=f"^{re.escape(message)}$"):
        make()


def test_descriptors_for_the_other_direction_are_refused(make: Make, pipes: Pipes) -> None:
    """Opened again, the end of a pipe that reads would write: to the node itself, if it is its stdin."""
    message = "stdout is open for reading only; give the node a descriptor 1 to write to, or >/dev/null"
    with pytest.raises(trio.BrokenResourceError, match=f"^{re.escape(message)}$"):
        make(stdout=pipes.given_read)
    message = "stdin is open for writing only; give the node its input on descriptor 0, or </dev/null"
    with pytest.raises(trio.BrokenResourceError, match=f"^{re.escape(message)}$"):
        make(stdin=pipes.given_write)


async def test_failing_read_breaks_stdin(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error from the device that stdin is (here a terminal that hung up) says so, after what came before."""
    refuse_proc(monkeypatch)
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


async def test_directory_as_stdin_breaks_it(make: Make, tmp_path: Path) -> None:
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
async def test_failing_write_breaks_stdout(make: Make, pipes: Pipes, shared: bool) -> None:
    """A receiver that has gone breaks stdout at the next send."""
    async with make(shared=shared) as transport:
        pipes.close(pipes.output_read)
        with pytest.raises(trio.BrokenResourceError, match=r"^stdout is broken: Broken pipe$"):
            await transport.send([b"one"])


async def test_receiver_that_goes_while_send_waits_breaks_stdout(make: Make, pipes: Pipes) -> None:
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


async def test_send_now_writes_what_fits(make: Make, pipes: Pipes) -> None:
    """An idle pipe takes a batch at once; of one that is too large, what is left is sent later and nothing is lost."""
    async with make() as transport:
        assert transport.send_now([b"one", b"two"]) == []
        assert os.read(pipes.output_read, 100) == b"one\ntwo\n"
        lines = [b"x" * 999] * 100
        left = transport.send_now(list(lines))
        assert 0 < len(b"\n".join([*left, b""])) < 100_000
        got = os.read(pipes.output_read, 1_000_000)
        assert got + b"\n".join([*left, b""]) == b"\n".join([*lines, b""])


async def test_send_now_may_leave_only_a_newline(make: Make, pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of which only the newline is left is finished by the next send."""
    write = os.write
    async with make() as transport:
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
        left = transport.send_now([b"one"])
        monkeypatch.undo()
        await transport.send([*left, b"two"])
        assert os.read(pipes.output_read, 100) == b"one\ntwo\n"


@pytest.mark.parametrize("trouble", ["full", "gone", "shared"])
async def test_send_now_leaves_trouble_to_send(make: Make, pipes: Pipes, trouble: str) -> None:
    """A pipe that is full, broken or shared with stderr takes nothing without waiting, and nothing is raised."""
    async with make(shared=trouble == "shared") as transport:
        if trouble == "full":
            pipes.fill_output()
        elif trouble == "gone":
            pipes.close(pipes.output_read)
        lines = [b"one"]
        assert transport.send_now(lines) is lines


# A child of fork()


def test_a_child_of_fork_that_goes_on_as_the_node_ends(make: Make, pipes: Pipes) -> None:
    """It would answer each request a second time, from the same messages. The parent notices nothing."""
    transport = make()
    child = os.fork()
    if child == 0:  # pragma: no cover - not this process
        try:
            transport.send_now([b"twice"])
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert transport.send_now([b"once"]) == []
    assert os.read(pipes.output_read, 100) == b"once\n"
    trio.run(transport.aclose)


async def test_the_child_says_what_it_should_have_done(
    make: Make, pipes: Pipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so when it reads, too, before it ends. A transport that is no longer there is none of its business."""
    monkeypatch.setattr(os, "_exit", sys.exit)
    async with make() as transport:
        stdio._disown_in_child(weakref.ref(transport))
        with (tmp_path / "stderr").open("wb") as stderr:
            monkeypatch.setattr(stdio, "_STDERR", stderr.fileno())
            with pytest.raises(SystemExit):
                await transport.receive()
        with pytest.raises(SystemExit):  # although stderr is closed by now
            transport.send_now([b"twice"])
    assert (tmp_path / "stderr").read_text() == (
        "error: a child of fork() went on as the node, whose messages belong to its parent; end the child with"
        " os._exit(), or use subprocess\n"
    )
    reference = weakref.ref(transport)
    del transport
    gc.collect()
    stdio._disown_in_child(reference)


def test_a_system_without_fcntl_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has changed by then, neither signals nor streams."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    before = signal.getsignal(signal.SIGTERM), sys.stdin
    with pytest.raises(
        RuntimeError, match=r"^a node on stdin and stdout needs the module fcntl, which this system lac"
    ):
        Node().run()
    assert (signal.getsignal(signal.SIGTERM), sys.stdin) == before
