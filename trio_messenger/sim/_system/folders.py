"""Folders that are complete or not there: each is written under a hidden name beside its place, then moved there."""

from __future__ import annotations

import contextlib
import errno
import itertools
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from .ending_signals import held_signals, raised_signals

Write: TypeAlias = Callable[[Path, Path], object]
"""Writes the files of a folder, given the folder to write them into and the place that this will have."""


def write_folder(parent: Path, name: str, write: Write, *, is_replaceable: Callable[[Path], bool]) -> Path:
    """Write a folder in *parent*, which is made if it is not there.

    If that fails, or a signal or an exception ends it, what was there before is still there, and nothing else.
    Processes may write folders of the same name at the same time.

    Args:
      parent: Where it is.
      name: Its name. If there is something of that name already that is not to be replaced, the folder is called
        ``NAME-2``, ``NAME-3``, and so on.
      write: Writes its files.
      is_replaceable: Tells whether what has a name is to be replaced, or may be once the folder is complete. It is also
        asked of names that nothing has yet.

    Returns:
      The folder.

    Raises:
      OSError: if it cannot be written.
    """
    parent.mkdir(parents=True, exist_ok=True)
    hidden: Path | None = None
    with raised_signals():
        try:
            with held_signals():
                hidden, place = _reserve(parent, name, is_replaceable)
            write(hidden, place)
            with held_signals():
                _move(hidden, place)
        except BaseException:
            if hidden is not None:
                with held_signals():
                    shutil.rmtree(hidden, ignore_errors=True)
            raise
    return place


def point(link: Path, folder: Path) -> None:
    """Let *link* point to *folder*, which is below the link's own folder. What is there and is no link stays."""
    if link.is_symlink() or not link.exists():
        new = _hidden(link)
        with held_signals():
            new.symlink_to(folder.relative_to(link.parent), target_is_directory=True)
            new.replace(link)


def _reserve(parent: Path, name: str, is_replaceable: Callable[[Path], bool]) -> tuple[Path, Path]:
    """Make the folder to write into; return it, and the place that it is for."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    while True:
        place = parent / next(names)
        if is_replaceable(place):
            hidden = _hidden(place)
            hidden.mkdir()
            return hidden, place
        hidden = place.with_name(f".{place.name}.new")
        with contextlib.suppress(FileExistsError):  # else another process is writing the folder of this name
            hidden.mkdir()
            if not place.exists() and not place.is_symlink():
                return hidden, place
            hidden.rmdir()


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _move(hidden: Path, place: Path) -> None:
    """Move *hidden* to *place*, and remove what was there."""
    moved = []
    try:
        while True:
            try:
                hidden.rename(place)
                break
            except OSError as exc:
                if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            with contextlib.suppress(FileNotFoundError):  # else another process has just moved it
                moved.append(place.rename(_hidden(place)))
    finally:
        for old in moved:
            shutil.rmtree(old, ignore_errors=True)
