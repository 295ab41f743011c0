"""What a node's process reports of itself: its statistics at SIGUSR1, and at its end at log level INFO."""

from __future__ import annotations

import os
import signal

import pytest
from support.lines import INIT
from support.processes import INIT_OK, MODULE, NODE, Child, bodies, child, echo, needs_proc, run, until

INFO = (*NODE, "--log-level", "info")


async def start(node: Child) -> None:
    """Send ``init`` and wait for its answer: from then on the node surely takes signals."""
    await node.send(INIT)
    assert await node.read_line() == INIT_OK


async def report(node: Child) -> str:
    """Return the line that the node prints when it is asked for its statistics."""
    before = len(node.errors)
    node.signal(signal.SIGUSR1)
    await until(lambda: node.errors[before:].endswith(b"\n"))
    return node.errors[before:].decode()


@pytest.mark.slow
@pytest.mark.every_python
async def test_signal_prints_the_statistics() -> None:
    """Each SIGUSR1 prints one line on stderr, whatever the log level; the node goes on as if nothing had been."""
    async with child(*NODE) as node:
        await start(node)
        assert await report(node) == "statistics: received=1 sent=1\n"
        await node.send(echo(2) + b"rubbish\n" + echo(3))
        assert await node.read_line()
        assert await node.read_line()
        await until(lambda: b"rubbish" in node.errors)
        assert await report(node) == "statistics: received=4 sent=3 malformed=1\n"
        await node.send(echo(4))
        await node.send_eof()
        assert [body["in_reply_to"] for body in bodies(await node.read_rest())] == [4]
        assert await node.wait() == 0
    assert node.errors.count(b"statistics") == 2


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
async def test_signal_before_the_first_message_is_answered_as_well() -> None:
    """A node that waits for its init can be asked; it says that there was nothing yet."""
    async with child(*NODE) as node:
        await until(lambda: node.catches(signal.SIGUSR1))
        assert await report(node) == "statistics: none\n"
        await start(node)
        await node.send_eof()
        assert await node.wait() == 0


@pytest.mark.slow
@pytest.mark.every_python
async def test_many_signals_leave_the_messages_alone() -> None:
    """Signals amid a load make no message late, lost or torn, and print whole lines only."""
    async with child(*NODE) as node:
        await start(node)
        for number in range(2, 52):
            node.signal(signal.SIGUSR1)
            await node.send(echo(number))
        await node.send_eof()
        assert [body["in_reply_to"] for body in bodies(await node.read_rest())] == list(range(2, 52))
        assert await node.wait() == 0
    lines = node.errors.decode().splitlines()
    assert lines
    assert {line.partition("received=")[0] for line in lines} == {"statistics: "}


@pytest.mark.slow
@pytest.mark.every_python
async def test_statistics_are_logged_at_the_end_at_info() -> None:
    """The last line on stderr is the statistics, at the end of stdin."""
    status, output, errors = await run(*INFO, input=INIT + echo(2))
    assert (status, len(bodies(output))) == (0, 2)
    assert errors == "INFO: statistics: received=2 sent=2\n"


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_statistics_are_logged_after_a_closing_signal(number: int) -> None:
    """A node that is told to end says the same."""
    async with child(*INFO) as node:
        await start(node)
        node.signal(number)
        assert (await node.wait(), node.errors) == (0, b"INFO: statistics: received=1 sent=1\n")


@pytest.mark.slow
@pytest.mark.every_python
async def test_statistics_are_logged_when_stdout_breaks() -> None:
    """They are told before the error that ended the node."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        status, _, errors = await run(*INFO, input=INIT, stdout=writing)
    finally:
        os.close(writing)
    assert status == 1
    assert errors == "INFO: statistics: received=1 sent=1\nerror: stdout is broken: Broken pipe\n"


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("level", ["warning", "error"])
async def test_statistics_are_not_logged_at_other_levels(level: str) -> None:
    """By default, and above, a node ends without a word."""
    assert (await run(*NODE, "--log-level", level, input=INIT + echo(2)))[2] == ""


async def test_signal_does_no_harm_where_stderr_is_closed() -> None:
    """A node without a stderr cannot report, but goes on."""
    command = ("sh", "-c", 'exec "$0" "$@" 2>&-', *MODULE, "node")
    async with child(*command) as node:
        await start(node)
        node.signal(signal.SIGUSR1)
        await node.send(echo(2))
        assert [body["in_reply_to"] for body in bodies(await node.read_line())] == [2]
        await node.send_eof()
        assert await node.wait() == 0


@pytest.mark.slow
@pytest.mark.every_python
async def test_signal_does_no_harm_where_nobody_reads_stderr() -> None:
    """A node whose stderr is broken cannot report, but goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    async with child(*NODE, stderr=writing) as node:
        os.close(writing)
        await start(node)
        node.signal(signal.SIGUSR1)
        await node.send(echo(2))
        assert [body["in_reply_to"] for body in bodies(await node.read_line())] == [2]
        await node.send_eof()
        assert await node.wait() == 0
