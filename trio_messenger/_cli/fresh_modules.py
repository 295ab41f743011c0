"""Copies of a module: each node of a simulation has its own copy, and finds it wherever it looks for the module.

A module has one entry in `sys.modules`. `pickle`, ``import`` and code that reads annotations look for it there. If the
latest copy were there, all nodes except one would find the classes of another node. Then `pickle` would refuse to dump
an instance, and a member of an `enum.Enum` would come back as another object. So the entry is a facade. It has no
attributes itself, and shows each task the copy that was made in the task's context. A simulator makes a node and its
copy in the context in which it starts the node. The tasks and the threads of the node inherit this context.
"""

from __future__ import annotations

import contextvars
import importlib.util
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from types import CodeType, MappingProxyType, ModuleType
from typing import Any, Final, final

_copies: Final[contextvars.ContextVar[Mapping[str, ModuleType]]] = contextvars.ContextVar(
    "copies", default=MappingProxyType({})
)
"""The latest copy of each module in this context, by the module's name."""


@final
class FreshModules:
    """Executes a module repeatedly, from the same code."""

    def __init__(self, spec: ModuleSpec, code: CodeType) -> None:
        self._spec: Final = spec
        self._code: Final = code
        self._facade: Final = _Facade(spec.name, self._current)
        self._latest: ModuleType | None = None  # for contexts without a copy

    def __call__(self) -> ModuleType:
        """Return a new copy. It becomes the module for the current context and all contexts copied from it."""
        name = self._spec.name
        before, latest = sys.modules.get(name), self._latest
        module = self._latest = importlib.util.module_from_spec(self._spec)
        token = _copies.set({**_copies.get(), name: module})
        sys.modules[name] = self._facade
        try:
            exec(self._code, vars(module))
        except BaseException:
            self._latest = latest
            _copies.reset(token)
            del sys.modules[name]
            if before is not None:
                sys.modules[name] = before
            raise
        return module

    def _current(self) -> ModuleType | None:
        return _copies.get().get(self._spec.name, self._latest)


@final
class _Facade(ModuleType):
    """Represents all copies of a module in `sys.modules`, and shows each task the copy of its context.

    Args:
      name: The name of the module.
      current: Returns the copy for the current context.
    """

    def __init__(self, name: str, current: Callable[[], ModuleType | None]) -> None:
        super().__init__(name)
        object.__setattr__(self, "_current", current)

    def __getattribute__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_current")(), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(object.__getattribute__(self, "_current")(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(object.__getattribute__(self, "_current")(), name)
