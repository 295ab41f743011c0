"""The writer of stderr: it never waits, counts what does not fit, and says so when there is room again."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import trio
from support.pipes import Pipes, open_pipes, refuse_proc
from support.processes import LIMIT
from trio.testing import wait_all_tasks_blocked

from trio_messenger.transports import _stderr
from trio_messenger.transports._stderr import LogWriter

LEFT_OUT = re.compile(rb"WARNING: (\d+) lines? (?:was|were) left out here, because stderr was not read\n")


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """Make pipes, one of them instead of stderr."""
    with open_pipes() as it:
        yield it


def begun(fd: int) -> LogWriter:
    """Return a writer as it is while a node runs."""
    writer = LogWriter(fd)
    writer.begin()
    return writer


@pytest.fixture(params=["proc", "no_proc"])
def anywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pipes be opened anew, or not."""
    if request.param == "no_proc":
        refuse_proc(monkeypatch)


@pytest.fixture
def writer(pipes: Pipes) -> Iterator[LogWriter]:
    """Make a writer on a pipe."""
    it = begun(pipes.output_write)
    yield it
    it.close()


def numbered(numbers: range) -> list[bytes]:
    """Return log lines of 100 bytes, each with its number."""
    return [b"%-99d\n" % number for number in numbers]


def drain(writer: LogWriter, pipes: Pipes) -> bytes:
    """Read until nothing more comes, as a reader that has woken up; return all of it."""
    output = pipes.output()
    writer.write(b"")
    while data := pipes.output():
        output += data
        writer.write(b"")
    return output


def lines_told(output: bytes) -> int:
    """Return how many lines *output* has or tells of."""
    left_out = sum(int(count) for count in LEFT_OUT.findall(output))
    return len(LEFT_OUT.sub(b"", output).splitlines()) + left_out


# Without waiting


@pytest.mark.usefixtures("anywhere")
def test_a_line_is_written_at_once_where_there_is_room(pipes: Pipes) -> None:
    """A line, and a line that is not finished yet, is in the pipe when the call returns, and no flag is touched."""
    writer = begun(pipes.output_write)
    writer.write(b"one\n")
    assert pipes.output() == b"one\n"
    writer.write(b"unfinished")
    assert pipes.output() == b"unfinished"
    assert os.get_blocking(pipes.output_write)
    writer.close()


@pytest.mark.usefixtures("anywhere")
async def test_what_has_no_room_is_written_as_soon_as_there_is_some(pipes: Pipes) -> None:
    """Nobody has to write another line for what waits: a task of the node writes it when the reader goes on."""
    writer = begun(pipes.output_write)
    full = pipes.fill_output()
    lines = numbered(range(1000))
    for text in lines:
        writer.write(text)
    output = b""
    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            pipes.read_output(full)
            while len(output) < 100 * len(lines):
                output += pipes.output()
                await trio.lowlevel.checkpoint()
            await wait_all_tasks_blocked()
            writer.write(b"at once\n")
            assert pipes.output() == b"at once\n"
            pipes.fill_output()
            writer.write(b"later\n")
            await wait_all_tasks_blocked()
            while not output.endswith(b"later\n"):
                output += pipes.output()
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert output.startswith(b"".join(lines))
    writer.close()


def test_lines_beyond_the_limit_are_counted_and_told_once_there_is_room(writer: LogWriter, pipes: Pipes) -> None:
    """The oldest lines are kept, up to the limit; the first line after them says how many are missing."""
    full = pipes.fill_output()
    kept = _stderr.STDERR_LIMIT // 100
    lines = numbered(range(2 * kept))
    for text in lines:
        writer.write(text)
    output = drain(writer, pipes)[full:]
    [count] = LEFT_OUT.findall(output)
    assert output.startswith(b"".join(lines[:kept]))
    assert len(output) < _stderr.STDERR_LIMIT + 100
    assert lines_told(output) == len(lines)
    assert int(count) > 0
    writer.write(b"again\n")
    assert pipes.output() == b"again\n"


