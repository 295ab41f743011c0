"""Give public classes the name of the module that users import them from."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import FunctionType


def show_public_names(package: str, exports: Mapping[str, object]) -> None:
    """Set ``__module__`` of each class and function that *package* exports to *package*.

    A traceback then ends with ``trio_messenger.RpcTimeout`` and not with the path of a private module, and pickles do
    not depend on that path either. Names from outside the package and names that are public already do not change. The
    price, as in Trio: ``inspect.getsource`` does not find the source of such a class.

    Args:
      package: The public module, such as ``trio_messenger``.
      exports: Its names, as ``vars()`` or ``globals()`` return them.
    """
    for name, exported in exports.items():
        if isinstance(exported, type | FunctionType) and exported.__name__ == name:
            path = exported.__module__.split(".")
            if path[0] == "trio_messenger" and any(part.startswith("_") for part in path):
                if isinstance(exported, type):
                    # `typing.get_type_hints` looks for names in the module that ``__module__`` names.
                    exported.__annotations__ = inspect.get_annotations(exported, eval_str=True)
                exported.__module__ = package
