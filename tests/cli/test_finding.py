"""From the names that people type to nodes: one for a process, or as many as a simulator asks for."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from support.command_line import OWN, README, in_folder

from trio_messenger import Node
from trio_messenger._cli.finding import NoSuchNodeError, find_build, find_node
from trio_messenger.nodes import NODES, echo
from trio_messenger.sim import Kill, simulate
from trio_messenger.testing import running

STATEFUL = """
from trio_messenger import Node
import helper

node = Node()
numbers = []

def build():
    helper.built.append(1)
    return node

@node.on("count")
def count():
    numbers.append(1)
    return {"count": len(numbers)}
"""

TYPED = """
from __future__ import annotations

import attrs
from trio_messenger import Node

node = Node()

@attrs.frozen
class Inner:
    number: int

@attrs.frozen
class Outer:
    inner: Inner

@node.on("ask")
def ask(body: Outer):
    return {"own": type(body.inner) is Inner}
"""

STORES = """
from trio_messenger import Node

given = []

def may(store=None):
    given.append(store)
    return Node()

def must(*, store):
    given.append(store)
    return Node()

def more(store, size):
    return Node()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, whose modules can be named."""
    for _ in in_folder(tmp_path, monkeypatch):
        yield tmp_path


def write(name: str, text: str) -> None:
    Path(f"{name}.py").write_text(text)


async def ask(node: Node, type_: str, **fields: object) -> object:
    """Return what *node*, which has just begun to serve, answers."""
    async with running(node) as network:
        reply = await network.request({"type": type_, **fields})
        return reply[{"count": "count", "ask": "own"}[type_]]


# As many nodes as are wanted


@pytest.mark.parametrize("name", ["stateful:node", "stateful:build"])
def test_each_life_has_a_module_of_its_own(name: str) -> None:
    """What a node keeps in the globals of its module no other one sees, be it named itself or made by a function."""
    write("stateful", STATEFUL)
    write("helper", "built = []")
    build = find_build(name)
    first, second = build(), build()
    assert first is not second
    assert [trio.run(ask, node, "count") for node in (first, second, build())] == [1, 1, 1]


def test_what_a_module_imports_is_shared() -> None:
    """Only the module that is named is executed afresh: what it imports is imported once, as ever."""
    write("stateful", STATEFUL)
    write("helper", "built = []")
    build = find_build("stateful:build")
    before = len(sys.modules["helper"].built)
    build()
    build()
    assert len(sys.modules["helper"].built) == before + 2


def test_annotations_are_those_of_the_life_itself() -> None:
    """Classes of bodies that refer to each other by strings are found in the module that they are in, in each life."""
    write("typed", TYPED)
    build = find_build("typed:node")
    nodes = [build(), build(), build()]
    assert [trio.run(lambda node: ask(node, "ask", inner={"number": 1}), node) for node in nodes] == [True] * 3


def test_the_node_of_the_readme_can_be_built() -> None:
    """A script that runs its node only if it is the program makes as many nodes as are wanted."""
    write("my_node", README)
    build = find_build("my_node:node")
    assert isinstance(build(), Node)
    assert build() is not build()


def test_code_is_that_of_the_beginning() -> None:
    """Whoever saves the file meanwhile changes nothing: all lives run the same code."""
    write("own", OWN)
    build = find_build("own:build")
    write("own", "an error at the first line")
    assert "hi" in build()._service.router.handlers


def test_ready_made_nodes_and_modules_of_the_package_are_found_as_they_are() -> None:
    """They keep nothing in their globals, so nothing is executed again."""
    kept: dict[str, object] = {}
    for name in [*NODES, "trio_messenger.nodes.echo:build"]:
        build = find_build(name)
        given = {"store": kept} if "store" in inspect.signature(build).parameters else {}
        assert isinstance(build(**given), Node)
    assert sys.modules["trio_messenger.nodes.echo"] is echo


def test_modules_in_packages_are_executed_afresh_too(folder: Path) -> None:
    """A dotted name stands for a module within a package."""
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("")
    (folder / "package" / "inner.py").write_text(OWN)
    build = find_build("package.inner:built")
    assert build() is not build()


@pytest.mark.parametrize("name", ["stores:may", "stores:must"])
def test_a_store_is_handed_on_to_those_that_take_one(name: str) -> None:
    """The function that is returned has the parameter ``store`` if that which is named has it, and hands it on."""
    write("stores", STORES)
    build = find_build(name)
    store: dict[str, object] = {}
    assert isinstance(build(store=store), Node)
    assert sys.modules["stores"].given[0] is store


def test_without_a_store_none_can_be_given() -> None:
    """The function has no parameters if that which is named has none, as `simulate` finds out by its signature."""
    write("own", OWN)
    with pytest.raises(TypeError):
        find_build("own:build")(store={})


# What makes none


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "same:node",
            "import math\nfrom trio_messenger import Node\nnode = math.node = getattr(math, 'node', None) or Node()",
            "same:node is always the same node; name it in the module that makes it",
        ),
        (
            "running:node",
            "from trio_messenger import Node\nnode = Node()\nnode.run()",
            "running:node: its module runs a node when it is imported; put that below: if __name__ == '__main__':",
        ),
        (
            "stores:more",
            STORES,
            "stores:more: cannot be called with a store only (missing a required argument: 'size'); "
            "name a function such as build()",
        ),
        (
            "own:to_measure",
            OWN,
            "own:to_measure: cannot be called without arguments (missing a required argument: 'size'); "
            "name a function such as build()",
        ),
        ("own:number", OWN, "own:number returned 5, which is not a trio_messenger.Node"),
        ("own:biuld", OWN, "own:biuld: module 'own' has no node or function 'biuld'; did you mean 'build'?"),
        ("own:x", "built = 1", "own:x: module 'own' has no node or function 'x'"),
        ("own:d", "d = dict", "own:d has no readable signature; name a function such as build()"),
        ("math:node", "", "math:node: module 'math' has no node or function 'node'"),
        ("owl:node", "", "owl:node: there is no module 'owl' in this folder or among the installed ones"),
        ("owl.inner:node", "", "owl.inner:node: there is no module 'owl' in this folder or among the installed ones"),
        ("own.py:node", OWN, "own.py:node: give the module, not its file: own:node"),
        ("./nodes/own.py:", OWN, "./nodes/own.py:: give the module, not its file: nodes.own:node"),
        ("a..b:node", "", "a..b:node: 'a..b' is not the name of a module; write MODULE:NODE, such as my_nodes:build"),
        (
            "own",
            OWN,
            "there is no node 'own'; did you mean one in own.py, such as own:node? There are: {nodes}. "
            "Give your own as MODULE:NODE",
        ),
        (
            "own.py",
            OWN,
            "there is no node 'own.py'; did you mean one in own.py, such as own:node? There are: {nodes}. "
            "Give your own as MODULE:NODE",
        ),
        (
            "ecoh",
            "",
            "there is no node 'ecoh'; did you mean 'echo'? There are: {nodes}. Give your own as MODULE:NODE",
        ),
        ("nobody", "", "there is no node 'nobody'; there are: {nodes}. Give your own as MODULE:NODE"),
    ],
)
def test_what_makes_no_nodes_is_told(name: str, text: str, message: str) -> None:
    """A name that stands for nothing that makes nodes is refused at once, in a line that says what to give instead."""
    write(name.partition(":")[0].rpartition("/")[2].removesuffix(".py"), text)
    if not text:
        Path(f"{name.partition(':')[0]}.py").unlink()
    try:
        with pytest.raises(NoSuchNodeError) as caught:
            find_build(name)
    finally:
        vars(math).pop("node", None)
    assert str(caught.value) == message.format(nodes=", ".join(NODES))


OWN_COPY = """
import copy, enum, pickle, sys, typing
import attrs
import trio
from trio_messenger import Node, Request

