"""Whose the standard streams of a node are, and what happens when nobody reads stdout, stderr or both."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from support.lines import INIT, line
from support.processes import (
    INIT_OK,
    Child,
    assert_answers,
    bodies,
    child,
    echo,
    echo_flood,
    needs_proc,
    own_node,
    run,
)

LEFT_OUT = re.compile(r"WARNING: (\d+) lines? (?:was|were) left out here, because stderr was not read")

REQUESTS = 3000
"""Each of them logs a kilobyte: more in all than a pipe and the node hold together."""

TALKERS = {
    "print": "print(text)",
    "print to a stdout kept before": "stdout.write(text + '\\n')",
    "print to Python's first stderr": "print(text, file=sys.__stderr__)",
    "a handler of logging": "log.warning(text)",
    "a handler of logging of its own": "own_log.warning(text)",
    "warnings": "warnings.warn(text)",
    "traceback": "traceback.print_exception(ValueError(text))",
}
"""Ways to say something on stderr."""


def talker(how: str) -> str:
    """Return the source of a node that says a kilobyte about each request, before it answers."""
    return f"""
import logging, sys, traceback, warnings
stdout = sys.stdout
warnings.simplefilter("always")
log, own_log = logging.getLogger("talker"), logging.getLogger("own")
own_log.addHandler(logging.StreamHandler(sys.stderr))
own_log.propagate = False

@node.on("echo")
def echo(request):
    text = "x" * 1000 + str(request.msg_id)
    {how}
    return {{"echo": request.body["echo"]}}
"""


def spoken(text: str) -> int:
    """Return how many requests a node has spoken of, or has counted."""
    return len(re.findall(r"(?<!')x{1000}\d+", text)) + sum(map(int, LEFT_OUT.findall(text)))


@pytest.fixture
def unread() -> Iterator[tuple[int, int]]:
    """Make a pipe for stderr, the ends of which are closed afterwards."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


async def answers(node: Child, count: int) -> bytes:
    """Return the next *count* lines of a node."""
    return b"".join([await node.read_line() for _ in range(count)])


# Nobody reads


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("how", TALKERS)
async def test_unread_stderr_stops_nothing(how: str, unread: tuple[int, int], tmp_path: Path) -> None:
    """Whoever speaks, every request is answered, and SIGTERM ends the node with status 0."""
    command = own_node(tmp_path, talker(TALKERS[how]))
    async with child(*command, cwd=tmp_path, stderr=unread[1]) as node, trio.open_nursery() as nursery:
        nursery.start_soon(node.send, echo_flood(REQUESTS))
        assert_answers(await answers(node, REQUESTS + 1), REQUESTS)
        node.signal(signal.SIGTERM)
        assert await node.wait() == 0


