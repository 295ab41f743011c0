"""Runs that a test has left, for `replay` and `shrink` to run again."""

from __future__ import annotations

from pathlib import Path

from .arguments import STORE
from .parsing import UsageError
from .simulator import Stored, load
from .subject import Subject, find_subject


def load_run(folder: Path) -> tuple[Stored, Subject]:
    """Return what the run in *folder* was, and what it has tested.

    Raises:
      UsageError: if there is no run in it, or what was tested cannot be found.
      Crash: if that cannot be made.
    """
    try:
        stored = load(folder)
    except (OSError, ValueError) as exc:
        raise UsageError(f"{exc}") from None
    if not stored.node:
        raise UsageError(
            f"{folder}: what was tested has no name on the command line, since a program made it: run that again"
        )
    subject = find_subject(stored.node)
    subject.check(stored.options)
    return stored, subject


def store_of(folder: Path, stored: Stored) -> Path:
    """Return the store that *folder* is in, or the usual one, if it was moved."""
    found = folder.resolve()  # latest is a link
    if found.parent.name != stored.options.workload:
        return Path(STORE)
    store, here = found.parents[1], Path.cwd()
    return store.relative_to(here) if store.is_relative_to(here) else store
