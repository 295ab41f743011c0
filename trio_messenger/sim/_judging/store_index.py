"""The page of a store, ``store/index.html``: a table of all runs. Each run that is saved writes it again.

Several processes may save runs in the same store. Each writes the page from the folders that it finds, and looks again
afterwards: if other runs have come meanwhile, it writes the page again. So the last page that is written has all runs:
a run that comes after the last look writes the page itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from .._system.folders import replace_file
from ..pictures._store_page import MARK, RunSummary, store_page
from .command_lines import node_in_words
from .loading import SCHEDULE, load_listed

INDEX: Final = "index.html"
"""The name of the page."""

_Found: TypeAlias = dict[Path, int]
"""The folders of runs, and when each was written, in nanoseconds since the epoch."""


def write_index(store: Path) -> None:
    """Write the page of *store*, from the runs that are in it. A file of that name that is no such page is kept.

    Raises:
      OSError: if the page cannot be written.
    """
    place = store / INDEX
    if not _is_replaceable(place):
        return
    written: _Found | None = None
    while written != (found := _find_runs(store)):
        replace_file(place, _make_page(store, found).encode("utf-8", errors="backslashreplace"))
        written = found


def _is_replaceable(place: Path) -> bool:
    """Tell whether *place* is free, or holds the page of a store."""
    try:
        return MARK.encode() in place.read_bytes()
    except FileNotFoundError:
        return not place.is_symlink()
    except OSError:  # a folder, or a file that nobody may read
        return False


def _find_runs(store: Path) -> _Found:
    """Return the folders of all runs. Links, such as ``latest``, and hidden folders, which are incomplete, are none."""
    found = {}
    for workload in _folders(store):
        for folder in _folders(workload):
            try:
                found[folder] = (folder / SCHEDULE).stat().st_mtime_ns
            except OSError:  # not the folder of a run, or moved away in this moment
                continue
    return found


def _folders(parent: Path) -> Iterator[Path]:
    try:
        paths = sorted(parent.iterdir())
    except OSError:  # moved away in this moment, or closed to this user
        return
    for path in paths:
        if not path.name.startswith(".") and not path.is_symlink() and path.is_dir():
            yield path


def _make_page(store: Path, found: _Found) -> str:
    runs, unreadable = [], []
    for folder, written_ns in found.items():
        name = folder.relative_to(store).as_posix()
        try:
            runs.append(_summary(folder, name, written_ns / 1e9))
        except (OSError, ValueError) as exc:
            unreadable.append((name, f"{exc}".removeprefix(f"{folder}/")))
    return store_page(runs, unreadable)


def _summary(folder: Path, name: str, written_at: float) -> RunSummary:
    """Return the run in *folder*.

    Raises:
      OSError, ValueError: if it cannot be read.
    """
    listed = load_listed(folder)
    return RunSummary(
        folder=name,
        verdict=listed.valid,
        workload=folder.parent.name,
        seed=listed.options.seed,
        node=node_in_words(listed.node),
        nodes=len(listed.options.nodes),
        faults=len(listed.options.faults),
        written_at=written_at,
    )
