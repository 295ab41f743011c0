"""The shape of the package: layers that import downwards only, small modules, documented and final exports."""

from __future__ import annotations

import ast
import enum
import functools
import importlib
import importlib.metadata
import inspect
import re
import statistics
import subprocess
import sys
import tomllib
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import trio_messenger
import trio_messenger.sim
from trio_messenger import Node
from trio_messenger.nodes import NODES

pytestmark = pytest.mark.slow

PACKAGE = Path(trio_messenger.__file__).parent
ROOT = Path(__file__).parents[1]

# The layers of the package, the lowest first: what each is about, and the units that are on it. A unit is a folder or a
# single module, and "" is the root, which is the public API. A unit imports from layers below its own, and no other
# unit of its own layer. A new module in a folder needs no entry here; a new folder or a new module at the top does.
LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("the protocol: no Trio, no I/O, no clock", ("_protocol",)),
    ("what carries messages; code of a node's author; stores", ("transports", "_user_code", "_storage")),
    ("how messages leave a node", ("_sending",)),
    ("pending RPCs, and the reaper", ("_rpc",)),
    ("a node at work", ("_serving",)),
    ("the API: nodes, and clients for services", ("_node", "services")),
    ("the API in one place", ("",)),
    ("what is built on the API", ("nodes", "sim", "metrics")),
    ("helpers for tests, and the command line", ("testing", "_cli")),
    ("python -m trio_messenger", ("__main__",)),
)

# The layers of the simulator, in the same way.
SIM_LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("chance and time, the system, records", ("_determinism", "_system", "_records")),
    ("services, faults, checkers, runaways", ("_services", "_faults", "_checkers", "_runaways")),
    ("the network, sentences about records, invariants", ("_network", "_explanation", "_invariants", "strategies")),
    ("pictures", ("pictures",)),
    ("workloads, and who is on the network", ("_workloads", "_cluster")),
    ("a run", ("_runs",)),
    ("its judgement, its report, its files", ("_judging",)),
    ("many runs", ("_campaigns",)),
    ("the public face", ("",)),
    ("what the command line uses besides it", ("_for_cli",)),
)

OUTSIDE_WORLD = {
    *("asyncio", "datetime", "io", "multiprocessing", "os", "pathlib", "select", "selectors", "signal"),
    *("socket", "subprocess", "sys", "threading", "time", "trio"),
}


@functools.cache
def modules() -> dict[str, Path]:
    """Return the file of each module of the package by its name in it, such as ``transports.memory``."""
    paths = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return paths


@functools.cache
def tree(module: str) -> ast.Module:
    """Return the syntax tree of *module*; it is made when a test asks, since each process collects all tests."""
    path = modules()[module]
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@pytest.fixture(autouse=True, scope="module")
def forgotten_trees() -> Iterator[None]:
    """Forget the trees: they are hundreds of thousands of objects, and later tests collect garbage again and again."""
    yield
    tree.cache_clear()


def unit(module: str) -> str:
    """Return the unit of *module*: the folder or module at the top of the package that it is in, or is."""
    return module.partition(".")[0]


def sim_unit(module: str) -> str:
    """Return the unit of *module* in the simulator."""
    return unit(module.removeprefix("sim").removeprefix("."))


def layer(name: str, layers: tuple[tuple[str, tuple[str, ...]], ...] = LAYERS) -> int:
    """Return the number of the layer, from 0, of the unit *name*; fail if it has none."""
    for number, (_, units) in enumerate(layers):
        if name in units:
            return number
    names = "LAYERS" if layers is LAYERS else "SIM_LAYERS"
    pytest.fail(f"{name!r} is on no layer; give it one in {names} of tests/test_structure.py")


def in_units(*units: str) -> list[str]:
    """Return the modules of *units*."""
    return [name for name in modules() if unit(name) in units]


def imports(module: str) -> Iterator[str]:
    """Yield the full name of each module that *module* imports, wherever in it, and of each name out of one."""
    package = ["trio_messenger", *module.split(".")] if module else ["trio_messenger"]
    if modules()[module].name != "__init__.py":
        package.pop()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def own_imports(module: str) -> set[str]:
    """Return the names of the package's modules that *module* imports."""
    found = set()
    for name in imports(module):
        package, _, rest = name.partition(".")
        if package == "trio_messenger":
            while rest not in modules():
                rest = rest.rpartition(".")[0]
            found.add(rest)
    return found - {module}


