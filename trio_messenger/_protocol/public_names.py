"""Give public classes the name of the module that users import them from."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import FunctionType


def show_public_names(package: str, exports: Mapping[str, object]) -> None:
    """Set ``__module__`` of each class and function that *package* exports to *package*.

    The methods that such a class inherits from private parts of it get its name: ``Node.rpc`` is ``Node.rpc`` wherever
    it is defined.

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
                    _show_methods(exported, exports)
                exported.__module__ = package


def _show_methods(public_class: type, exports: Mapping[str, object]) -> None:
    """Set ``__qualname__`` of the methods that *public_class* inherits from classes that are not exported."""
    for base in public_class.__mro__[1:]:
        is_ours = base.__module__.partition(".")[0] == "trio_messenger"
        if is_ours and exports.get(base.__name__) is not base:
            for name, method in vars(base).items():
                if isinstance(method, FunctionType) and not name.startswith("__"):
                    method.__qualname__ = f"{public_class.__qualname__}.{name}"
