"""Commands whose streams are closed, broken or full, and whose nodes write to all of them."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from support.processes import MODULE, run

from trio_messenger import _cli
from trio_messenger._cli import output
from trio_messenger._cli.parsing import Parser
from trio_messenger.sim._system.standard_streams import Forgiving

SHORT = (*MODULE, "test", "-w", "echo", "--time-limit", "1", "--node-count", "1", "--node")
TEST = (*SHORT, "loud:node")
PRINTING = (*SHORT, "prints:node")

LOUD = """
import os, subprocess, sys, threading
from trio_messenger import Node, Request

print("imported")
os.write(1, b"imported, too\\n")
node = Node()


def shout():
    print("of no node")
    sys.__stdout__.write("of the first stdout\\n")


@node.on("echo")
def echo(request: Request):
    os.write(1, b"written\\n")
    subprocess.run(["echo", "from a child"], check=True)
    if subprocess.run(["cat"], capture_output=True, check=True).stdout:
        raise ValueError("what its child has read was for somebody else")
    thread = threading.Thread(target=shout)
    thread.start()
    thread.join()
    print("logged")
    print("said", file=sys.stderr)
    return {"echo": request.body["echo"]}
"""


PRINTS = """
import sys
from trio_messenger import Node, Request

print("imported")
node = Node()


@node.on("echo")
def echo(request: Request):
    print("logged")
    print("said", file=sys.stderr)
    return {"echo": request.body["echo"]}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A folder with a node that writes wherever it can, and one that only prints."""
    (tmp_path / "loud.py").write_text(LOUD)
    (tmp_path / "prints.py").write_text(PRINTS)
    return tmp_path


# What nodes write


@pytest.mark.slow
async def test_json_is_intact_whatever_nodes_write(folder: Path) -> None:
    """On stdout is one object, and on stderr what nobody can tell the node of; what can be told is in its log."""
    status, output, errors = await run(*TEST, "--json", stdin=subprocess.DEVNULL, cwd=folder)
    assert (status, json.loads(output)["valid?"]) == (0, True)
    assert {"imported", "imported, too", "written", "from a child", "of no node", "of the first stdout"} <= set(
        errors.splitlines()
    )
    log = (folder / "store" / "echo" / "0" / "node-logs" / "n0.log").read_text().splitlines()
    assert log[:3] == ["imported", "logged", "said"]
    assert "logged" not in errors


@pytest.mark.slow
async def test_seeds_are_intact_whatever_nodes_write(folder: Path) -> None:
    """Nor do nodes, or their children, come between a worker process and its requests and results."""
    given = ("--seeds", "3", "--jobs", "2", "--no-store", "--json")
    status, output, errors = await run(*TEST, *given, stdin=subprocess.DEVNULL, cwd=folder)
    found = json.loads(output)
    assert (status, found["valid?"], [each["valid?"] for each in found["seeds"]]) == (0, True, [True] * 3)
    assert "from a child" in errors


@pytest.mark.slow
async def test_comparing_is_intact_whatever_nodes_write(folder: Path) -> None:
    """The same holds for the two processes of ``--check-determinism``."""
    given = ("--check-determinism", "--no-store", "--json")
    status, output, errors = await run(*TEST, *given, stdin=subprocess.DEVNULL, cwd=folder)
    assert (status, json.loads(output)["valid?"]) == (0, True)
    assert "two runs in two processes were the same, message by message" in errors


# What cannot be written


def redirected(redirection: str) -> tuple[str, ...]:
    """Return a command that runs what comes behind it with *redirection*."""
    return ("sh", "-c", f'"$@" {redirection}', "sh")


def first_is_enough(*values: object) -> list[Any]:
    """Return parameters for a test: all but the first run without coverage."""
    return [pytest.param(value, marks=pytest.mark.slow if number else ()) for number, value in enumerate(values)]


@pytest.mark.parametrize("more", first_is_enough((), ("--log-stderr", "--log-net-send"), ("--seeds", "2"), ("--json",)))
@pytest.mark.parametrize("redirection", first_is_enough("<&- >&- 2>&-", "2>&-", "2>/dev/full", "<&-", ">&-"))
async def test_a_verdict_needs_no_streams(redirection: str, more: tuple[str, ...], folder: Path) -> None:
    """The status is the verdict, though stderr is closed or full, or nobody wants to have the results."""
    status, output, errors = await run(*redirected(redirection), *PRINTING, *more, stdin=subprocess.DEVNULL, cwd=folder)
    assert (status, "Traceback" in errors) == (0, False)
    if ">&-" not in redirection.replace("2>&-", ""):
        assert b"valid" in output


@pytest.mark.slow
async def test_a_verdict_needs_nobody_who_reads(folder: Path) -> None:
    """Broken pipes for stdout and stderr change no status."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": writer, "stderr": writer, "cwd": folder}
        assert (await run(*PRINTING, "--log-net-send", **given))[0] == 0
        assert (await run(*PRINTING, "--seeds", "2", **given))[0] == 0
        assert (await run(*MODULE, "test", "-w", "ecko", **given))[0] == 254
    finally:
        os.close(writer)