ALL = sorted(modules())


def test_all_modules_are_looked_at() -> None:
    """The walk finds the package's root, its modules, and the modules of its folders, with what they import."""
    assert {"", "_node", "transports", "transports.memory", "nodes.messenger", "_cli", "__main__"} <= set(ALL)
    assert {"_protocol.errors", "_node.node", "transports"} <= own_imports("")
    assert own_imports("transports.memory") == {"_protocol.messages", "_protocol.lines", "transports"}
    assert own_imports("nodes.messenger") == {""}
    assert own_imports("__main__") == {"_cli"}


@pytest.mark.parametrize("module", ALL)
def test_imports_point_down(module: str) -> None:
    """A module imports from its own unit and from the layers below, never from beside or above."""
    mine = unit(module)
    wrong = {name for name in own_imports(module) if unit(name) != mine and layer(unit(name)) >= layer(mine)}
    assert not wrong, f"{module} imports {wrong}, which is not below it"


@pytest.mark.parametrize("module", in_units("sim"))
def test_imports_point_down_in_the_simulator(module: str) -> None:
    """The same holds for the folders of the simulator."""
    mine = sim_unit(module)
    others = {name for name in own_imports(module) if unit(name) == "sim" and sim_unit(name) != mine}
    wrong = {name for name in others if layer(sim_unit(name), SIM_LAYERS) >= layer(mine, SIM_LAYERS)}
    assert not wrong, f"{module} imports {wrong}, which is not below it"


@pytest.mark.parametrize("module", in_units("_protocol"))
def test_the_protocol_knows_no_world(module: str) -> None:
    """The protocol needs no trio, no I/O and no clock, so it can be used and tested anywhere."""
    assert not {name.partition(".")[0] for name in imports(module)} & OUTSIDE_WORLD


@pytest.mark.parametrize("module", in_units("nodes", "sim", "metrics", "testing", "_cli"))
def test_what_is_built_on_the_api_uses_nothing_else(module: str) -> None:
    """Nodes, the simulator, test helpers and the command line see of the core what any user of the library sees."""
    mine = unit(module)
    private = {name for name in own_imports(module) if is_private(name) and unit(name) != mine}
    assert not private - allowed_to(module)


def is_private(module: str) -> bool:
    """Tell whether any part of the path of *module* begins with an underscore."""
    return any(part.startswith("_") for part in module.split("."))


def allowed_to(module: str) -> set[str]:
    """Return the private modules that *module* may import all the same.

    One module of the simulator is there for the command line, whose root catches signals before a node is imported, and
    the simulator names its public classes as the root does, listens to the assertions of nodes, and closes what the
    code of a workload leaves open as a node does. All say in the same words that there is no such name.
    """
    exceptions = {"_cli": {"_serving.process"}, "sim": {"_protocol.public_names"}}
    exceptions["sim._campaigns.simulation"] = {"_user_code.assertions"}
    exceptions["sim._workloads.blame"] = {"_user_code.enclosure", "_user_code.failures"}
    of_unit = {"_protocol.known_names"} | ({"sim._for_cli"} if unit(module) == "_cli" else set())
    return exceptions.get(module, set()) | of_unit


FOREIGN = {"_cancel_status", "_exit", "_parent", "_scope", "_current_frames", "_getframe", "_ArgumentGroup"}
"""Private attributes of Trio and of the standard library, used where those offer nothing else."""

OF_NURSERIES = {
    *("_activate_cancel_status", "_cancel_status", "_child_nurseries", "_closed", "_nested_child_finished"),
    *("_nested_child_running", "_parent_task", "_pending_excs", "_pending_starts"),
}
"""Those of Trio that one module needs, to take a nursery from the task that opened it."""


