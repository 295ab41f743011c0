"""Find invariants by the names that a user types: ``MODULE:FUNCTION``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from .._protocol.known_names import meant
from ..sim._for_cli import Invariant, check_invariant
from .finding import missing_modules_told, split_name
from .parsing import UsageError


def find_invariants(names: Sequence[str]) -> list[Invariant]:
    """Return the functions that *names* name.

    A function may be in the module of the nodes. Each node then has a copy of that module, and the function is from
    another copy. So it must not ask for the classes of its module, but look at attributes.

    Raises:
      UsageError: if there is no such function, or it cannot be an invariant; the text says why.
      NoSuchNodeError: if there is no such module.
      Exception: any exception that the module raises during import.
    """
    return list(map(_find, names))


def _find(name: str) -> Invariant:
    if ":" not in name:
        raise UsageError(f"--invariant {name!r:.80} names no function; give MODULE:FUNCTION, such as checks:one_leader")
    module_name, attribute = split_name(name)
    with missing_modules_told(module_name, name):
        module = importlib.import_module(module_name)
    found = getattr(module, attribute, None)
    if found is None:
        hint = meant(attribute, [key for key in vars(module) if key[0] != "_"])
        raise UsageError(f"--invariant {name}: module {module_name!r} has no function {attribute!r}{hint}")
    try:
        check_invariant(found)
    except TypeError as exc:
        raise UsageError(f"--invariant {name}: {exc}") from None
    invariant: Invariant = found
    return invariant
