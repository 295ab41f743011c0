"""Copies of a module: each node of a simulation has one, and finds it wherever it looks for the module.

A module has one place in `sys.modules`, and there `pickle`, ``import`` and whatever reads annotations look for it. If
the latest copy stood in that place, all nodes but one would find the classes of another node: `pickle` would refuse to
dump an instance, and a member of an `enum.Enum` would come back as one that is not the same. So a facade stands there
that has no attributes itself, and shows each task the copy that was made in its context. A simulator makes a node, and
with it the copy, in the context that it starts the node in; the tasks and the threads of the node inherit that.
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
"""The copy that was made last in this context, of each module by its name."""


@final
class FreshModules:
    """Executes a module again and again, from the same code."""

    def __init__(self, spec: ModuleSpec, code: CodeType) -> None:
        self._spec: Final = spec
        self._code: Final = code
        self._facade: Final = _Facade(spec.name, self._current)
        self._latest: ModuleType | None = None  # for contexts in which none was made

    def __call__(self) -> ModuleType:
        """Return a new copy, which is the module for the current context and all that are copied from it."""
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
    """Stands in `sys.modules` for all copies of a module, and is for each task the one that it ought to see.

    Args:
      name: Of the module.
      current: Returns that copy.
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
