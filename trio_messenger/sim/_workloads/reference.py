"""Names of workloads: those of the package, and ``MODULE:CLASS`` for all others."""

from __future__ import annotations

import functools
import importlib
import traceback
from typing import Any, Final, NoReturn

from ..._protocol.known_names import unknown
from .base import Workload
from .blame import blaming, refusal
from .definition import faults_of_instance
from .foreign_texts import PASSING, in_words, shown
from .interface import Setting
from .known import WORKLOADS

_OF_A_PROGRAM: Final = "__main__"

_given: Final[dict[str, type[Workload]]] = {}
"""The classes that were given as classes, by their references. A class inside a function has no other place."""


def reference_to(workload: str | type[Workload]) -> str:
    """Return the name of *workload* if it is in `WORKLOADS`, and ``MODULE:CLASS`` otherwise; a text stays as it is.

    Raises:
      ValueError: if *workload* is neither a text nor a class that `make_workload` can use.
    """
    if isinstance(workload, str):
        return workload
    if not (isinstance(workload, type) and issubclass(workload, Workload)):
        raise ValueError(f"workload is {workload!r:.80}; give a name such as 'echo', or a subclass of Workload")
    if WORKLOADS.get(getattr(workload, "name", "")) is workload:
        return workload.name
    reference = f"{workload.__module__}:{workload.__qualname__}"
    _given[reference] = _complete(workload, reference)
    return reference


def workload_class(reference: str) -> type[Workload]:
    """Return the class of a workload, given its name in `WORKLOADS` or ``MODULE:CLASS``, which is imported.

    Raises:
      ValueError: if there is none; the text says why, and what there is.
    """
    found = WORKLOADS.get(reference) or _given.get(reference)
    if found is not None:
        return found
    module_name, colon, name = reference.partition(":")
    if not colon:
        raise ValueError(f"{unknown('workload', reference, WORKLOADS)}. Give your own as MODULE:CLASS")
    if module_name == _OF_A_PROGRAM:
        raise ValueError(f"the workload {reference!r:.80} belongs to a program; run that program again")
    return _complete(_pick(module_name, name, reference), reference)


def can_be_imported(reference: str) -> bool:
    """Tell whether another process may find a workload by its *reference*: it is not in a program or a function."""
    return not reference.startswith(f"{_OF_A_PROGRAM}:") and "<locals>" not in reference


def make_workload(reference: str, setting: Setting) -> Workload:
    """Return a new instance of a workload, for one run with this *setting*.

    Raises:
      ValueError: as `workload_class` does.
      WorkloadError: if it cannot be made, or one of its attributes is wrong.
    """
    cls = workload_class(reference)
    with blaming(cls, "__init__"):
        workload: object = cls()
    if not isinstance(workload, Workload):
        raise refusal(cls, f"__new__() gave {shown(workload)}; give an instance of the class")
    with blaming(cls, "__setattr__"):
        workload.setting = setting
    with blaming(cls, "__getattribute__"):
        faults = [*faults_of_instance(workload)]
    if faults:
        raise refusal(cls, "; ".join(faults))
    return workload


def _pick(module_name: str, name: str, reference: str) -> type[Workload]:
    """Import a module, and return the class with this *name* in it. The module may do anything, even end Python."""
    if module_name.endswith(".py") or "" in module_name.split("."):
        raise ValueError(
            f"{reference!r:.80} names no module; write MODULE:CLASS, such as my_workloads:Greatest, without .py"
        )
    try:
        module: Any = importlib.import_module(module_name)
        found = functools.reduce(lambda outer, part: getattr(outer, part, None), name.split("."), module)
        if isinstance(found, type) and issubclass(found, Workload):
            return found
        known = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, Workload)]
    except PASSING:
        raise
    except BaseException as exc:  # noqa: BLE001 - the module is not ours
        _refuse_module(exc, module_name, reference)
    hint = f"; it has {', '.join(known)}" if known else ""
    raise ValueError(f"{reference!r:.80}: module {module_name!r} has no workload {name!r:.80}{hint}")


def _refuse_module(exc: BaseException, module_name: str, reference: str) -> NoReturn:
    if not isinstance(exc, ModuleNotFoundError) or exc.name is None:
        raise ValueError(f"{reference!r:.80}: its module raised {in_words(exc)}{_line_of_module(exc)}") from exc
    if f"{module_name}.".startswith(f"{exc.name}."):
        raise ValueError(
            f"{reference!r:.80}: there is no module {exc.name!r:.80} in this folder or among the installed ones"
        ) from None
    raise ValueError(f"{reference!r:.80}: its module imports {exc.name!r:.80}, which is missing") from exc


def _line_of_module(exc: BaseException) -> str:
    """Return the last line of a module, outside of its functions, that the traceback of *exc* names, in parentheses."""
    places = [
        f" ({frame.f_code.co_filename.rpartition('/')[2]}, line {line})"
        for frame, line in traceback.walk_tb(exc.__traceback__)
        if frame.f_code.co_name == "<module>"
    ]
    return places[-1] if places else ""


def _complete(workload: type[Workload], reference: str) -> type[Workload]:
    if workload.is_abstract:
        raise ValueError(f"the workload {reference!r:.80} is abstract; give one of its subclasses")
    return workload