@pytest.mark.slow
@pytest.mark.every_python
async def test_lines_that_nobody_read_are_counted_and_told(unread: tuple[int, int], tmp_path: Path) -> None:
    """When somebody reads on, the lines that waited come first, then how many there were besides, then new ones."""
    read_end, write_end = unread
    errors = b""
    async with child(*own_node(tmp_path, talker("print(text)")), cwd=tmp_path, stderr=write_end) as node:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.send, echo_flood(REQUESTS))
            await answers(node, REQUESTS + 1)
        os.set_blocking(read_end, False)
        while not LEFT_OUT.search(errors.decode()):
            await trio.lowlevel.wait_readable(read_end)
            errors += os.read(read_end, 65536)
        await node.send(echo(REQUESTS + 2))
        await node.read_line()
        await node.send_eof()
        assert await node.wait() == 0
        errors += os.read(read_end, 65536)
    shown = errors.decode().splitlines()
    told = [index for index, text in enumerate(shown) if LEFT_OUT.fullmatch(text)]
    assert [text[1000:] for text in shown[: told[0]]] == [str(number) for number in range(2, told[0] + 2)]
    assert told == [len(shown) - 2]
    assert shown[-1] == "x" * 1000 + str(REQUESTS + 2)
    assert spoken(errors.decode()) == REQUESTS + 1


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
async def test_memory_stays_flat_while_nobody_reads_stderr(unread: tuple[int, int], tmp_path: Path) -> None:
    """However much is said, no more waits than the limit."""
    command = own_node(tmp_path, talker("print(text * 10)"))
    async with child(*command, cwd=tmp_path, stderr=unread[1]) as node, trio.open_nursery() as nursery:
        nursery.start_soon(node.send, echo_flood(REQUESTS))
        await answers(node, 500)
        before = node.resident_mb()
        await answers(node, REQUESTS - 499)
        assert node.resident_mb() < before + 3


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
@pytest.mark.parametrize("both", [False, True], ids=["stdout", "both"])
async def test_unread_stdout_keeps_every_answer(both: bool, unread: tuple[int, int], tmp_path: Path) -> None:
    """A node told to end waits for the reader of its stdout, whether stderr is read or not, and ends with status 0."""
    command = own_node(tmp_path, talker("print(text)"))
    stderr = unread[1] if both else subprocess.DEVNULL
    async with child(*command, cwd=tmp_path, stderr=stderr) as node, trio.open_nursery() as nursery:
        nursery.start_soon(node.feed, echo_flood(50_000))
        await node.comes_to_rest()
        await node.signal_and_see_it_taken(signal.SIGTERM)
        await node.comes_to_rest()
        output = await node.read_rest()
        assert await node.wait() == 0
    taken = len(bodies(output)) - 1
    assert taken > 1000
    assert_answers(output, taken)


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
async def test_second_signal_ends_a_node_of_which_nobody_reads_anything(
    unread: tuple[int, int], tmp_path: Path
) -> None:
    """With both unread, the second signal does not wait."""
    command = own_node(tmp_path, talker("print(text)"))
    async with child(*command, cwd=tmp_path, stderr=unread[1]) as node, trio.open_nursery() as nursery:
        nursery.start_soon(node.feed, echo_flood(50_000))
        await node.comes_to_rest()
        await node.signal_and_see_it_taken(signal.SIGTERM)
        node.signal(signal.SIGTERM)
        assert await node.wait() == -signal.SIGTERM


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
async def test_one_unread_pipe_for_both_keeps_every_answer(tmp_path: Path) -> None:
    """With 2>&1 into a pipe that nobody reads for a while, log lines are left out and counted, and messages are not."""
    command = own_node(tmp_path, talker("print(text)"))
    async with child(*command, cwd=tmp_path, stderr=subprocess.STDOUT) as node, trio.open_nursery() as nursery:
        nursery.start_soon(node.feed, echo_flood(20_000))
        await node.comes_to_rest()
        output = await node.read_rest()
        assert await node.wait() == 0
    lines = output.splitlines(keepends=True)
    assert_answers(b"".join(text for text in lines if text.startswith(b"{")), 20_000)
    others = b"".join(text for text in lines if not text.startswith(b"{")).decode()
    assert LEFT_OUT.search(others)
    assert all(text.startswith("x" * 1000) or LEFT_OUT.fullmatch(text) for text in others.splitlines())
    assert spoken(others) == 20_000


@pytest.mark.slow
@pytest.mark.every_python
async def test_error_that_ends_the_node_does_not_wait_for_a_reader(unread: tuple[int, int], tmp_path: Path) -> None:
    """A node whose stdout breaks while nobody reads stderr ends with status 1 all the same."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    os.set_blocking(unread[1], False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(unread[1], b"\n" * 4096)
    os.set_blocking(unread[1], True)
    try:
        command = own_node(tmp_path, talker("print(text)"))
        assert (await run(*command, input=echo_flood(10), cwd=tmp_path, stdout=write_end, stderr=unread[1]))[0] == 1
    finally:
        os.close(write_end)


@pytest.mark.slow
@pytest.mark.every_python
async def test_one_socket_for_everything_tears_no_line(tmp_path: Path) -> None:
    """Under inetd descriptors 0, 1 and 2 are one socket; log lines stand between messages and never in one."""
    source = """
@node.on("echo")
def echo(request):
    print("handling", request.msg_id)
    return {"echo": request.body["echo"]}
