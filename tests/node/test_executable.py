"""The node executable as its users have it: a process, its pipes, and signals."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from support.lines import INIT, line
from support.processes import (
    HELLO,
    INIT_OK,
    NODE,
    SCRIPTS,
    Child,
    Flood,
    assert_answers,
    bodies,
    child,
    echo,
    echo_flood,
    needs_proc,
    own_node,
    read_leftover,
    run,
    until,
)

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])

PENDING_COUNT = (
    b'{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}\n'
    b'{"src":"c1","dest":"n1","body":{"type":"pending_count","msg_id":2}}\n',
    b'{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}\n'
    b'{"src": "n1", "dest": "c1", "body": {"type": "pending_count_ok", "count": 0, "in_reply_to": 2, "msg_id": 1}}\n',
)
SEND_FIRE_FORGET = (
    b'{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1","n2"]}}\n'
    b'{"src":"c1","dest":"n1","body":{"type":"send_fire_forget","msg_id":2,"target":"n2",'
    b'"payload":{"type":"echo","echo":"lost"}}}\n',
    b'{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1, "msg_id": 0}}\n'
    b'{"src": "n1", "dest": "n2", "body": {"type": "echo", "echo": "lost", "msg_id": 1}}\n'
    b'{"src": "n1", "dest": "c1", "body": {"type": "send_fire_forget_ok", "pending": 1, "in_reply_to": 2, '
    b'"msg_id": 2}}\n',
)


# Input to output


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("command", [NODE, (SCRIPTS / "trio-messenger", "node"), (*NODE, "messenger")])
@pytest.mark.parametrize(("given", "expected"), [PENDING_COUNT, SEND_FIRE_FORGET])
async def test_answers_byte_for_byte_and_exits_with_0(command: tuple[str, ...], given: bytes, expected: bytes) -> None:
    """The messages, their spacing, the order of their keys and their numbers are fixed to the byte."""
    assert await run(*command, input=given) == (0, expected, "")


@pytest.mark.slow
@pytest.mark.every_python
async def test_answers_while_stdin_is_open() -> None:
    """A reply does not wait for more input, nor for the end of it."""
    async with child(*NODE) as node:
        await node.send(INIT)
        assert await node.read_line() == INIT_OK
        await node.send(echo(2))
        assert await node.read_line() == HELLO
        await node.send(echo(3)[:20])
        await node.send(echo(3)[20:] + echo(4)[:-1])
        assert bodies(await node.read_line())[0]["in_reply_to"] == 3
        await node.send_eof()
        assert bodies(await node.finish())[0]["in_reply_to"] == 4


@pytest.mark.slow
@pytest.mark.every_python
async def test_bad_input_is_reported_and_served_past() -> None:
    """No line can end the node: each bad one is one line on stderr, and what follows is answered."""
    bad = [
        b"nonsense",
        b"[1, 2]",
        b'{"src": 1, "dest": "n1", "body": {}}',
        b'{"src": "c1", "dest": "n1", "body": {"type": "echo", "msg_id": "x"}}',
        b"\x00\xff\xfe",
        b"[" * 100_000,
        b'{"src": "c1", "dest": "n9", "body": {"type": "echo"}}',
        b'{"src": "c1", "dest": "n1", "body": {"type": "error", "code": 0, "text": ""}}',
        b'{"src": "c1", "dest": "n1", "body": {"type": "echo_ok", "in_reply_to": 0}}',
    ]
    fine = [b"", b"  \t\r"]
    status, output, errors = await run(*NODE, input=INIT + b"\n".join([*bad, *fine, echo(2)]))
    assert (status, output) == (0, INIT_OK + HELLO)
    assert len(errors.splitlines()) == len(bad), errors
    assert all(text.startswith("WARNING: ") for text in errors.splitlines()), errors


async def test_log_lines_are_short_however_long_the_input() -> None:
    """Whatever is wrong with a huge message, its line on stderr does not repeat all of it."""
    long = "x" * 100_000
    bad: list[dict[str, object]] = [
        {"type": "error", "code": 0, "text": long},
        {"type": [long]},
        {"type": "echo", "msg_id": long},
        {"type": long},
    ]
    given = INIT + b"".join(line(body) for body in bad) + line({"type": "echo"}, src=long, dest=long) + long.encode()
    status, output, errors = await run(*NODE, input=given)
    assert (status, output) == (0, INIT_OK)
    assert len(errors.splitlines()) == len(bad) + 2
    assert max(map(len, errors.splitlines())) < 1000


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
async def test_an_endless_line_takes_no_memory() -> None:
    """A line beyond the limit is skipped to its end, holding no more of it than the limit."""
    async with child(*NODE) as node:
        await node.send(INIT)
        for _ in range(64):
            await node.send(b"x" * 1024 * 1024)
        await node.send(b"\n" + echo(2))
        assert await node.read_line() == INIT_OK
        assert await node.read_line() == HELLO
        assert node.resident_mb("VmHWM") < 80
        await node.send_eof()
        assert await node.wait() == 0
    assert node.errors == (
        b"WARNING: malformed line from '': the line is longer than the limit of 16777216 bytes; "
        b"raise the limit or send less: {} (1 so far)\n"
    )


# The end of stdin


@pytest.mark.slow
@pytest.mark.every_python
async def test_eof_closes_pending_rpcs_long_before_their_deadline(tmp_path: Path) -> None:
    """At the end of stdin no reply can come any more: an RPC of ten minutes ends at once, told as closed."""
    source = """