@pytest.mark.parametrize("module", ALL)
def test_a_module_uses_no_private_attribute_of_another(module: str) -> None:
    """A module uses only those private attributes that it defines itself; other modules offer methods or functions."""
    own, used = set(), set()
    for node in ast.walk(tree(module)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                own.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(value=ast.Name(id="self"), attr=name):
                own.add(name)
            case ast.Attribute(attr=name) if name.startswith("_") and not name.startswith("__"):
                used.add(name)
    assert not used - own - (OF_NURSERIES if module == "_user_code.nurseries" else FOREIGN)


def test_the_command_line_uses_the_simulator_through_one_module() -> None:
    """What commands use of the simulator is listed in one place, in the simulator, and nobody else uses the list."""
    used = {used for name in in_units("_cli") for used in own_imports(name) if unit(used) == "sim"}
    assert used == {"sim._for_cli"}
    assert {unit(name) for name in ALL if "sim._for_cli" in own_imports(name)} == {"_cli"}


def test_each_name_for_the_command_line_is_used() -> None:
    """The list of names is what commands import, no longer and no shorter."""
    listed = {name.rpartition(".")[2] for name in imports("sim._for_cli")} - {"annotations"}
    prefix = "trio_messenger.sim._for_cli."
    used = {name.removeprefix(prefix) for each in in_units("_cli") for name in imports(each) if name.startswith(prefix)}
    assert listed == used


def test_the_simulator_has_three_public_modules() -> None:
    """Every other path in it says that it is private."""
    assert [name for name in in_units("sim") if not is_private(name)] == ["sim", "sim.pictures", "sim.strategies"]


def test_only_one_module_touches_the_standard_descriptors() -> None:
    """Descriptors 0 and 1 are the business of the stdio transport alone: hardly anybody else imports os.

    The parts it is made of do. So do signals, which want to know of forks; stores, which wait for the disk; and the
    simulator: only os can send a signal to a group of processes, and keep descriptor 1 for results.
    """
    parts = {"transports._descriptors", "transports._stderr", "transports._python_streams"}
    others = {"_serving.signals", "sim._system.children", "sim._system.standard_streams", "sim._system.guardian"}
    others |= {"_storage.file_store"}
    assert {name for name in ALL if "os" in imports(name)} == {"transports.stdio", *parts, *others}


def test_there_is_no_import_cycle() -> None:
    """The modules can be put in an order in which each imports only from those before it."""
    waiting = {name: own_imports(name) for name in ALL}
    # A package's __init__ runs before the modules in it, which need not be written down; the root is left out,
    # since it is imported first by whoever imports any of its modules.
    waiting.pop("")
    while ready := {name for name, needs in waiting.items() if not needs & waiting.keys()}:
        for name in ready:
            del waiting[name]
    assert not waiting, f"these import each other: {waiting}"


@pytest.mark.parametrize(("layers", "name"), [(LAYERS, "LAYERS"), (SIM_LAYERS, "SIM_LAYERS")])
def test_a_unit_without_a_layer_is_named(layers: tuple[tuple[str, tuple[str, ...]], ...], name: str) -> None:
    """A new folder fails with the place where it has to be entered."""
    with pytest.raises(
        pytest.fail.Exception, match=rf"^'_new' is on no layer; give it one in {name} of tests/test_structure\.py$"
    ):
        layer("_new", layers)


@pytest.mark.parametrize("module", ALL)
def test_a_module_is_documented_and_small(module: str) -> None:
    """Each module opens with what it is for, and has 400 lines at the most."""
    assert ast.get_docstring(tree(module))
    path = modules()[module]
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400, f"{path.name} has {lines} lines; make it a folder"


@pytest.mark.parametrize("path", [*PACKAGE.rglob("*.js"), *PACKAGE.rglob("*.css")], ids=lambda path: path.name)
def test_a_file_of_a_picture_is_small(path: Path) -> None:
    """The limit also holds for scripts and styles."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400, f"{path.name} has {len(lines)} lines; split it"


# Messages and state of the ready-made nodes, each of which can be read alone, and what workloads are called after.
SHARED_NAMES = {"Add", "Broadcast", "Merge", "Merged", "Peer"}


def named_types(module: str) -> Iterator[str]:
    """Yield the name of each class and type alias of *module* that other modules may import."""
    for node in tree(module).body:
        if isinstance(node, ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
            name = ast.unparse(node.target)
        else:
            continue
        if not name.startswith("_"):
            yield name


# Constants that are the same thing wherever they are: the texts of each command for its help; figures of the ready-made
# nodes that gossip, each of which can be read alone; how many examples each explanation gives; the descriptors of the
# standard streams, which transports and the simulator each need.
SHARED_CONSTANTS = {
    "ACKNOWLEDGED_WITHIN",
    "DESCRIPTION",
    "EXAMPLES",
    "GAP",
    "LAP",
    "DETAILS",
    "STDIN",
    "STDOUT",
    "STDERR",
}

# A workload, its checker, its explanation and its ready-made node are called the same; a command is called by its word.
SHARED_FILES = {"broadcast", "counters", "echo", "g_set", "kafka", "lin_kv", "node", "transactions", "unique_ids"}


def constants(module: str) -> Iterator[str]:
    """Yield the name of each constant of *module* without its leading underscore, which says nothing of the meaning."""
    for node in tree(module).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
            yield from (name.removeprefix("_") for name in names if re.fullmatch("_?[A-Z][A-Z0-9_]+", name))


def file_name(module: str) -> Iterator[str]:
    """Yield the name of the file of *module*, unless it is a folder's ``__init__``."""
    if modules()[module].name != "__init__.py":
        yield module.rpartition(".")[2].removeprefix("_")


@pytest.mark.parametrize(
    ("names_of", "known", "shared"),
    [
        (named_types, "Node", SHARED_NAMES),
        (constants, "OUTBOX_LIMIT", SHARED_CONSTANTS),
        (file_name, "router", SHARED_FILES),
    ],
)
def test_a_name_means_one_thing(names_of: Callable[[str], Iterator[str]], known: str, shared: set[str]) -> None:
    """No two modules share the name of a class, type alias, constant or file, so a name says which one is meant."""
    places: dict[str, list[str]] = {}
    for module in ALL:
        for name in set(names_of(module)):
            places.setdefault(name, []).append(module)
    assert known in places
    several = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in several.items() if name not in shared} == {}
    assert shared <= several.keys(), "an exception that is none"