"""
    sizes = [10, 3000, 200_000, 40_000]
    given = INIT + b"".join(echo(number, "x" * sizes[number % 4]) for number in range(2, 200))
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
    fd = theirs.fileno()
    async with (
        trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as stream,
        child(*own_node(tmp_path, source), cwd=tmp_path, stdin=fd, stdout=fd, stderr=fd) as node,
        trio.open_nursery() as nursery,
    ):
        theirs.close()

        async def feed() -> None:
            await stream.send_all(given)
            await stream.send_eof()

        nursery.start_soon(feed)
        output = b""
        async for data in stream:
            output += data
        assert await node.wait() == 0
    lines = output.splitlines(keepends=True)
    assert_answers(b"".join(text for text in lines if text.startswith(b"{")), 198)
    others = [text for text in lines if not text.startswith(b"{")]
    assert others == [b"handling %d\n" % number for number in range(2, 200)]


# Stdin and stdout belong to the node


INTRUDERS = """
import os, subprocess, sys
kept_stdin, kept_stdout = sys.stdin, sys.stdout

@node.on("child")
def child():
    return {"got": subprocess.run(["cat"], capture_output=True).stdout.decode()}

@node.on("child_output")
def child_output():
    subprocess.run(["echo", "from a child"])
    return {}

@node.on("descriptors")
def descriptors():
    names = "import os; print(sorted(os.listdir('/proc/self/fd')))"
    return {"got": subprocess.run([sys.executable, "-c", names], capture_output=True, close_fds=False).stdout.decode()}

@node.on("written")
def written():
    os.write(1, b"to descriptor 1\\n")
    kept_stdout.write("to the stdout of before\\n")
    return {"got": os.read(0, 100).decode()}

@node.on("input")
def ask():
    return {"got": input("how? ")}

@node.on("kept")
def kept():
    return {"got": kept_stdin.readline()}

@node.on("iterated")
def iterated():
    return {"got": list(sys.stdin.buffer)}

@node.on("breakpoint")
def debug():
    breakpoint()
    return {}
"""


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("kind", ["child", "written"])
async def test_nobody_takes_the_nodes_messages(kind: str, tmp_path: Path) -> None:
    """Child processes and others who read descriptor 0 find nothing there, and every message is the node's."""
    given = INIT + line({"type": kind, "msg_id": 2}) + echo(3).replace(b"echo", b"child")
    status, output, _ = await run(*own_node(tmp_path, INTRUDERS), input=given, cwd=tmp_path)
    assert status == 0
    assert [(body["in_reply_to"], body.get("got")) for body in bodies(output)] == [(1, None), (2, ""), (3, "")]


@pytest.mark.slow
@pytest.mark.every_python
async def test_what_others_write_on_stdout_goes_to_stderr(tmp_path: Path) -> None:
    """Child processes, descriptor 1 and a stdout that was kept lead to stderr, never among the messages."""
    given = INIT + line({"type": "child_output", "msg_id": 2}) + line({"type": "written", "msg_id": 3})
    status, output, errors = await run(*own_node(tmp_path, INTRUDERS), input=given, cwd=tmp_path)
    assert (status, len(bodies(output))) == (0, 3)
    assert errors == "from a child\nto descriptor 1\nto the stdout of before\n"


async def test_with_stderr_closed_what_others_write_on_stdout_is_lost(tmp_path: Path) -> None:
    """There is no stderr, and stdout stays the node's."""
    given = INIT + line({"type": "child_output", "msg_id": 2}) + line({"type": "written", "msg_id": 3})
    command = ("sh", "-c", 'exec "$@" 2>&-', "sh", *own_node(tmp_path, INTRUDERS))
    status, output, _ = await run(*command, input=given, cwd=tmp_path)
    assert (status, len(bodies(output))) == (0, 3)


