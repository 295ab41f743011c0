"""Folders and files that appear only when complete: each is written under a hidden name, then renamed."""

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

WriteFiles: TypeAlias = Callable[[Path, Path], object]
"""Writes the files of a folder. Its arguments are the hidden folder to write them to, and the folder's final path."""


def write_folder(parent: Path, name: str, write: WriteFiles, *, is_replaceable: Callable[[Path], bool]) -> Path:
    """Write a folder in *parent*, which is created if it does not exist.

    If writing fails, or a signal or an exception ends it, the previous content of *parent* is unchanged. Several
    processes may write folders of the same name at the same time.

    Args:
      parent: The folder to write in.
      name: The name of the new folder. If that name is taken and not replaceable, the folder is called ``NAME-2``,
        ``NAME-3``, and so on.
      write: Writes the files.
      is_replaceable: Tells whether the new folder may replace a path once it is complete. It is also called with paths
        that do not exist.

    Returns:
      The path of the folder.

    Raises:
      OSError: if the folder cannot be written.
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
    """Make *link* a symbolic link to *folder*, which must be below the link's parent. Replaces nothing but links."""
    if link.is_symlink() or not link.exists():
        new = _hidden(link)
        with held_signals():
            new.symlink_to(folder.relative_to(link.parent), target_is_directory=True)
            new.replace(link)


def replace_file(path: Path, content: bytes) -> None:
    """Write *content* to *path*, so that readers see the previous content or the new one, never a part.

    Raises:
      OSError: if the file cannot be written. The previous content is unchanged.
    """
    hidden = _hidden(path)
    with held_signals():
        try:
            hidden.write_bytes(content)
            hidden.replace(path)
        except OSError:
            hidden.unlink(missing_ok=True)
            raise


def _reserve(parent: Path, name: str, is_replaceable: Callable[[Path], bool]) -> tuple[Path, Path]:
    """Create the hidden folder to write to; return it, and the path that it will get."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    while True:
        place = parent / next(names)
        if is_replaceable(place):
            hidden = _hidden(place)
            hidden.mkdir()
            return hidden, place
        hidden = place.with_name(f".{place.name}.new")
        with contextlib.suppress(FileExistsError):  # raised if another process is writing a folder of this name
            hidden.mkdir()
            if not place.exists() and not place.is_symlink():
                return hidden, place
            hidden.rmdir()


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _move(hidden: Path, place: Path) -> None:
    """Move *hidden* to *place*, and remove the folder that was there."""
    moved = []
    try:
        while True:
            try:
                hidden.rename(place)
                break
            except OSError as exc:
                if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            with contextlib.suppress(FileNotFoundError):  # raised if another process has just moved it
                moved.append(place.rename(_hidden(place)))
    finally:
        for old in moved:
            shutil.rmtree(old, ignore_errors=True)
