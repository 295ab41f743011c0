"""The public names of classes: where users import them from, not where they happen to be defined."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import FunctionType


def show_public_names(package: str, exports: Mapping[str, object]) -> None:
    """Let each class and function that *package* exports say that it is defined there.

    So a traceback ends with ``trio_messenger.RpcTimeout`` and not with the path of a private module, and pickles do not
    depend on that either. What is defined outside of the package, and what has its public name already, stays as it is.

    Args:
      package: The public module, such as ``trio_messenger``.
      exports: Its names, as ``vars()`` or ``globals()`` give them.
    """
    for name, exported in exports.items():
        if isinstance(exported, type | FunctionType) and exported.__name__ == name:
            path = exported.__module__.split(".")
            if path[0] == "trio_messenger" and any(part.startswith("_") for part in path):
                if isinstance(exported, type):
                    # `typing.get_type_hints` looks for names in the module that a class says it is defined in.
                    exported.__annotations__ = inspect.get_annotations(exported, eval_str=True)
                exported.__module__ = package