@pytest.mark.slow
@pytest.mark.every_python
async def test_stderr_may_have_been_closed_by_the_program(tmp_path: Path) -> None:
    """A program that closes its stderr before the run has none, as if it had been started without."""
    own_node(tmp_path, INTRUDERS + "os.close(2)\n")
    given = INIT + line({"type": "written", "msg_id": 2}) + b"rubbish\n"
    command = (sys.executable, "-c", "import sys; sys.path.insert(0, ''); import own; own.node.run()")
    status, output, errors = await run(*command, input=given, cwd=tmp_path)
    assert (status, [body["type"] for body in bodies(output)], errors) == (0, ["init_ok", "written_ok"], "")


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
async def test_child_processes_inherit_nothing_of_the_node(tmp_path: Path) -> None:
    """A child that inherits all it can has the three standard descriptors, and the one that lists them."""
    given = INIT + line({"type": "descriptors", "msg_id": 2})
    _, output, _ = await run(*own_node(tmp_path, INTRUDERS), input=given, cwd=tmp_path)
    assert bodies(output)[1]["got"] == "['0', '1', '2', '3']\n"


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("kind", ["input", "kept", "iterated", "breakpoint"])
async def test_reading_stdin_in_a_handler_says_what_to_do_instead(kind: str, tmp_path: Path) -> None:
    """Whichever way it reads, the handler fails with the remedy, and the next message is served."""
    given = INIT + line({"type": kind, "msg_id": 2}) + line({"type": "child", "msg_id": 3})
    status, output, errors = await run(*own_node(tmp_path, INTRUDERS), input=given, cwd=tmp_path)
    assert (status, [body["type"] for body in bodies(output)]) == (0, ["init_ok", "error", "child_ok"])
    text = bodies(output)[1]["text"]
    assert text.startswith("RuntimeError: stdin carries the node's messages, so nothing else can read it; take input ")
    assert text in errors


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
async def test_streams_may_have_been_replaced_by_the_program(name: str) -> None:
    """A program may put a stream of its own around the file of Python's, which then is unusable."""
    program = f"""
import io, sys
from trio_messenger import Node
sys.{name} = io.TextIOWrapper(sys.{name}.detach(), "utf-8")
node = Node()

@node.on("echo")
def echo(request):
    print("from a handler")
    return {{"echo": request.body["echo"]}}

node.run()
"""
    status, output, errors = await run(sys.executable, "-c", program, input=INIT + echo(2))
    assert (status, [body["type"] for body in bodies(output)]) == (0, ["init_ok", "echo_ok"])
    assert errors == "from a handler\n"


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("how", ["close", "detach"])
@pytest.mark.parametrize("name", ["stdin", "__stdin__", "__stdout__", "stderr"])
async def test_handler_may_close_or_detach_a_stream(name: str, how: str) -> None:
    """That takes nothing from the node: the next request is served, even if it fails and cannot be logged, and
    afterwards the descriptors are the program's again."""
    program = f"""
import os, sys
from trio_messenger import Node
node = Node()

@node.on("end")
def end():
    sys.{name}.{how}()
    return {{}}

@node.on("fail")
def fail():
    raise ValueError

node.run()
os.write(1, os.read(0, 100) + b"after")
"""
    given = INIT + line({"type": "end", "msg_id": 2}) + line({"type": "fail", "msg_id": 3})
    status, output, _ = await run(sys.executable, "-c", program, input=given)
    *answers, after = output.splitlines(keepends=True)
    assert [body["type"] for body in bodies(b"".join(answers))] == ["init_ok", "end_ok", "error"]
    detached = (name, how) == ("stderr", "detach")  # which Python tells by this status when it ends
    assert (status, after) == (120 if detached else 0, b"after")


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize(("number", "name"), [(0, "stdin"), (1, "stdout")])
async def test_descriptor_that_the_program_closed_is_told_in_one_line(number: int, name: str, tmp_path: Path) -> None:
    """The node does not take a file of Trio's, which has the number by then, for its stdin or stdout."""
    own_node(tmp_path, f"import os\nos.close({number})\n")
    command = (sys.executable, "-c", "import sys; sys.path.insert(0, ''); import own; own.node.run()")
    status, output, errors = await run(*command, input=INIT, cwd=tmp_path)
    assert (status, output) == (1, b"")
    assert re.fullmatch(rf"error: {name} is closed; give the node .*\n", errors)


@pytest.mark.parametrize("exception", ["ValueError", "SystemExit"])
async def test_error_that_ends_the_node_forges_no_line(exception: str, tmp_path: Path) -> None:
    """A peer may have chosen the text of an exception that leaves a strict node and that Python prints."""
    source = f"""
import trio_messenger
node = trio_messenger.Node(strict=True)

@node.on("echo")
def echo(request):
    raise {exception}(request.body["echo"])
"""
    given = INIT + line({"type": "echo", "msg_id": 2, "echo": "no\nERROR: forged \x1b[31m"})
    status, _, errors = await run(*own_node(tmp_path, source), input=given, cwd=tmp_path)
    assert status == 1
    assert rf"{exception}: no\nERROR: forged \x1b[31m" in errors
    assert "\x1b" not in errors