@node.on("leak")
def leak():
    node.rpc_callback("n2", {"type": "void"}, lambda outcome: print(type(outcome).__name__, outcome))
    return {}

@node.on("wait")
async def wait():
    try:
        return await node.rpc("n2", {"type": "void"})
    except trio.ClosedResourceError as exc:
        print(exc)
        raise
"""
    given = INIT + line({"type": "leak", "msg_id": 2}) + line({"type": "wait", "msg_id": 3})
    status, output, errors = await run(*own_node(tmp_path, source), input=given, cwd=tmp_path)
    assert [(body["type"], body["msg_id"]) for body in bodies(output)] == [
        ("init_ok", 0),
        ("void", 1),
        ("leak_ok", 2),
        ("void", 3),
    ]
    assert (status, sorted(errors.splitlines())) == (
        0,
        [
            "ClosedResourceError the node closed before 'n2' replied to msg_id 1",
            "the node closed before 'n2' replied to msg_id 3",
        ],
    )


@pytest.mark.slow
@pytest.mark.every_python
async def test_a_burst_of_leaked_rpcs_is_a_few_lines(tmp_path: Path) -> None:
    """20,000 leaked RPCs, which expire in some 128 sweeps, are few lines on stderr, and their numbers add up."""
    source = """
@node.on("leak")
async def leak():
    for number in range(20_000):
        node.rpc_callback("n2", {"type": "void"}, lambda _: None, timeout=0.5 + number / 20_000)
        if number % 100 == 0:
            await node.send("n2", {"type": "filler"})
    return {}