@pytest.mark.parametrize("more", first_is_enough((), ("--json",), ("--seeds", "2")))
async def test_results_that_cannot_be_written_are_told(more: tuple[str, ...], folder: Path) -> None:
    """A full disk is not taken for a verdict: one line, status 255, and the run is kept."""
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "cwd": folder}
    status, _, errors = await run(*redirected(">/dev/full"), *PRINTING, *more, **given)
    assert status == 255
    assert errors.splitlines()[-1] == (
        "trio-messenger test: error: stdout cannot be written: [Errno 28] No space left on device"
    )
    assert "Traceback" not in errors
    assert (folder / "store" / "latest").exists() == ("--seeds" not in more)


class Full(io.StringIO):
    """A stream on a full disk."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def status_of(*words: str) -> int | str | None:
    """Return the status that the process would have."""
    try:
        return _cli.main(words)
    except SystemExit as exc:
        return exc.code


NATS_CONFIG = ("nats-config", "--cluster", "c", "--peers", "n1", "--passwords", "passwords")


@pytest.mark.parametrize(
    ("words", "status"),
    [(("nodes",), 1), (NATS_CONFIG, 1), (("--version",), 1), (("node", "--help"), 2), (("test", "--help"), 254)],
)
def test_the_only_result_of_a_command_is_written_or_it_fails(
    words: tuple[str, ...], status: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that goes on with an empty file would not see the reason."""
    monkeypatch.chdir(folder)
    for stdout, told in (
        (None, "stdout is closed; give an open one, such as a file"),
        (Full(), "stdout cannot be written: [Errno 28] No space left on device"),
    ):
        errors = io.StringIO()
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "stderr", errors)
        assert (status_of(*words), errors.getvalue()) == (status, f"trio-messenger: error: {told}\n")


@pytest.mark.parametrize("stderr", [None, Full()])
def test_an_error_needs_no_stderr(
    stderr: io.StringIO | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes nowhere then, and not to stdout, which is for messages and results; the status says enough."""
    monkeypatch.setattr(sys, "stderr", stderr)
    assert status_of("node", "nowhere") == 2
    assert status_of("call", "--bin", "/no/such/file", "n1", '{"type": "read"}') == 1
    assert capsys.readouterr().out == ""


def test_help_can_go_to_another_file() -> None:
    """As with every parser of Python."""
    file = io.StringIO()
    Parser(prog="p", description="Does it.").print_help(file)
    assert "Does it." in file.getvalue()


@pytest.mark.slow
async def test_a_file_that_cannot_be_named_in_text_is_shown_as_it_is(folder: Path) -> None:
    """Bytes of a name that are no UTF-8 come out as they went in, and as escapes where there is no way to have them."""
    store = b"caf\xe9"
    status, output, errors = await run(*PRINTING, "--store", os.fsdecode(store), stdin=subprocess.DEVNULL, cwd=folder)
    assert status == 0, errors
    assert b"  files       caf\xe9/echo/0/index.html\n" in output
    given = ("env", "PYTHONIOENCODING=ascii", *MODULE, "replay", os.fsdecode(store + b"/latest"))
    status, output, errors = await run(*given, stdin=subprocess.DEVNULL, cwd=folder)
    assert (status, output.isascii()) == (0, True), errors


# The pieces


def test_what_cannot_be_encoded_is_escaped(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A result is shown as well as it can be."""
    with open(os.dup(1), "w", encoding="ascii") as stream:
        assert output.ResultsStream(stream).put("caf\xe9 \ud800")
    assert capfdbinary.readouterr().out == b"caf\\xe9 \\ud800\n"


def test_stderr_may_break() -> None:
    """What cannot be written is dropped from then on; what the stream is can be asked before."""
    stream = open("/dev/full", "w")  # noqa: SIM115 - it cannot be closed like others
    forgiving = Forgiving(stream)
    assert (forgiving.fileno(), forgiving.isatty(), forgiving.buffer) == (stream.fileno(), False, stream.buffer)
    assert forgiving.write("a") == 1
    forgiving.flush()
    assert (forgiving.fileno(), forgiving.isatty(), forgiving.buffer) == (2, False, None)
    forgiving.flush()
    with pytest.raises(OSError, match="No space"):
        stream.close()


def test_streams_that_break_at_the_end_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python would try to flush them once more, and end with a status of its own."""

    @attrs.define
    class Broken:
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Broken())
    monkeypatch.setattr(sys, "stderr", None)
    with output.settled():
        pass
    assert (sys.stdout, sys.stderr) == (None, None)
