"""The node executable on files, terminals, sockets, and descriptors that are of no use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import trio
from support.lines import INIT
from support.processes import (
    HELLO,
    INIT_OK,
    NODE,
    assert_answers,
    child,
    echo,
    echo_flood,
    needs_proc,
    own_node,
    run,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.every_python]

WITHOUT_PROC = """
import os, sys
open_anyhow = os.open
def open_without_proc(path, *args, **options):
    if str(path).startswith("/proc/self/fd"):
        raise FileNotFoundError(2, os.strerror(2), path)
    return open_anyhow(path, *args, **options)
os.open = open_without_proc
from trio_messenger._cli import main
sys.exit(main())
"""
ANYWHERE = pytest.mark.parametrize(
    "command",
    [pytest.param(NODE, id="proc"), pytest.param((sys.executable, "-c", WITHOUT_PROC, "node"), id="no_proc")],
)
"""With a node that finds its descriptors in /proc, and with one that does not."""


def redirected(redirections: str) -> tuple[str, ...]:
    """Return the command of a node whose descriptors a shell has redirected."""
    return ("sh", "-c", f'exec "$@" {redirections}', "sh", *NODE)


@ANYWHERE
async def test_stdin_and_stdout_are_files(command: tuple[str, ...], tmp_path: Path) -> None:
    """Regular files work, which epoll refuses: read from where they stand, and written where they stand."""
    given = tmp_path / "given"
    given.write_bytes(b"skipped\n" + echo_flood(3000))
    for mode in ("wb", "ab"):
        with given.open("rb") as source, (tmp_path / mode).open(mode) as target:
            os.lseek(source.fileno(), len(b"skipped\n"), os.SEEK_SET)
            os.write(target.fileno(), b"kept\n")
            assert await run(*command, stdin=source, stdout=target) == (0, b"", "")
            os.write(target.fileno(), b"after\n")
        output = (tmp_path / mode).read_bytes()
        assert (output[:5], output[-6:]) == (b"kept\n", b"after\n")
        assert_answers(output[5:-6], 3000)


async def test_stdout_truncates_nothing_and_appends_at_the_end(tmp_path: Path) -> None:
    """A file that is appended to keeps what it has, and so does what others append while the node runs."""
    target = tmp_path / "target"
    target.write_bytes(b"before\n")
    with target.open("ab") as append:
        async with child(*NODE, stdout=append) as node:
            await node.send(INIT)
            await until(lambda: target.read_bytes() == b"before\n" + INIT_OK)
            with target.open("ab") as other:
                other.write(b"another's\n")
            await node.send(echo(2))
            await node.send_eof()
            assert (await node.wait(), node.errors) == (0, b"")
    assert target.read_bytes() == b"before\n" + INIT_OK + b"another's\n" + HELLO


async def test_stdin_is_dev_null() -> None:
    """Without any input the node ends at once, without a word."""
    assert await run(*NODE, stdin=subprocess.DEVNULL) == (0, b"", "")


@needs_proc
@ANYWHERE
async def test_everything_is_one_terminal(command: tuple[str, ...]) -> None:
    """On a terminal the node answers line by line, ends at ^D, and never sets O_NONBLOCK where others share it."""
    master, slave = os.openpty()
    try:
        settings = termios.tcgetattr(slave)
        settings[1] &= ~termios.OPOST  # leave newlines as they are
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        terminal = trio.lowlevel.FdStream(os.dup(master))
        async with terminal, child(*command, stdin=slave, stdout=slave, stderr=slave) as node:
            shown = b""

            async def wait_for(text: bytes) -> None:
                nonlocal shown
                while not shown.endswith(text):
                    shown += await terminal.receive_some()

            await terminal.send_all(INIT)
            await wait_for(INIT_OK)
            assert os.get_blocking(slave)
            assert node.terminal() == 0, "opening it anew made it the controlling terminal of the process"
            await terminal.send_all(b"nonsense\n")
            await wait_for(b"nonsense (1 so far)\n")
            await terminal.send_all(echo(2))
            await wait_for(HELLO)
            await terminal.send_all(b"\x04")
            assert await node.wait() == 0
            assert os.get_blocking(slave)
            assert shown.count(b"\n") == 3
    finally:
        os.close(master)
        os.close(slave)


@needs_proc
@ANYWHERE
async def test_flags_of_pipes_are_never_touched(command: tuple[str, ...]) -> None:
    """The descriptions of the pipes that the node was given stay blocking, while it runs and when it has ended."""
    given_read, given_write = os.pipe()
    output_read, output_write = os.pipe()
    try:
        async with child(*command, stdin=given_read, stdout=output_write) as node:
            os.write(given_write, INIT)
            await trio.lowlevel.wait_readable(output_read)
            assert os.read(output_read, 1000) == INIT_OK
            assert (os.get_blocking(given_read), os.get_blocking(output_write)) == (True, True)
            os.write(given_write, echo(2))
            os.close(given_write)
            given_write = -1
            assert (await node.wait(), node.errors) == (0, b"")
        assert os.read(output_read, 1000) == HELLO
        assert (os.get_blocking(given_read), os.get_blocking(output_write)) == (True, True)
    finally:
        for fd in (given_read, given_write, output_read, output_write):
            if fd >= 0:
                os.close(fd)


@pytest.mark.parametrize("ending", ["eof", "signal", "reset"])
async def test_stdin_and_stdout_are_one_socket(ending: str) -> None:
    """A socket cannot be opened anew, and still its flags stay as they are, whatever ends the node."""
    ours, theirs = socket.socketpair()
    with theirs:
        async with (
            trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as stream,
            child(*NODE, stdin=theirs.fileno(), stdout=theirs.fileno()) as node,
        ):
            await stream.send_all(INIT)
            assert await stream.receive_some() == INIT_OK
            assert os.get_blocking(theirs.fileno())
            await stream.send_all(echo(2))
            if ending == "eof":
                await stream.send_eof()
            elif ending == "signal":
                assert await stream.receive_some() == HELLO
                node.signal(signal.SIGTERM)
            else:
                await trio.lowlevel.wait_readable(ours)  # unread, it makes of the close a reset
                await stream.aclose()
            status = await node.wait()
            if ending == "eof":
                assert await stream.receive_some() == HELLO
        assert os.get_blocking(theirs.fileno())
    reset = (1, b"error: stdin is broken: Connection reset by peer\n")
    assert (status, node.errors) == (reset if ending == "reset" else (0, b""))


@pytest.mark.parametrize(
    ("redirections", "message"),
    [
        ("<&-", "stdin is closed; give the node its input on descriptor 0, or </dev/null"),
        (">&-", "stdout is closed; give the node a descriptor 1 to write to, or >/dev/null"),
        ("<&- >&-", "stdin is closed; give the node its input on descriptor 0, or </dev/null"),
        ("0>given", "stdin is open for writing only; give the node its input on descriptor 0, or </dev/null"),
        ("1<own.py", "stdout is open for reading only; give the node a descriptor 1 to write to, or >/dev/null"),
        pytest.param(
            ">/dev/full",
            "stdout is broken: No space left on device",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full"),
        ),
    ],
)
async def test_unusable_descriptors_are_told_in_one_line(redirections: str, message: str, tmp_path: Path) -> None:
    """A node that cannot read or write ends with status 1 and a line that says what is wrong."""
    own_node(tmp_path, "")  # some file
    command = redirected(redirections)
    assert await run(*command, input=INIT, cwd=tmp_path) == (1, b"", f"error: {message}\n")


async def test_stdin_is_a_directory(tmp_path: Path) -> None:
    """Python itself refuses to start on a directory; the node adds nothing to that."""
    status, output, errors = await run(*redirected("< ."), cwd=tmp_path)
    assert (status, output) == (1, b"")
    assert "is a directory" in errors


async def test_stderr_may_be_closed() -> None:
    """Where nobody listens to logs, the node serves all the same."""
    given = INIT + b"nonsense\n" + echo(2)
    assert await run(*redirected("2>&-"), input=given) == (0, INIT_OK + HELLO, "")