class Colour(enum.Enum):
    RED = 1

@attrs.frozen
class Thing:
    colour: Colour

count = 0
node = Node()

@node.on("echo")
async def echo(request: Request):
    import own_copy
    await trio.sleep(0.01)  # meanwhile the others do the same
    thing = Thing(Colour.RED)
    again = pickle.loads(pickle.dumps(thing))
    assert isinstance(again, Thing) and again == thing and again.colour is Colour.RED
    assert typing.get_type_hints(Thing)["colour"] is Colour
    assert own_copy.Thing is Thing and vars(own_copy) is globals() and "Thing" in dir(own_copy)
    own_copy.count += 1
    assert count == own_copy.count
    own_copy.gone = 1
    del own_copy.gone
    assert "gone" not in globals()
    assert await trio.to_thread.run_sync(lambda: sys.modules[__name__].node is node)
    return {"echo": request.body["echo"]}
"""


def test_each_node_finds_its_own_copy_of_the_module() -> None:
    """Pickle, enumerations, annotations and imports work in many nodes of one process as in one that is a process."""
    write("own_copy", OWN_COPY)
    build = find_build("own_copy:node")
    faults = [Kill(nodes=["n1"], at=1, until=2)]
    report = simulate("echo", build, nodes=3, time_limit=4, faults=faults)
    assert report.valid is True, report.logs
    build()
    assert sys.modules["own_copy"].count == 0


def test_what_no_file_can_be_called_is_no_node() -> None:
    """A name that is too long for a file is told like any other wrong one."""
    with pytest.raises(NoSuchNodeError, match=r"^there is no node 'x+; there are: "):
        find_node("x" * 5000)


@pytest.mark.parametrize("find", [find_node, find_build])
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1 / 0", ZeroDivisionError),
        ("raise RuntimeError('mine')", RuntimeError),
        ("import no_such_module_at_all", ModuleNotFoundError),
        ("def node(): raise OSError", OSError),
        ("no Python", SyntaxError),
    ],
)
def test_errors_of_the_author_leave_as_they_are(
    find: Callable[[str], object], text: str, error: type[Exception]
) -> None:
    """What a module raises when it is executed, or the function when it is called, is its author's to see."""
    write("mine", text)
    with pytest.raises(error):
        find("mine:node")