def test_values_in_errors_are_cut_at_one_length() -> None:
    """An f-string that cuts the text of a value keeps 80 characters: enough in a sentence that says what to give.

    What is quoted from peers goes through `excerpt`, and what is quoted from a run through `cut_text`.
    """
    lengths = {
        spec.value
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr)
        for spec in node.format_spec.values
        if isinstance(spec, ast.Constant) and re.fullmatch(r"\.\d+", str(spec.value))
    }
    assert lengths == {".80"}


def test_the_median_function_is_short() -> None:
    """Half of all functions have fewer than 10 lines, docstring and signature included."""
    lengths = [
        node.end_lineno - node.lineno + 1
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None
    ]
    assert len(lengths) > 1000
    assert statistics.median(lengths) < 10


# What the package exports


def exports() -> list[tuple[str, str]]:
    """Return what the root exports: pairs of the module that defines it and the name."""
    pairs = []
    for node in tree("").body:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1
            for alias in node.names:
                if alias.asname is not None and alias.asname.startswith("_"):
                    continue  # used by the root itself
                assert alias.asname == alias.name, f"write `{alias.name} as {alias.name}`, so that it is an export"
                pairs.append((node.module or "", alias.name))
    return pairs


EXPORTS = exports()
CLASSES = [name for _, name in EXPORTS if inspect.isclass(getattr(trio_messenger, name))]


def test_the_root_has_exports_and_nothing_else() -> None:
    """The root only exports, and what is public in it is what it exports."""
    public = {name for name in vars(trio_messenger) if not name.startswith("_")}
    folders = {name.partition(".")[0] for name in ALL if not name.startswith("_")} - {""}
    assert public - folders == {name for _, name in EXPORTS}
    assert {"Node", "Request", "RpcError", "RpcTimeout"} <= public


@pytest.mark.parametrize(("module", "name"), EXPORTS)
def test_an_export_is_documented_where_it_is_defined(module: str, name: str) -> None:
    """Every exported class, function, constant and alias has a docstring, and lives in the package."""
    body = tree(module).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            assert ast.get_docstring(node)
            return
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            assert isinstance(after, ast.Expr)
            assert isinstance(after.value, ast.Constant)
            assert isinstance(after.value.value, str)
            return
    pytest.fail(f"{name} is not defined in {module}")


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_says_what_its_members_are(name: str) -> None:
    """Every public method and property that a class defines has a docstring."""
    [module] = [module for module, export in EXPORTS if export == name]
    [definition] = [node for node in tree(module).body if isinstance(node, ast.ClassDef) and node.name == name]
    for node in definition.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            if any(isinstance(decorator, ast.Name) and decorator.id == "overload" for decorator in node.decorator_list):
                continue  # its implementation has it
            assert ast.get_docstring(node), f"{name}.{node.name}"


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_is_final_or_made_to_be_extended(name: str) -> None:
    """A public class is final, unless it is abstract, a protocol, or extended by the package itself."""
    cls = getattr(trio_messenger, name)
    extended = [sub for sub in cls.__subclasses__() if sub.__module__.startswith("trio_messenger")]
    final = getattr(cls, "__final__", False) or issubclass(cls, enum.Enum)
    is_protocol = getattr(cls, "_is_protocol", False)
    assert bool(final) != bool(extended or inspect.isabstract(cls) or is_protocol)


