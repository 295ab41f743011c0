"""The command line as tests use it, in this process: modules of nodes to name, and what comes of a command."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from trio_messenger import _cli

OWN = """
from trio_messenger import Node

def build():
    node = Node()
    node.on("hi")(lambda: {"text": "there"})
    return node

built = build()

class Buildable(Node):
    pass

def to_measure(size, *, colour):
    return Node()

def _build():
    return Node()

def number():
    return 5

def raises():
    raise OSError("no such luck")

def gone():
    raise BrokenPipeError("the database went away")

value = 5
"""
"""A module with things that make nodes, and things that do not."""

README = """
from trio_messenger import Node, Request

node = Node()


@node.on("echo")
def echo(request: Request):
    return {"echo": request.body["echo"]}


if __name__ == "__main__":
    node.run()
"""
"""The node of the README."""

GOSSIP = """
from trio_messenger import Node, Request

node = Node()
messages = set()


@node.on("topology")
def topology():
    return {}


@node.on("broadcast")
def broadcast(request: Request):
    messages.add(request.body["message"])
    for peer in node.peers:
        node.send_nowait(peer, {"type": "tell", "message": request.body["message"]})
    return {}


@node.on("tell")
def tell(request: Request):
    messages.add(request.body["message"])


@node.on("read")
def read():
    return {"messages": sorted(messages)}
"""
"""A broadcast node that is right as long as no message is lost: each is told once."""


def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let *folder* be the current one, whose modules can be named; forget them afterwards."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)
    importlib.invalidate_caches()
    yield
    for name in set(sys.modules) - set(before):
        if not name.startswith("trio_messenger"):  # what is imported late in there stays as it is
            del sys.modules[name]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


ERASE = "\r\x1b[K"
"""What a terminal is told before the line that changes is written anew."""


@attrs.frozen
class Outcome:
    """What came of a command."""

    status: int | str | None
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """The one JSON object that is all of stdout."""
        [line] = self.output.splitlines()
        return json.loads(line)

    def line(self, name: str) -> str:
        """What stands behind *name* in the summary."""
        [text] = [text for text in self.output.splitlines() if text.startswith(f"  {name} ")]
        return text.removeprefix(f"  {name}").strip()


def outcome(*argv: str | Path) -> Outcome:
    """Run a command in this process; return the status that it would have, and what it says."""
    output, errors = io.StringIO(), io.StringIO()
    status: int | str | None
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = _cli.main([str(word) for word in argv])
        except SystemExit as exc:
            status = exc.code
    return Outcome(status, output.getvalue(), errors.getvalue())


def wrong(*argv: str | Path, status: int = 254) -> str:
    """Run a command that is to be refused with *status*; return what is said of it, without the usage."""
    found = outcome(*argv)
    assert (found.status, found.output) == (status, "")
    usage, _, message = found.errors.rpartition(": error: ")
    assert usage.endswith(f"trio-messenger {argv[0]}")
    return message.removesuffix("\n")
