"""Load saved runs, which `replay` and `shrink` run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from ..sim._for_cli import Stored, load
from .arguments import STORE
from .finding import look_in_current_folder
from .parsing import UsageError
from .subject import Subject, find_subject


def load_run(folder: Path, invariants: Sequence[str] = ()) -> tuple[Stored, Subject]:
    """Return the run in *folder*, and the subject that it tested.

    Args:
      folder: The folder of the run.
      invariants: Names of invariants that are checked in addition to those of the run.

    Raises:
      UsageError: if there is no run in *folder*, or its subject or an invariant cannot be found.
      Crash: if the subject's nodes cannot be made.
    """
    look_in_current_folder()
    try:
        stored = load(folder)
    except (OSError, ValueError) as exc:
        raise UsageError(f"{exc}") from None
    if not stored.node:
        raise UsageError(
            f"{folder}: a program made this run, so the command line cannot find its nodes; run the program again"
        )
    names = dict.fromkeys((*stored.options.invariants, *invariants))
    stored = attrs.evolve(stored, options=attrs.evolve(stored.options, invariants=names))
    subject = find_subject(stored.node)
    subject.check(stored.options)
    return stored, subject


def store_of(folder: Path, stored: Stored) -> Path:
    """Return the store of the run in *folder*, or the default store if the folder was moved."""
    found = folder.resolve()  # ``latest`` is a link
    if found.parent.name != stored.options.workload_name:
        return Path(STORE)
    store, here = found.parents[1], Path.cwd()
    return store.relative_to(here) if store.is_relative_to(here) else store