@pytest.mark.parametrize(
    ("package", "least"), [(trio_messenger, 20), (trio_messenger.sim, 20), (trio_messenger.sim.pictures, 4)]
)
def test_public_classes_and_functions_say_where_they_are_imported_from(package: ModuleType, least: int) -> None:
    """Tracebacks name the public module; the types of their fields can be found out all the same."""
    exported = [value for name, value in vars(package).items() if not name.startswith("_")]
    own = [value for value in exported if getattr(value, "__module__", "").startswith("trio_messenger")]
    assert len(own) > least
    for value in own:
        assert not is_private(value.__module__), value
        if isinstance(value, type):
            typing.get_type_hints(value)


def test_methods_say_the_class_that_users_know() -> None:
    """Of `Node`, that is, and not of the private parts that it consists of; a public base class keeps its own."""
    inherited = [method for name in dir(Node) if inspect.isfunction(method := getattr(Node, name)) and name[0] != "_"]
    assert {method.__qualname__ for method in inherited} == {f"Node.{method.__name__}" for method in inherited}
    assert trio_messenger.RpcTimeout.to_body.__qualname__ == "RpcError.to_body"


def test_the_transports_are_final() -> None:
    """The transports that the package brings are final as well."""
    for module, name in (("memory", "MemoryTransport"), ("stdio", "StdioTransport")):
        assert getattr(importlib.import_module(f"trio_messenger.transports.{module}"), name).__final__


def test_the_package_says_that_it_is_typed() -> None:
    """Type checkers use the annotations of an installed package only if it has this file."""
    assert (PACKAGE / "py.typed").is_file()


# What an import costs


def test_importing_the_package_loads_the_core_only() -> None:
    """`import trio_messenger` loads neither ready-made nodes, simulator, test helpers nor command line."""
    code = "import sys; before = set(sys.modules); import trio_messenger; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "trio_messenger._node" in loaded
    own = [name.removeprefix("trio_messenger").lstrip(".") for name in loaded if name.startswith("trio_messenger")]
    assert [name for name in own if layer(unit(name)) > layer("")] == []
    assert "argparse" not in loaded
    assert done.stderr == ""


# Nodes, version, and the words of the README


def test_every_ready_made_node_is_listed() -> None:
    """Each module in ``nodes`` is in `NODES`, by its name with hyphens, in one line; and nothing else is."""
    modules_of_nodes = [name.removeprefix("nodes.") for name in ALL if name.startswith("nodes.")]
    assert set(NODES) == {
        name.replace("_", "-") for name in modules_of_nodes if "." not in name and not is_private(name)
    }  # a node may be a folder, and several may share a private module
    assert all(summary and "\n" not in summary for summary in NODES.values())


@pytest.mark.parametrize("name", NODES)
def test_every_ready_made_node_builds(name: str) -> None:
    """``build()`` of each ready-made node makes a new node each time."""
    module = importlib.import_module(f"trio_messenger.nodes.{name.replace('-', '_')}")
    first, second = module.build(), module.build()
    assert isinstance(first, Node)
    assert isinstance(second, Node)
    assert first is not second


def test_the_version_is_that_of_the_project_file() -> None:
    """The installed metadata has the version of pyproject.toml; the package is installed anew when it changes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert importlib.metadata.version("trio-messenger") == project["version"]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """The README has one marked command, in a block right below the mark that `.ci/run` looks for."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^marker='(.*)'$", script, re.MULTILINE)
    assert found
    marker = found[1]
    assert readme.count(marker) == 1
    block = re.search(rf"^{re.escape(marker)}\n```sh\n(.+)\n```$", readme, re.MULTILINE)
    assert block, "the mark stands right above a block of one line"
    command = block[1]
    assert re.search(r"\bnox$", command)
    assert "README.md" in script
    assert 'bash -euo pipefail -c "$command"' in script
    assert command not in script
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
