"""Names of nodes: how a command line would name what a function makes, and whether it really could."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Sequence
from os import environ  # a test allows `import os` only in modules that touch descriptors
from pathlib import Path
from typing import Final

from .._cluster.durable import Build

PATIENCE: Final = 10.0
"""Seconds, by the clock of the machine, that a module may take to be executed when a name is tried."""

_READY_MADE: Final = "trio_messenger.nodes."

_TRYING: Final = "TRIO_MESSENGER_TRIES_A_NAME"
"""Set in the environment of a process that tries a name: a module that makes runs when it is imported must not have its
name tried again there, and so on for ever."""

_TRY: Final = "import sys; from trio_messenger._cli.finding import find_build; find_build(sys.argv[1])"


def name_of(build: Build) -> tuple[str, ...]:
    """Return how the command line might name the nodes that *build* makes; nothing, if it cannot.

    It cannot name what is in the main program, in another function, or no longer under its name in its module. Whether
    it finds the module is for `can_be_found` to say.
    """
    module, name = getattr(build, "__module__", None), getattr(build, "__qualname__", "")
    if not module or module == "__main__" or getattr(sys.modules.get(module), name, None) is not build:
        return ()
    if module.startswith(_READY_MADE) and name == "build":
        return "--node", module.removeprefix(_READY_MADE).replace("_", "-")
    return "--node", f"{module}:{name}"


def can_be_found(node: Sequence[str]) -> bool:
    """Tell whether a command line with *node* finds it, if it is typed in the current folder.

    Looked for in a process of its own, once, which takes as long as to import the module: this one may have found that
    in places where the next one does not look, such as the folder of a test.
    """
    name = node[1]
    try:
        return ":" not in name or (_TRYING not in environ and _is_found(name, Path.cwd()))
    except FileNotFoundError:  # there is no current folder any more
        return False


@functools.cache
def _is_found(name: str, folder: Path) -> bool:
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _TRY, name],
            cwd=folder,
            env={**environ, _TRYING: "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0