"""
    async with child(*own_node(tmp_path, source), cwd=tmp_path) as node:
        await node.send(INIT + line({"type": "leak", "msg_id": 2}))
        answer = b""
        while b"leak_ok" not in answer:
            answer = await node.read_line()
        await until(lambda: sum(reaped(node.errors)) == 20_000)  # without closing
        await node.send_eof()
        await node.read_rest()
        assert await node.wait() == 0
    assert sum(reaped(node.errors)) == 20_000
    assert len(reaped(node.errors)) == len(node.errors.splitlines()) <= 40  # one a second, and the guard is 30 s


def reaped(errors: bytes) -> list[int]:
    """Return how many RPCs each line of the reaper counts."""
    return [int(count) for count in re.findall(rb"RPCs reaped without reply: (\d+);", errors)]


@pytest.mark.slow
@pytest.mark.every_python
async def test_eof_flushes_more_than_pipes_hold() -> None:
    """What was asked before the end of stdin is answered in full, however much it is."""
    status, output, errors = await run(*NODE, input=echo_flood(20_000))
    assert (status, errors) == (0, "")
    assert_answers(output, 20_000)


@pytest.mark.slow
@pytest.mark.every_python
async def test_eof_within_a_whole_message_serves_it() -> None:
    """The newline at the end of the last message may be missing."""
    assert await run(*NODE, input=INIT + echo(2)[:-1]) == (0, INIT_OK + HELLO, "")


@pytest.mark.slow
@pytest.mark.every_python
async def test_eof_within_a_truncated_message_reports_it() -> None:
    """A last line that is cut off is told as malformed; the end is as orderly as ever."""
    status, output, errors = await run(*NODE, input=INIT + echo(2) + echo(3)[:40])
    assert (status, output) == (0, INIT_OK + HELLO)
    assert errors == (
        "WARNING: malformed line from '': Input data was truncated: "
        '{"src":"c1","dest":"n1","body":{"type":" (1 so far)\n'
    )


# Signals


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
@SIGNALS
@pytest.mark.parametrize("stalled", [False, True], ids=["flowing", "stalled"])
async def test_signal_under_load_answers_all_that_was_taken(number: int, stalled: bool) -> None:
    """Each request that the node had read when the signal came is answered, whole, and the status is 0."""
    read_end, write_end = os.pipe()
    flood = Flood(write_end)
    try:
        async with child(*NODE, stdin=read_end) as node, trio.open_nursery() as nursery:
            nursery.start_soon(flood.pour)
            output = await node.read_line()
            if stalled:
                await node.comes_to_rest()
            else:
                for _ in range(1000):
                    output += await node.read_line()
            node.signal(number)
            if stalled:
                await until(lambda: not node.catches(number))
                await node.comes_to_rest()
            output += await node.finish()
            nursery.cancel_scope.cancel()
        os.close(write_end)
        write_end = -1
        taken = flood.requests_in(flood.written - read_leftover(read_end))
    finally:
        os.close(read_end)
        if write_end >= 0:
            os.close(write_end)
    assert taken >= 1000
    assert_answers(output, taken, Flood.FIRST)


@pytest.mark.slow
@pytest.mark.every_python
@SIGNALS
async def test_signal_ends_an_idle_node(number: int) -> None:
    """A node that has nothing to do ends at the signal with status 0 and without a word."""
    async with child(*NODE) as node:
        await node.send(INIT)
        assert await node.read_line() == INIT_OK
        node.signal(number)
        assert await node.finish() == b""


@pytest.mark.slow
@pytest.mark.every_python
async def test_signal_closes_pending_rpcs(tmp_path: Path) -> None:
    """After a signal nothing more is read, so pending RPCs end as they do at the end of stdin."""
    source = """
@node.on("wait")
async def wait():
    return await node.rpc("n2", {"type": "void"})
"""
    async with child(*own_node(tmp_path, source), cwd=tmp_path) as node:
        await node.send(INIT + line({"type": "wait", "msg_id": 2}))
        assert await node.read_line() == INIT_OK
        assert bodies(await node.read_line())[0]["type"] == "void"
        node.signal(signal.SIGTERM)
        assert await node.finish() == b""


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
@SIGNALS
async def test_second_signal_ends_a_node_that_cannot_write(number: int) -> None:
    """With a receiver that never reads, the first signal waits for the flush, and the second one does not."""
    async with child(*NODE) as node, trio.open_nursery() as nursery:
        nursery.start_soon(node.feed, echo_flood(50_000))
        await node.comes_to_rest()
        await node.signal_and_see_it_taken(number)
        await node.comes_to_rest()
        node.signal(number)
        assert (await node.wait(), node.errors) == (-number, b"")


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
async def test_second_signal_ends_a_node_within_a_line_it_cannot_finish() -> None:
    """Also where no log line may come between, since stderr is the pipe that is full, the second signal ends it."""
    async with child(*NODE, stderr=subprocess.STDOUT, limit=10) as node:
        await node.send(INIT + echo(2, "x" * 1_000_000))
        await node.comes_to_rest()
        await node.signal_and_see_it_taken(signal.SIGTERM)
        node.signal(signal.SIGTERM)
        assert await node.wait() == -signal.SIGTERM


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
async def test_second_signal_ends_a_node_whose_handler_blocks(tmp_path: Path) -> None:
    """A handler that never gives way cannot keep the process alive."""
    source = """
