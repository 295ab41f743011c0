"""Executables: finds them as a shell does, and checks them before anything is started."""

from __future__ import annotations

import shlex
import shutil
import stat
from pathlib import Path
from typing import Final

_HEAD_SIZE: Final = 256
"""The number of bytes at the beginning of a file that are checked; the same as Linux reads."""

_WHITE_SPACE: Final = b"\t\n\f\r"


def check_executable(name: str) -> Path:
    """Return the absolute path of the executable *name*: a file or, if *name* has no slash, a program on PATH.

    A file in the current folder takes precedence over a program of the same name.

    Raises:
      ValueError: if there is no such file, or it is not executable as far as this function can tell without running
        it. The text names the file and the remedy.
    """
    path = Path(name)
    found = shutil.which(str(path.absolute())) or shutil.which(name)
    if found is None or not is_file(Path(found)):
        raise ValueError(_why_not(name, path))
    _check_head(name, Path(found))
    return Path(found).absolute()


def is_file(path: Path) -> bool:
    """Tell whether *path* is a regular file. Invalid paths are not."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _why_not(name: str, path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        where = "" if path.is_absolute() else f" in {str(Path.cwd())!r}"
        also = "" if "/" in name else ", and no such program on PATH"
        return f"there is no file {name!r}{where}{also}"
    except OSError as exc:
        return f"there is no file {name!r:.80}: {exc.strerror}"
    if stat.S_ISDIR(mode):
        return f"{name!r} is a folder; name the executable in it"
    if stat.S_ISREG(mode):
        return f"{name!r} is not executable; run: chmod +x {shlex.quote(name)}"
    return f"{name!r} is not a regular file; name an executable file"


def _check_head(name: str, path: Path) -> None:
    """Raise `ValueError` if the kernel cannot know how to run the file."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_SIZE)
    except PermissionError:
        return  # the file is executable but not readable, so it cannot be checked further
    if head.startswith(b"#!"):
        _check_first_line(name, head[2:].split(b"\n", 1)[0])
    elif all(byte >= ord(" ") or byte in _WHITE_SPACE for byte in head):
        what = "is a text file whose first line does not name an interpreter" if head else "is empty"
        raise ValueError(f"{name!r} {what}; begin it with, for example, #!/usr/bin/env python3")


def _check_first_line(name: str, line: bytes) -> None:
    if line.endswith(b"\r"):
        raise ValueError(f"{name!r} has Windows line endings, which break its first line; convert them to Unix ones")
    interpreter, *arguments = line.decode(errors="replace").split() or [""]
    if "/" not in interpreter or shutil.which(interpreter) is None:
        raise ValueError(
            f"the first line of {name!r} names {interpreter!r} as its interpreter; name the path of an executable file"
        )
    if Path(interpreter).name == "env":
        program = next((word for word in arguments if word != "-S"), "-")
        # After other options or variables, only env itself can tell which word is the program.
        if not program.startswith("-") and "=" not in program and shutil.which(program) is None:
            raise ValueError(
                f"the first line of {name!r} names {program!r} as its interpreter, which is not on PATH; install it"
            )
