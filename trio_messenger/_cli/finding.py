"""Find nodes by the name that a user types: a ready-made node or ``MODULE:NODE``.

A node executable has one life, and uses the module directly. A simulator has many nodes, each with many lives, and no
life may see the state of another one. So the simulator executes the module again for each life, with new globals. Then
a module like this one can make any number of nodes, and a kill loses their messages:

    node = Node()
    messages = set()
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

import trio

from trio_messenger import DurableStore, MemoryStore, Node

from .._protocol.known_names import meant, unknown
from ..nodes import NODES
from .fresh_modules import FreshModules

_Factory: TypeAlias = Callable[..., object]

_RUNS_AT_ONCE: Final = "its module runs a node when it is imported; put that below: if __name__ == '__main__':"


class NoSuchNodeError(Exception):
    """A name does not name a node or a function that makes nodes; the text lists the alternatives."""


def find_node(name: str, open_store: Callable[[], DurableStore] | None = None) -> Node:
    """Return the node that *name* names, for the one life of this process.

    Args:
      name: One of `NODES`, or ``MODULE:NODE`` with a `Node` or a function that returns one.
      open_store: Opens the store for the node; None for no store.

    Raises:
      NoSuchNodeError: if there is no such node, or the object with this name does not make one, or it takes no store.
      Exception: any exception that the module raises during import, or the function during its call.
    """
    module_name, attribute = split_name(name)
    with missing_modules_told(module_name, name):
        module = importlib.import_module(module_name)
    found = _pick(module, attribute, name)
    takes_store = not isinstance(found, Node) and "store" in _signature(found, name).parameters
    if open_store is not None and not takes_store:
        raise NoSuchNodeError(
            f"{name} takes no store; name a function with a parameter 'store', such as build(store), or leave --store "
            "out"
        )
    if isinstance(found, Node):
        return found
    _check_call(found, name, {} if open_store is None else {"store": {}})
    return _checked(found() if open_store is None else found(store=open_store()), name)


def find_build(name: str) -> Callable[..., Node]:
    """Return a function that makes the node that *name* names, for each life of each node.

    For each life, it executes the module again, from the current contents of its file, unless the module belongs to
    this package. The modules that it imports are imported once, and all lives share them. `find_build` makes a first
    node at once, to check that this works.

    Args:
      name: As for `find_node`.

    Returns:
      A function without parameters, or with the parameter ``store`` if the named function has it. It raises the
      exceptions of the module and of that function.

    Raises:
      NoSuchNodeError, Exception: as `find_node`.
    """
    module_name, attribute = split_name(name)
    with missing_modules_told(module_name, name):
        make_module = _module_maker(module_name)

    def make(**given: object) -> Node:
        found = _pick(make_module(), attribute, name)
        return found if isinstance(found, Node) else _checked(found(**given), name)

    async def takes_store() -> bool:
        found = _pick(make_module(), attribute, name)
        if isinstance(found, Node):
            if make() is found:
                raise NoSuchNodeError(f"{name} is always the same node; name it in the module that makes it")
            return False
        given: dict[str, Any] = {"store": MemoryStore()} if "store" in _signature(found, name).parameters else {}
        _check_call(found, name, given)
        _checked(found(**given), name)
        return bool(given)

    try:
        if trio.run(takes_store):  # inside a Trio run, like all nodes of a simulation
            return lambda store: make(store=store)
    except RuntimeError as exc:
        if _has_run_a_node(exc):  # outside a Trio run, the node would wait for stdin
            raise NoSuchNodeError(f"{name}: {_RUNS_AT_ONCE}") from None
        raise
    return make


def _has_run_a_node(exc: BaseException) -> bool:
    return any(frame.f_code is Node.run.__code__ for frame, _ in traceback.walk_tb(exc.__traceback__))


# Modules


def split_name(name: str) -> tuple[str, str]:
    """Return the name of the module, and the name of the node or function in it."""
    if name in NODES:
        return f"trio_messenger.nodes.{name.replace('-', '_')}", "build"
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise NoSuchNodeError(f"{_no_such_node(name)}. Give your own as MODULE:NODE")
    if module_name.endswith(".py"):
        raise NoSuchNodeError(f"{name}: give the module, not its file: {_module_in(module_name)}:{attribute or 'node'}")
    if "" in module_name.split("."):
        raise NoSuchNodeError(
            f"{name}: {module_name!r} is not the name of a module; write MODULE:NODE, such as my_nodes:build"
        )
    look_in_current_folder()
    return module_name, attribute


def look_in_current_folder() -> None:
    """Let modules in the current folder be imported, as with ``python -m``."""
    if sys.path[:1] != [""]:
        sys.path.insert(0, "")


def _no_such_node(name: str) -> str:
    """Return that there is no ready-made node *name*, which has no colon; it may be the name of a file."""
    file = f"{name.removesuffix('.py')}.py"
    if not _is_file(file):
        return unknown("node", name, NODES)
    such = f"did you mean one in {file}, such as {_module_in(name)}:node?"
    return f"there is no node {name!r}; {such} There are: {', '.join(NODES)}"


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # the name cannot be that of a file
        return False


def _module_in(file: str) -> str:
    """Return the name of the module in *file*; the suffix may be missing."""
    return ".".join(Path(file.removesuffix(".py")).parts)


@contextlib.contextmanager
def missing_modules_told(module_name: str, name: str) -> Iterator[None]:
    """If the module in *name* does not exist, raise an error with one line of text."""
    try:
        yield
    except ModuleNotFoundError as exc:
        if exc.name is None or not (module_name + ".").startswith(exc.name + "."):
            raise  # the module exists, but a module that it imports does not: the traceback says more
        raise NoSuchNodeError(
            f"{name}: there is no module {exc.name!r} in this folder or among the installed ones"
        ) from None


def _module_maker(module_name: str) -> Callable[[], ModuleType]:
    """Return a function that returns a new module of that name each time, or the same module if that is impossible."""
    if module_name.partition(".")[0] != "trio_messenger":  # this package keeps no state in globals
        spec = importlib.util.find_spec(module_name)
        if spec is None:
            raise ModuleNotFoundError(name=module_name)
        code = spec.loader.get_code(module_name) if isinstance(spec.loader, importlib.abc.InspectLoader) else None
        if code is not None:  # otherwise the module is not Python code
            return FreshModules(spec, code)
    module = importlib.import_module(module_name)
    return lambda: module


# The contents of modules


def _pick(module: ModuleType, attribute: str, name: str) -> _Factory | Node:
    """Return the object with the name *attribute* in *module*: a node, or a callable that may make one."""
    found: _Factory | Node | None = getattr(module, attribute, None)
    if callable(found) or isinstance(found, Node):
        return found
    nodes = [key for key, value in vars(module).items() if isinstance(value, Node)]
    makers = [
        key
        for key, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    hint = meant(attribute, nodes + makers) or (f"; it has {', '.join(nodes)}" if nodes else "")
    raise NoSuchNodeError(f"{name}: module {module.__name__!r} has no node or function {attribute!r}{hint}")


def _signature(factory: _Factory, name: str) -> inspect.Signature:
    try:
        return inspect.signature(factory)
    except (TypeError, ValueError):
        raise NoSuchNodeError(f"{name} has no readable signature; name a function such as build()") from None


def _check_call(factory: _Factory, name: str, given: Mapping[str, object]) -> None:
    """Raise an error if *factory* cannot be called with the arguments *given*."""
    try:
        _signature(factory, name).bind(**given)
    except TypeError as exc:
        how = "with a store only" if given else "without arguments"
        raise NoSuchNodeError(f"{name}: cannot be called {how} ({exc}); name a function such as build()") from None


def _checked(made: object, name: str) -> Node:
    if not isinstance(made, Node):
        raise NoSuchNodeError(f"{name} returned {made!r:.80}, which is not a trio_messenger.Node")
    return made