def test_one_line_left_out_is_told_in_the_singular(
    writer: LogWriter, pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is longer than all that may wait is counted, and those after it are not."""
    monkeypatch.setattr(_stderr, "STDERR_LIMIT", 10_000)
    writer.write(b"x" * 20_000 + b"\n")
    writer.write(b"after\n")
    assert pipes.output() == b"WARNING: 1 line was left out here, because stderr was not read\nafter\n"


def test_a_long_text_loses_only_the_lines_that_do_not_fit(
    writer: LogWriter, pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback that is longer than all that may wait is cut at the end of a line."""
    monkeypatch.setattr(_stderr, "STDERR_LIMIT", 10_000)
    full = pipes.fill_output()
    writer.write(b"".join(numbered(range(300))))
    output = drain(writer, pipes)[full:]
    assert 0 < len(LEFT_OUT.sub(b"", output)) <= 10_000
    assert lines_told(output) == 300


def test_a_pipe_that_can_only_be_read_is_left_alone(pipes: Pipes) -> None:
    """Nobody gets the lines, least of all the reader of that pipe."""
    writer = LogWriter(pipes.given_read)
    try:
        writer.write(b"a line\n")
    finally:
        writer.close()
    pipes.close(pipes.given_write)
    assert os.read(pipes.given_read, 100) == b""


@pytest.mark.usefixtures("anywhere")
def test_a_reader_that_has_gone_does_no_harm(pipes: Pipes) -> None:
    """Nothing is raised and nothing is kept."""
    writer = begun(pipes.output_write)
    pipes.fill_output()
    writer.write(b"waits\n")
    pipes.close(pipes.output_read)
    for text in numbered(range(1000)):
        writer.write(text)
    assert not writer._waiting
    assert writer._lost == 1001
    writer.close()


def test_a_full_disk_is_told_once_there_is_room(
    writer: LogWriter, pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is counted like what nobody read."""

    def fail(data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writer._descriptor, "write", fail)
        writer.write(b"lost\n")
        writer.write(b"lost\nlost\n")
    writer.write(b"kept\n")
    assert pipes.output() == b"WARNING: 3 lines were left out here, because stderr was not read\nkept\n"


# Many writers


@pytest.mark.slow
@pytest.mark.every_python
def test_threads_tear_no_line_and_every_line_is_counted(writer: LogWriter, pipes: Pipes) -> None:
    """Whichever thread writes, each line comes out whole or is counted."""
    full = pipes.fill_output()

    def write(first: int) -> None:
        for text in numbered(range(first, first + 5000)):
            writer.write(text)

    threads = [threading.Thread(target=write, args=(number * 5000,)) for number in range(4)]
    for thread in threads:
        thread.start()
    output = b""
    while any(thread.is_alive() for thread in threads):
        output += pipes.output()
    output = (output + drain(writer, pipes))[full:]
    assert lines_told(output) == 20_000
    numbers = [int(text) for text in LEFT_OUT.sub(b"", output).splitlines()]
    for first in range(0, 20_000, 5000):
        of_thread = [number for number in numbers if first <= number < first + 5000]
        assert of_thread == sorted(of_thread)


async def test_a_thread_wakes_the_task_that_writes_the_rest(writer: LogWriter, pipes: Pipes) -> None:
    """What another thread could not write is written by the node's task, and harmlessly so after the run of Trio."""
    full = pipes.fill_output()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await wait_all_tasks_blocked()
        thread = threading.Thread(target=writer.write, args=(b"from a thread\n",))
        thread.start()
        thread.join()
        pipes.read_output(full)
        while not (output := pipes.output()):
            await trio.lowlevel.checkpoint()
        assert output == b"from a thread\n"
        nursery.cancel_scope.cancel()


def test_writing_after_the_run_of_trio_is_no_error(writer: LogWriter, pipes: Pipes) -> None:
    """The task that would write the rest may be gone without a word."""

    async def main() -> None:
        trio.lowlevel.spawn_system_task(writer.run)
        await wait_all_tasks_blocked()

    trio.run(main)
    full = pipes.fill_output()
    writer.write(b"late\n")
    assert drain(writer, pipes)[full:] == b"late\n"


def test_a_signal_handler_may_write_in_the_middle_of_a_write(writer: LogWriter, pipes: Pipes) -> None:
    """It neither waits for what it has interrupted nor gets between its bytes."""
    write = writer._descriptor.write

    def write_interrupted(data: bytes | memoryview) -> int:
        writer._descriptor.write = write
        signal.raise_signal(signal.SIGUSR2)
        return write(data)

    before = signal.signal(signal.SIGUSR2, lambda *_: writer.write(b"from the handler\n"))
    try:
        writer._descriptor.write = write_interrupted
        writer.write(b"from the program\n")
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert pipes.output() == b"from the program\nfrom the handler\n"


def test_a_forked_child_does_not_write_what_its_parent_has_to(writer: LogWriter, pipes: Pipes) -> None:
    """After fork() the child begins with nothing, and with a lock that nobody has; what waits is its parent's."""
    full = pipes.fill_output()
    writer.write(b"the parent's\n")
    with writer._lock:
        child = os.fork()
        if not child:
            try:
                pipes.read_output(full)
                writer.write(b"the child's\n")
            finally:
                os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert drain(writer, pipes) == b"the child's\nthe parent's\n"


# Before a node runs, and at the end


def test_before_a_node_runs_lines_wait_for_a_slow_reader(pipes: Pipes) -> None:
    """Nothing is left out that is printed while modules are imported, as long as somebody reads."""
    writer = LogWriter(pipes.output_write)
    lines = numbered(range(20_000))
    reader = threading.Thread(target=lambda: output.append(pipes.read_output(100 * len(lines))))
    output: list[bytes] = []
    reader.start()
    for text in lines:
        writer.write(text)
    reader.join()
    assert output == [b"".join(lines)]
    writer.close()


def test_the_last_lines_wait_for_a_slow_reader(
    writer: LogWriter, pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the node has ended, nobody writes later, so it is written while the reader reads."""
    full = pipes.fill_output()
    lines = numbered(range(5000))
    for text in lines:
        writer.write(text)
    output = b""

    def read() -> None:
        nonlocal output
        output = pipes.read_output(full + 100 * len(lines) + len(b"after\n"))

    def wait(seconds: float) -> bool:
        if reader.ident is None:
            reader.start()  # so slow that the writer waits already
        return block_until_writable(seconds)

    reader = threading.Thread(target=read)
    block_until_writable = writer._descriptor.block_until_writable
    monkeypatch.setattr(writer._descriptor, "block_until_writable", wait)
    writer.end()
    writer.write(b"after\n")
    reader.join()
    assert output[full:] == b"".join(lines) + b"after\n"


def test_the_last_lines_do_not_wait_for_a_reader_that_does_not_read(
    writer: LogWriter, pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets its time once, and not with every line; if another node runs, nothing waits at all."""
    waits: list[float] = []

    def give_up(seconds: float) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(writer._descriptor, "block_until_writable", give_up)
    pipes.fill_output()
    writer.write(b"unread\n")
    writer.end()
    for _ in range(3):
        writer.write(b"unread\n")
    assert waits == [_stderr.READER_PATIENCE]
    writer.end()
    writer.begin()
    writer.write(b"unread\n")
    assert waits == [_stderr.READER_PATIENCE] * 2


# Whole lines


def test_where_messages_go_the_same_way_only_whole_lines_are_written(writer: LogWriter, pipes: Pipes) -> None:
    """What is printed piece by piece must not have a message in its middle; the end of the node ends the line."""
    assert not writer.is_shared_with(pipes.given_read)
    closed = os.dup(pipes.output_write)
    os.close(closed)
    assert not writer.is_shared_with(closed)
    assert writer.is_shared_with(pipes.output_write)
    for piece in (b"a", b" b", b"\nc", b"\n", b"unfinished"):
        writer.write(piece)
    assert pipes.output() == b"a b\nc\n"
    writer.end()
    assert pipes.output() == b"unfinished"


def test_a_line_without_end_does_not_wait_for_it(
    writer: LogWriter, pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a line that goes on beyond the limit, what there is is counted."""
    monkeypatch.setattr(_stderr, "STDERR_LIMIT", 1000)
    writer.is_shared_with(pipes.output_write)
    for _ in range(21):
        writer.write(b"x" * 50)
    writer.write(b"\n")
    writer.write(b"next\n")
    assert LEFT_OUT.match(pipes.output())
    assert len(writer._tail) == 0


# What stderr may be


def test_a_socket_keeps_its_flags(anywhere: None) -> None:
    """A socket cannot be opened anew; it is told with each call not to wait, whatever Python's default timeout is."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.setdefaulttimeout(5)
        try:
            writer = begun(theirs.fileno())
        finally:
            socket.setdefaulttimeout(None)
        lines = numbered(range(5000))
        for text in lines:
            writer.write(text)
        assert os.get_blocking(theirs.fileno())
        output = b""
        while len(output) < 100 * len(lines):
            output += ours.recv(65536)
            writer.write(b"")
        assert output == b"".join(lines)
        writer.close()


def test_a_file_is_appended_to_where_it_stands(tmp_path: object, pipes: Pipes) -> None:
    """A regular file never makes anybody wait."""
    path = f"{tmp_path}/errors"
    with open(path, "wb", buffering=0) as file:
        file.write(b"before\n")
        writer = LogWriter(file.fileno())
        writer.write(b"ours\n")
        file.write(b"after\n")
        writer.close()
    with open(path, "rb") as file:
        assert file.read() == b"before\nours\nafter\n"


@pytest.mark.parametrize("make", [os.pipe, os.openpty, lambda: [it.detach() for it in socket.socketpair()]])
def test_what_was_opened_is_closed(make: Callable[[], tuple[int, int]]) -> None:
    """Closing leaves the descriptor itself open, and nothing else."""
    ends = make()
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    LogWriter(ends[1]).close()
    assert before == (set(os.listdir("/proc/self/fd")) if before else set())
    for end in ends:
        os.close(end)
