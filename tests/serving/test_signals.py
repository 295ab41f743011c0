"""Signals from the first moment of a node to the last one of its process: the same effect and status at any time."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from support.lines import INIT
from support.processes import INIT_OK, bodies, child, echo, needs_proc, own_node, run

CLOSING = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
ANY = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])


def program(number: int, moments: str) -> tuple[str, ...]:
    """Return the command of a program that runs a node, and gets a signal at one of the *moments* in this source."""
    source = f"""
import atexit, os, signal, sys, threading
import trio
from trio_messenger import Node
from trio_messenger.transports.stdio import StdioTransport

def signal_now():
    os.kill(os.getpid(), {int(number)})

class Last:
    def __del__(self, kill=os.kill, pid=os.getpid()):
        kill(pid, {int(number)})

node = Node()
node.on("echo")(lambda request: {{"echo": request.body["echo"]}})
{moments}
"""
    return (sys.executable, "-c", source)


BEFORE = {
    "at the entry": """
import logging
configure = logging.basicConfig
logging.basicConfig = lambda **options: [signal_now(), configure(**options)]
node.run()
""",
    "when Trio starts": """
run = trio.run
trio.run = lambda *args: [signal_now(), run(*args)]
node.run()
""",
}
"""Moments at which a closing signal keeps the node from reading anything."""

AFTER = {
    "when the node has ended": """
aclose, waiting = StdioTransport.aclose, [signal_now]
async def close_and_more(self):
    await aclose(self)
    if waiting:
        waiting.pop()()
StdioTransport.aclose = close_and_more
node.run()
""",
    "when Trio has ended": """
run = trio.run
trio.run = lambda *args: [run(*args), signal_now()]
node.run()
""",
    "after the run": "node.run(); signal_now()",
    "in a thread that goes on": "threading.Thread(target=lambda: [ended.wait(), signal_now()]).start(); node.run()",
    "at the exit": "atexit.register(signal_now); node.run()",
    "at the end of the interpreter": "sys.modules['last'] = Last(); node.run()",
}
"""Moments at which all is answered."""
AFTER["in a thread that goes on"] = "ended = threading.Event(); " + AFTER["in a thread that goes on"] + "; ended.set()"


@pytest.mark.slow
@pytest.mark.every_python
@CLOSING
@pytest.mark.parametrize("moment", BEFORE)
async def test_closing_signal_before_the_node_serves(moment: str, number: int) -> None:
    """A node that is told to end before it serves ends with status 0, and leaves its input alone."""
    assert await run(*program(number, BEFORE[moment]), input=INIT + echo(2)) == (0, b"", "")


@pytest.mark.slow
@pytest.mark.every_python
@ANY
@pytest.mark.parametrize("moment", AFTER)
async def test_signal_after_the_end_of_stdin(moment: str, number: int) -> None:
    """A node that has answered everything ends with status 0, whatever signal comes on its way out."""
    status, output, errors = await run(*program(number, AFTER[moment]), input=INIT + echo(2))
    assert (status, len(bodies(output))) == (0, 2)
    is_told = number == signal.SIGUSR1 and moment not in ("at the exit", "at the end of the interpreter")
    assert errors == ("statistics: received=2 sent=2\n" if is_told else "")


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("moment", BEFORE)
async def test_report_before_the_node_serves(moment: str) -> None:
    """A node that is asked before it serves says that there was nothing yet."""
    status, _, errors = await run(*program(signal.SIGUSR1, BEFORE[moment]), input=INIT)
    assert (status, errors) == (0, "statistics: none\n")


@ANY
async def test_signal_while_the_command_imports_the_node(number: int, tmp_path: Path) -> None:
    """The command catches signals before it imports the module that has the node."""
    command = own_node(tmp_path, f"import os\nos.kill(os.getpid(), {int(number)})\n")
    status, output, errors = await run(*command, input=INIT, cwd=tmp_path)
    if number == signal.SIGUSR1:
        assert (status, output, errors) == (0, INIT_OK, "statistics: none\n")
    else:
        assert (status, output, errors) == (0, b"", "")


async def test_handlers_of_the_program_itself_are_given_back() -> None:
    """A program that handles a signal itself does so again after the run."""
    moments = """
signal.signal(signal.SIGTERM, lambda *_: print("mine", flush=True))
node.run()
signal_now()
node = Node()
node.run()
signal_now()
"""
    assert await run(*program(signal.SIGTERM, moments), input=b"") == (0, b"mine\nmine\n", "")


async def test_command_that_finds_no_node_is_no_node(tmp_path: Path) -> None:
    """The command that ends with wrong arguments has served nothing."""
    command = own_node(tmp_path, "import os\nos.kill(os.getpid(), 15)\n")
    status, output, errors = await run(*command[:-1], "own:nothing", input=INIT, cwd=tmp_path)
    assert (status, output) == (2, b"")
    assert errors.startswith("trio-messenger: error: own:nothing: module 'own' has no node or function 'nothing'")


@pytest.mark.slow
@pytest.mark.every_python
@needs_proc
@CLOSING
async def test_a_process_that_goes_on_ends_at_the_second_signal(number: int) -> None:
    """Whatever a program does after the run, the first signal does not disturb it, and the second one ends it."""
    moments = "node.run()\nprint('on', flush=True)\nwhile True: signal.pause()"
    async with child(*program(number, moments)) as node:
        await node.send_eof()
        assert await node.read_line() == b"on\n"
        await node.signal_and_see_it_taken(number)
        node.signal(number)
        assert (await node.wait(), node.errors) == (-number, b"")