@node.on("block")
def block():
    print("blocking")
    time.sleep(600)
"""
    async with child(*own_node(tmp_path, source), cwd=tmp_path, limit=10) as node:
        await node.send(INIT + line({"type": "block", "msg_id": 2}))
        await until(lambda: node.errors == b"blocking\n")
        await node.comes_to_rest()  # a signal between the print and the sleep would not end the sleep
        await node.signal_and_see_it_taken(signal.SIGTERM)
        node.signal(signal.SIGTERM)
        assert await node.wait() == -signal.SIGTERM


# A receiver that is slow, or gone


@pytest.mark.slow
@pytest.mark.every_python
async def test_stdout_closed_by_the_receiver_is_told_in_one_line() -> None:
    """A broken stdout ends the node under flood with status 1 and a clear line, no traceback."""
    read_end, write_end = os.pipe()
    try:
        async with child(*NODE, stdin=read_end) as node, trio.open_nursery() as nursery:
            nursery.start_soon(Flood(write_end).pour)
            assert await node.read_line() == INIT_OK
            assert node.process.stdout is not None
            await node.process.stdout.aclose()
            assert (await node.wait(), node.errors) == (1, b"error: stdout is broken: Broken pipe\n")
            nursery.cancel_scope.cancel()
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.slow
@pytest.mark.every_python
async def test_stdout_without_a_receiver_is_told_in_one_line() -> None:
    """Nobody may read stdout from the very start; that is told when there is something to write."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        assert await run(*NODE, input=INIT, stdout=write_end) == (1, b"", "error: stdout is broken: Broken pipe\n")
    finally:
        os.close(write_end)


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
async def test_flood_without_a_receiver_takes_no_memory_and_loses_nothing() -> None:
    """A receiver that does not read stops the sender; memory stays flat, and all is there when it reads on."""
    count = 200_000
    async with child(*NODE) as node, trio.open_nursery() as nursery:
        nursery.start_soon(node.feed, echo_flood(count))
        await node.comes_to_rest()
        assert nursery.child_tasks, "all was taken in; the flood is too small to be one"
        assert node.resident_mb() < 80
        assert_answers(await node.finish(), count)


@pytest.mark.slow
@pytest.mark.every_python
async def test_stderr_in_the_same_pipe_tears_no_line(tmp_path: Path) -> None:
    """With 2>&1 into one slow pipe, each line is a whole message or a whole log line, long ones included."""
    source = """
@node.on("echo")
def echo(request):
    print("handling", request.msg_id)
    return {"echo": request.body["echo"]}
"""
    sizes = [10, 3000, 20, select.PIPE_BUF + 1, 500, 40_000, 30, 200_000, 4000]
    given = INIT
    expected = {}
    for number in range(2, 400):
        expected[number] = sizes[number % len(sizes)]
        given += echo(number, "x" * expected[number]) + (b"nonsense\n" if number % 3 == 0 else b"")
    async with child(*own_node(tmp_path, source), cwd=tmp_path, stderr=subprocess.STDOUT) as node:
        assert node.process.stdout is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.feed, given)
            output = b""
            while data := await node.process.stdout.receive_some(8000):
                output += data
                for _ in range(5):  # let the node go on in the meantime
                    await trio.lowlevel.checkpoint()
        assert await node.wait() == 0
    lines = output.splitlines(keepends=True)
    messages = b"".join(text for text in lines if text.startswith(b"{"))
    logs = [text for text in lines if not text.startswith(b"{")]
    assert messages.startswith(INIT_OK)
    answered = {body["in_reply_to"]: len(body["echo"]) for body in bodies(messages)[1:]}
    assert answered == expected
    assert [text for text in logs if text.startswith(b"handling")] == [b"handling %d\n" % n for n in expected]
    others = [text for text in logs if not text.startswith(b"handling")]
    assert len(others) == 10 + len([16, 32, 64, 128])  # the first ten, then the powers of two
    assert all(text.startswith(b"WARNING: malformed line") and text.endswith(b"so far)\n") for text in others)