async def test_an_interrupt_after_the_node_is_told_as_python_tells_it(tmp_path: Path) -> None:
    """What ends the process prints a safe text of errors, and leaves Ctrl-C to Python."""
    program = "import trio_messenger; trio_messenger.Node().run(); raise KeyboardInterrupt"
    status, _, errors = await run(sys.executable, "-c", program, input=b"", cwd=tmp_path)
    assert status == -signal.SIGINT
    assert errors.startswith("Traceback (most recent call last):\n")
    assert errors.endswith("\nKeyboardInterrupt\n")


@pytest.mark.slow
@pytest.mark.every_python
async def test_descriptors_are_given_back_when_the_node_has_ended(tmp_path: Path) -> None:
    """After `Node.run`, stdin and stdout are the program's again: what the node left unread, too."""
    program = """
import os, signal, sys
from trio_messenger import Node
print("before")
node = Node()
node.on("end")(lambda: os.kill(os.getpid(), signal.SIGTERM) or {})
node.run()
print("after", flush=True)
print(sys.stdin.readline().strip(), flush=True)
os.system("cat")
"""
    async with child(sys.executable, "-c", program) as node:
        assert await node.read_line() == b"before\n"
        await node.send(INIT + line({"type": "end", "msg_id": 2}))
        assert await node.read_line() == INIT_OK
        assert bodies(await node.read_line())[0]["type"] == "end_ok"
        assert await node.read_line() == b"after\n"
        await node.send(b"rest\n")
        assert await node.read_line() == b"rest\n"
        await node.send(b"and the rest\n")
        await node.send_eof()
        assert await node.finish() == b"and the rest\n"


async def test_two_nodes_may_run_one_after_the_other(tmp_path: Path) -> None:
    """What the first one gave back, the second one takes again."""
    program = """
import os, signal
from trio_messenger import Node
for number in range(2):
    node = Node()
    node.on("end")(lambda: os.kill(os.getpid(), signal.SIGTERM) or {})
    node.run()
    print("ended", flush=True)
"""
    async with child(sys.executable, "-c", program) as node:
        for _ in range(2):
            await node.send(INIT + line({"type": "end", "msg_id": 2}))
            assert await node.read_line() == INIT_OK
            assert bodies(await node.read_line())[0]["type"] == "end_ok"
            assert await node.read_line() == b"ended\n"
        assert await node.finish() == b""


@pytest.mark.slow
@pytest.mark.every_python
async def test_handlers_processes_of_python_may_log(tmp_path: Path) -> None:
    """A process that is forked from the node writes to stderr, and takes neither messages nor signals for the node."""
    source = """
import multiprocessing, os, signal, sys

def talk():
    print("from the fork", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)

@node.on("fork")
def fork():
    process = multiprocessing.get_context("fork").Process(target=talk)
    process.start()
    process.join()
    return {"got": process.exitcode}
"""
    given = INIT + line({"type": "fork", "msg_id": 2}) + line({"type": "fork", "msg_id": 3})
    status, output, errors = await run(*own_node(tmp_path, source), input=given, cwd=tmp_path)
    assert (status, [body.get("got") for body in bodies(output)]) == (0, [None, -signal.SIGTERM, -signal.SIGTERM])
    assert errors == "from the fork\nfrom the fork\n"


@pytest.mark.parametrize("program", ["", "import sys; sys.stderr = sys.__stderr__ = None; "])
async def test_a_node_that_never_served_leaves_everything_as_it_was(program: str) -> None:
    """When `Node.run` fails at once, signals and streams are the program's again."""
    program += """
import signal, sys
from trio_messenger import Node
stderr, buffer = sys.stderr, sys.stderr and sys.stderr.buffer
try:
    Node().run(log_level="no such level")
except ValueError as exc:
    print(exc)
assert sys.stderr is stderr and (not stderr or stderr.buffer is buffer)
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
    assert await run(sys.executable, "-c", program) == (0, b"Unknown level: 'NO SUCH LEVEL'\n", "")
