"""Report a run that has ended, and save its files."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..sim._for_cli import VERDICTS, HistoryReport, Report, Valid, folder_command, save
from .ending import Crash
from .output import coloured, put, results
from .parsing import UsageError

_VERDICT_COLOURS: Final[dict[Valid, str]] = {True: "green", False: "red", "unknown": "yellow"}


def check_store(store: Path) -> None:
    """Raise `UsageError` if no files can be saved in *store*; called before a run, which may take a minute."""
    try:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=store):  # the folder may exist and be read-only
            pass
    except OSError as exc:
        raise UsageError(
            f"cannot save runs in {str(store)!r}: {exc.strerror}; give another folder with --store, or --no-store"
        ) from None


def keep(report: Report, store: Path, name: str, *, replace: bool) -> Path:
    """Save the files of a run, and return its folder; for *replace* see `save`.

    Raises:
      Crash: if the files cannot be saved.
    """
    try:
        return save(report, store, name, replace=replace)
    except OSError as exc:
        raise Crash(f"cannot save the run in {str(store)!r}: {exc}") from None


def tell_and_keep(
    report: Report,
    keep_it: Callable[[], Path] | None,
    *,
    in_json: Callable[[Path | None], dict[str, Any]] | None = None,
) -> None:
    """Print the results of a run, and save it. The verdict is printed first, so it appears even if saving fails.

    Args:
      report: The report of the run.
      keep_it: Saves the run, and returns its folder; None if the run is not saved.
      in_json: Makes the JSON object that is printed instead of text, given the folder, or None if the run is not saved.
        The object names the folder, so it is printed when the folder is complete or saving has failed.

    Raises:
      Crash: if the run cannot be saved.
    """
    if in_json is None:
        tell_verdict(report)
    folder = None
    try:
        folder = None if keep_it is None else keep_it()
    finally:
        if in_json is None:
            tell_ways_on(report, folder)
        else:
            put_json(in_json(folder))


def time_name() -> str:
    """Return a name for a run that does not depend on a seed: this machine's time, to the second."""
    return time.strftime("%Y%m%dT%H%M%S")


def tell_verdict(report: Report | HistoryReport) -> None:
    """Print the verdict of a run or of a history, and its reasons."""
    word = VERDICTS[report.valid]
    first, *rest = f"{report}".split("\n")
    head, found, tail = first.rpartition(word)
    verdict = coloured(found, _VERDICT_COLOURS[report.valid], is_terminal=results().is_terminal)
    put("\n".join([head + verdict + tail, *rest]))


def tell_ways_on(report: Report, folder: Path | None) -> None:
    """Print the next steps after a run: files to look at, and commands to type.

    Args:
      report: The report of the run.
      folder: The folder of the run; None if it is not saved.
    """
    lines = [f"  {name:<12}{text}" for name, text in _ways_on(report, folder)]
    if lines:
        put("\n".join(lines))


def _ways_on(report: Report, folder: Path | None) -> list[tuple[str, str]]:
    """Return the next steps: files to look at, and commands to type."""
    ways = [("files", f"{folder / 'index.html'}")] if folder is not None else []
    if report.valid is True:
        return ways
    if folder is not None:
        ways.append(("replay", folder_command("replay", folder)))
        if report.can_shrink:
            ways.append(("shrink", folder_command("shrink", folder)))
    return [*ways, ("command", f"{report.command}")]


def report_as_json(report: Report, folder: Path | None) -> dict[str, Any]:
    """Return a run's results for a program: the contents of ``results.json``, and more."""
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
