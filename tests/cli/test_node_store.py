"""``trio-messenger node --store``: what a node keeps when its process is killed, and what is refused."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import in_folder, outcome

from trio_messenger import FileStore, Node
from trio_messenger._cli.finding import NoSuchNodeError, find_node

COMMAND = (sys.executable, "-m", "trio_messenger")

OWN = """
from trio_messenger import Node

node = Node()

def build():
    return Node()

def keeping(store=None):
    node = Node()
    store["lives"] = store.get("lives", 0) + 1
    return node

def two(store, other):
    return Node()
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with the module ``own``, which is the current one."""
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    yield from in_folder(tmp_path, monkeypatch)


def ask(process: subprocess.Popen[str], body: dict[str, object]) -> dict[str, object]:
    """Send a request to the node and return its reply."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"src": "c1", "dest": "n1", "body": body}) + "\n")
    process.stdin.flush()
    reply: dict[str, object] = json.loads(process.stdout.readline())["body"]
    return reply


@pytest.mark.slow
@pytest.mark.every_python
def test_a_killed_node_keeps_what_it_has_stored(tmp_path: Path) -> None:
    """On real pipes, the next life has the data, and numbers that no earlier life has used."""
    command = [*COMMAND, "node", "g-set", "--store", str(tmp_path / "data")]
    for life in range(2):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            first = ask(process, {"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1"]})
            assert first["msg_id"] == life << 32
            assert ask(process, {"type": "read", "msg_id": 2})["value"] == list(range(life))
            assert ask(process, {"type": "add", "element": life, "msg_id": 3})["type"] == "add_ok"
            process.send_signal(signal.SIGKILL)


@pytest.mark.usefixtures("own")
def test_a_node_gets_the_store_if_it_takes_one(tmp_path: Path) -> None:
    """In this process; without the option, the function is called as before."""
    for life in range(1, 3):
        with contextlib.ExitStack() as stack:
            node = find_node("own:keeping", lambda: stack.enter_context(FileStore(tmp_path / "data")))
        assert isinstance(node, Node)
        with FileStore(tmp_path / "data") as store:
            assert store["lives"] == life
    with pytest.raises(AttributeError, match="get"):
        find_node("own:keeping")


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("name", ["echo", "own:node", "own:build"])
def test_a_node_that_takes_no_store_is_named(name: str) -> None:
    """Before anything is opened."""
    with pytest.raises(
        NoSuchNodeError,
        match=rf"^{name} takes no store; name a function with a parameter 'store', such as build\(store\), or leave "
        "--store out$",
    ):
        find_node(name, lambda: pytest.fail("opened"))
    with pytest.raises(NoSuchNodeError, match=r"^own:two: cannot be called with a store only"):
        find_node("own:two", lambda: pytest.fail("opened"))


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ((), 2 << 32),
        (("--first-msg-id", "9"), 2 << 32),
        (("--first-msg-id", str(2**40)), 2**40),
        (("--first-msg-id", "clock"), "clock"),
    ],
)
def test_each_life_has_its_own_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], first: object
) -> None:
    """The larger of what is given and of what the store says, or the clock."""
    for _ in range(2):
        FileStore(tmp_path).close()
    ran: list[object] = []
    monkeypatch.setattr(Node, "run", lambda _, **given: ran.append(given["first_msg_id"]))
    assert outcome("node", "g-set", "--store", str(tmp_path), *given).status == 0
    assert ran == [first]


def test_a_store_that_is_in_use_is_an_error_of_one_line(tmp_path: Path) -> None:
    """With status 2, as for other wrong arguments."""
    with FileStore(tmp_path):
        ended = outcome("node", "g-set", "--store", tmp_path)
    assert ended.status == 2
    assert f"error: the store '{tmp_path}' is in use by process" in ended.errors
