"""What is said of a run that has ended, and where it is kept."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from .ending import Crash
from .output import coloured, put, results
from .parsing import UsageError
from .simulator import VERDICTS, Report, Valid, folder_command, save

_COLOURS: Final[dict[Valid, str]] = {True: "green", False: "red", "unknown": "yellow"}


def check_store(store: Path) -> None:
    """Raise `UsageError` if there can be no such folder; said before a run that takes a minute, not after it."""
    try:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=store):  # it may be there, and nothing can be written into it
            pass
    except OSError as exc:
        raise UsageError(
            f"nothing can be kept in {str(store)!r}: {exc.strerror}; give another folder by --store, or --no-store"
        ) from None


def keep(report: Report, store: Path, name: str, *, replace: bool) -> Path:
    """Write the files of a run, and return its folder; for *replace* see `save`.

    Raises:
      Crash: if that cannot be done.
    """
    try:
        return save(report, store, name, replace=replace)
    except OSError as exc:
        raise Crash(f"the run cannot be kept in {str(store)!r}: {exc}") from None


def tell_and_keep(
    report: Report,
    keep_it: Callable[[], Path] | None,
    *,
    in_json: Callable[[Path | None], dict[str, Any]] | None = None,
    is_smallest: bool = False,
) -> None:
    """Print what came of a run, and keep it. The verdict is printed before anything is written, or though it cannot be.

    Args:
      report: Of the run.
      keep_it: Keeps it, and returns the folder; None if it is not to be kept.
      in_json: Makes the JSON object that is printed instead of text, given the folder, or None if the run is not kept.
        It names the folder, so it is printed once that is complete, or once it is clear that it will not be.
      is_smallest: Whether there is no point in shrinking its schedule of faults.

    Raises:
      Crash: if the run cannot be kept.
    """
    if in_json is None:
        tell_verdict(report)
    folder = None
    try:
        folder = None if keep_it is None else keep_it()
    finally:
        if in_json is None:
            tell_ways_on(report, folder, is_smallest=is_smallest)
        else:
            put_json(in_json(folder))


def time_name() -> str:
    """Return a name for a run that no seed decides: the time, in seconds, of this machine."""
    return time.strftime("%Y%m%dT%H%M%S")


def tell_verdict(report: Report) -> None:
    """Print the verdict of a run, and what it rests on."""
    word = VERDICTS[report.valid]
    first, *rest = f"{report}".split("\n")
    head, found, tail = first.rpartition(word)
    verdict = coloured(found, _COLOURS[report.valid], is_terminal=results().is_terminal)
    put("\n".join([head + verdict + tail, *rest]))


def tell_ways_on(report: Report, folder: Path | None, *, is_smallest: bool = False) -> None:
    """Print how to go on after a run: what to look at, and what to type.

    Args:
      report: Of the run.
      folder: Where it is kept, if it is.
      is_smallest: Whether there is no point in shrinking its schedule of faults.
    """
    lines = [f"  {name:<12}{text}" for name, text in _ways_on(report, folder, is_smallest)]
    if lines:
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