# What a node's own code writes


@pytest.mark.slow
@pytest.mark.every_python
async def test_print_goes_to_stderr(tmp_path: Path) -> None:
    """What a module, its factory or a handler prints is for people, and never stands among the messages."""
    source = """
print("importing")

@node.on("say")
def say():
    print("handling")
    return {}

def make():
    print("making")
    return node
"""
    own_node(tmp_path, source)
    given = INIT + line({"type": "say", "msg_id": 2})
    status, output, errors = await run(*NODE, "own:make", input=given, cwd=tmp_path)
    assert [body["type"] for body in bodies(output)] == ["init_ok", "say_ok"]
    assert (status, errors) == (0, "importing\nmaking\nhandling\n")


@pytest.mark.slow
@pytest.mark.every_python
async def test_failing_handlers_leave_their_traceback_on_stderr(tmp_path: Path) -> None:
    """A handler's bug is answered with error 13 and shown with its traceback; the node serves on."""
    source = """
@node.on("plain")
def plain():
    raise ValueError("plainly wrong")

@node.on("waiting")
async def waiting():
    raise ValueError("wrong in time")
"""
    async with child(*own_node(tmp_path, source), cwd=tmp_path) as node:
        await node.send(INIT)
        assert await node.read_line() == INIT_OK
        for number, (type_, text) in enumerate([("plain", "plainly wrong"), ("waiting", "wrong in time")], 2):
            await node.send(line({"type": type_, "msg_id": number}))
            [body] = bodies(await node.read_line())
            assert body == {
                "type": "error",
                "code": 13,
                "text": f"ValueError: {text}",
                "in_reply_to": number,
                "msg_id": number - 1,
            }
        await node.send_eof()
        assert (await node.wait(), await node.read_rest()) == (0, b"")
    errors = node.errors.decode()
    assert errors.startswith("ERROR: the handler of 'plain' failed\nTraceback (most recent call last):\n")
    assert errors.count("Traceback") == 2
    assert "in plain\n" in errors
    assert errors.endswith("ValueError: wrong in time\n")


# Rest


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
async def test_an_idle_node_sleeps(tmp_path: Path) -> None:
    """With an RPC pending and nothing to do, the process does not wake up: nothing in it ticks."""
    source = """
@node.on("leak")
def leak():
    node.rpc_callback("n2", {"type": "void"}, lambda outcome: None)
    return {}
"""
    async with child(*own_node(tmp_path, source), cwd=tmp_path, limit=10) as node:
        await node.send(INIT + line({"type": "leak", "msg_id": 2}))
        for _ in range(3):
            await node.read_line()
        await node.comes_to_rest()
        await node.send_eof()
        assert await node.finish() == b""


@pytest.mark.slow
@pytest.mark.every_python
def test_a_process_that_ticks_is_no_idle_one() -> None:
    """The test above can fail: what it calls rest is no process that wakes up every few milliseconds."""

    async def watch() -> bool:
        async with child(sys.executable, "-c", "import time\nwhile True: time.sleep(0.01)") as ticking:
            with trio.move_on_after(1.0) as watching:
                await Child.comes_to_rest(ticking)
            return watching.cancelled_caught

    assert trio.run(watch)