def test_a_module_that_fails_is_not_left_behind() -> None:
    """What could not be executed is not taken for the module by whoever imports it later; the one before is."""
    write("flaky", f"import helper\nhelper.times.append(1)\nif len(helper.times) > 2: 1 / 0\n{OWN}")
    write("helper", "times = []")
    build = find_build("flaky:build")
    build()
    before = sys.modules["flaky"]
    with pytest.raises(ZeroDivisionError):
        build()
    assert sys.modules["flaky"] is before
    del sys.modules["flaky"]
    with pytest.raises(ZeroDivisionError):
        find_build("flaky:build")
    assert "flaky" not in sys.modules


def test_a_function_that_changes_its_mind_is_told() -> None:
    """That a later life is no node is told as it is of the first one."""
    write("fickle", "import helper\ndef build():\n    return helper.things.pop()\n")
    write("helper", "from trio_messenger import Node\nthings = [5, Node()]")
    build = find_build("fickle:build")
    with pytest.raises(NoSuchNodeError, match=r"^fickle:build returned 5, which is not a trio_messenger\.Node$"):
        build()


def test_the_current_folder_is_looked_at_first_and_put_there_once() -> None:
    """However many names are looked for, the path of the process grows by one place at the most."""
    write("own", OWN)
    find_node("own:build")
    length = len(sys.path)
    find_build("own:build")
    find_node("own:built")
    assert (sys.path[0], len(sys.path)) == ("", length)
