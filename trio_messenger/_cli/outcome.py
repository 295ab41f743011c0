"""What is said of a run that has ended, and where it is kept."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from ..sim._command_lines import folder_command
from ..sim.checkers import Valid
from ..sim.report import VERDICTS, Report
from ..sim.store import save
from .ending import Crash
from .output import coloured, put
from .parsing import UsageError

_COLOURS: Final[dict[Valid, str]] = {True: "green", False: "red", "unknown": "yellow"}


def check_store(store: Path) -> None:
    """Raise `UsageError` if there can be no such folder; said before a run that takes a minute, not after it."""
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(
            f"nothing can be kept in {str(store)!r}: {exc.strerror}; give another folder by --store, or --no-store"
        ) from None


def keep(report: Report, store: Path, name: str) -> Path:
    """Write the files of a run, and return its folder.

    Raises:
      Crash: if that cannot be done.
    """
    try:
        return save(report, store, name)
    except OSError as exc:
        raise Crash(f"the run cannot be kept in {str(store)!r}: {exc}") from None


def time_name() -> str:
    """Return a name for a run that no seed decides: the time, in seconds, of this machine."""
    return time.strftime("%Y%m%dT%H%M%S")


def tell(report: Report, folder: Path | None, *, is_smallest: bool = False) -> None:
    """Print what a person wants to know of a run: the verdict, what it rests on, and how to go on from here.

    Args:
      report: Of the run.
      folder: Where it is kept, if it is.
      is_smallest: Whether there is no point in shrinking its schedule of faults.
    """
    word = VERDICTS[report.valid]
    first, *rest = f"{report}".split("\n")
    head, found, tail = first.rpartition(word)
    lines = [head + coloured(found, _COLOURS[report.valid], sys.stdout) + tail, *rest]
    lines += [f"  {name:<12}{text}" for name, text in _ways_on(report, folder, is_smallest)]
    put("\n".join(lines))


def _ways_on(report: Report, folder: Path | None, is_smallest: bool) -> list[tuple[str, str]]:
    """Return what to look at, and what to type, next."""
    ways = [("files", f"{folder / 'index.html'}")] if folder is not None else []
    if report.valid is True:
        return ways
    if folder is not None:
        ways.append(("replay", folder_command("replay", folder)))
        if report.can_shrink and not is_smallest:
            ways.append(("shrink", folder_command("shrink", folder)))
    return [*ways, ("command", f"{report.command}")]


def as_json(report: Report, folder: Path | None) -> dict[str, Any]:
    """Return what a program wants to know of a run: its results, as ``results.json`` has them, and more."""
    return {
        **report.results,
        "seed": report.options.seed,
        "reasons": report.reasons(),
        "warnings": report.warnings(),
        "digest": report.digest,
        "command": report.command,
        "folder": None if folder is None else str(folder),
    }


def put_json(value: dict[str, Any]) -> None:
    """Print *value* as one line of JSON."""
    put(json.dumps(value))
