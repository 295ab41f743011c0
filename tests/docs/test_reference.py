"""The reference is complete: every public name is on one of its pages, and so is every command, option and message."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
import pytest
import trio
from support.paths import DOCS

import trio_messenger
import trio_messenger.sim
import trio_messenger.testing
import trio_messenger.transports.memory
import trio_messenger.transports.nats
import trio_messenger.transports.stdio
from trio_messenger import Body
from trio_messenger._cli import _COMMANDS
from trio_messenger.nodes import NODES, messenger
from trio_messenger.sim import NEMESES, TOPOLOGIES, WORKLOADS, WorkloadClient

FOLDER = DOCS / "reference"
MODULES = {"api": trio_messenger, "simulator": trio_messenger.sim}


def documented(page: str) -> set[str]:
    """Return the names that a page documents by a directive of autodoc."""
    text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    return {name.rpartition(".")[2] for name in re.findall(r"^\.\. auto(?!module)\w+:: ([\w.]+)$", text, re.M)}


def exported(module: ModuleType) -> set[str]:
    """Return the public names of *module* that are no modules."""
    names = {name for name in vars(module) if not name.startswith("_")}
    return {name for name in names if not isinstance(getattr(module, name), ModuleType)}


@pytest.mark.parametrize("page", MODULES)
def test_every_export_is_on_the_page(page: str) -> None:
    """What a package exports, the page of it documents; but what the root exports as well is on the root's page."""
    module = MODULES[page]
    own = {name for name in exported(module) if page == "api" or not hasattr(trio_messenger, name)}
    assert own - documented(page) == set()


def test_every_helper_for_tests_is_on_the_page() -> None:
    """What `trio_messenger.testing` defines itself, its page documents."""
    module = trio_messenger.testing
    own = {name for name in exported(module) if getattr(vars(module)[name], "__module__", "") == module.__name__}
    assert own == {"Network", "running", "assert_no_rpc_leaked"}
    assert own <= documented("testing")


@pytest.mark.parametrize("name", NODES)
def test_every_ready_made_node_is_on_the_page(name: str) -> None:
    """What builds each node is documented, with the module that it is in."""
    page = (FOLDER / "api.md").read_text(encoding="utf-8")
    assert f".. autofunction:: trio_messenger.nodes.{name.replace('-', '_')}.build\n" in page


def coroutines() -> Iterator[tuple[type, str]]:
    """Yield every public async method that the reference shows, with its class."""
    transports = (getattr(trio_messenger.transports, name) for name in ("memory", "nats", "stdio"))
    for module in (trio_messenger, trio_messenger.sim, trio_messenger.testing, *transports):
        for cls in vars(module).values():
            if inspect.isclass(cls) and cls.__module__.startswith("trio_messenger"):
                for name, method in vars(cls).items():
                    if not name.startswith("_") and inspect.iscoroutinefunction(method):
                        yield cls, name


@pytest.mark.parametrize(("cls", "name"), sorted(set(coroutines()), key=str))
def test_whatever_waits_says_what_a_cancellation_does(cls: type, name: str) -> None:
    """An async method, or its class for all of them, says that it is a checkpoint or what holds if it is cancelled."""
    text = f"{inspect.getdoc(cls)}\n{inspect.getdoc(getattr(cls, name))}"
    assert re.search(r"checkpoint|[Cc]ancel|`Node\.rpc`", text)


def section(command: str) -> str:
    """Return the only section of the page of commands, or of the one on NATS, that is about *command*."""
    page = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in ("cli.md", "nats.md"))
    [text] = re.findall(rf"^## `trio-messenger {command}[ `].*\n((?:(?!## ).*\n)*)", page, re.M)
    return str(text)


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_has_a_section_with_every_option(command: str) -> None:
    """Each command has one section, and each of its options is there with all its names, but for ``--help``."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"trio_messenger._cli.{_COMMANDS[command][0]}").configure(parser)
    options = {name for action in parser._actions for name in action.option_strings} - {"-h", "--help"}
    named = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", section(command)))
    assert options - named == set()


def test_every_choice_is_in_the_section_on_tests() -> None:
    """Whatever the options of ``test`` may be given by name is named: workloads, topologies, kinds of faults."""
    words = re.findall(r"`([\w-]+)`", section("test"))
    assert {*WORKLOADS, *TOPOLOGIES, *(kind.name for kind in NEMESES)} - set(words) == set()


def messages(heading: str) -> list[tuple[str, str, str]]:
    """Return what the tables under *heading* say: who takes the request, the request, the reply."""
    page = (FOLDER / "messages.md").read_text(encoding="utf-8")
    [text] = re.findall(rf"^## {heading}\n((?:(?!## ).*\n)*)", page, re.M)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    return [(row[0], row[-3], row[-2]) for row in rows]


def parts(shape: str) -> tuple[str, set[str]]:
    """Return the type and the fields of a message, from its shape such as ```read_ok {value}```."""
    kind, _, fields = shape.strip("`").partition(" ")
    return kind, set(re.findall(r"[\w?]+", fields))


ARGUMENTS: dict[str, Any] = {"cas": [1, [2, 3]], "write": [1, 2], "read": [1, None], "send": [["send", "k", 1]]}
"""Values of operations for which not just any value will do."""

ANSWERS: dict[str, Body] = {
    "send": {"offset": 0},
    "poll": {"msgs": {"k": [[0, 1]]}},
    "commit_offsets": {},
    "list_committed_offsets": {"offsets": {}},
}
"""What a node answers to clients of kafka, whose operations take several requests."""


def fields_of_requests(name: str) -> dict[str, set[str]]:
    """Return the fields of each request of a workload."""
    workload: Any = WORKLOADS[name]()
    if name != "kafka":
        return {f: set(workload.request(f, ARGUMENTS.get(f, 1))) - {"type"} for f in workload.replies}
    found: dict[str, set[str]] = {}

    async def ask(body: Body, _timeout: float) -> Body:
        found[body["type"]] = set(body) - {"type"}
        return {"type": f"{body['type']}_ok", "in_reply_to": 1, **ANSWERS[body["type"]]}

    async def do_all() -> None:
        client = WorkloadClient(id="c1", worker=0, process=0, node="n1", state={}, ask=ask, timeout=5)
        for f in ("send", "poll", "assign"):
            await workload.invoke(client, f, ARGUMENTS.get(f, []))

    trio.run(do_all)
    return found


def test_the_messages_of_workloads_are_those_that_the_simulator_takes() -> None:
    """Each function of each workload has a row, with the fields that its request has and that its reply may have."""
    shown = set()
    for names, request, reply in messages("The messages of the workloads"):
        for name in re.findall(r"[\w-]+", names):
            workload: Any = WORKLOADS[name]()
            f, fields = parts(request)
            if f == "topology":  # what it is set up with, and no function
                continue
            shown.add((name, f))
            schema = {field.encode_name for field in msgspec.structs.fields(workload.replies[f])}
            assert parts(reply) == (f"{f}_ok", schema - {"type", "msg_id", "in_reply_to"})
            assert fields == fields_of_requests(name)[f]
    assert shown == {(name, f) for name, workload in WORKLOADS.items() for f in workload.replies}


def test_the_messages_of_the_messenger_node_are_those_that_it_handles() -> None:
    """Each request that the node takes has one row, and the reply has its name with ``_ok``."""
    rows = messages("The messages of the `messenger` node")
    kinds = [parts(request)[0] for _, request, _ in rows]
    source = inspect.getsource(messenger)
    assert sorted(kinds) == sorted(["init", *re.findall(r'@node\.on\("(\w+)"', source)])
    assert [parts(reply)[0] for _, _, reply in rows] == [f"{kind}_ok" for kind in kinds]
