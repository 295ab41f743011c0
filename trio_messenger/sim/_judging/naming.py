"""Names of nodes: the command-line name of a function that makes nodes, and whether a command finds it by that name."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Sequence
from os import environ  # a test allows `import os` only in modules that touch descriptors
from pathlib import Path
from typing import Final

from .._cluster.durable import Build

TRIAL_PATIENCE: Final = 10.0
"""Seconds of real time that a module may take to import when a name is tried."""

_READY_MADE: Final = "trio_messenger.nodes."

_TRYING: Final = "TRIO_MESSENGER_TRIES_A_NAME"
"""Set in the environment of a process that tries a name. A module may make runs when it is imported; without this mark,
its name would be tried again in that process, and so on forever."""

_TRY: Final = """\
import sys
from trio_messenger._cli.finding import find_build
from trio_messenger._cli.finding_invariants import find_invariants
from trio_messenger.sim import Options
find_build(sys.argv[1])
Options(workload=sys.argv[2], nodes=["n1"])
find_invariants(sys.argv[3:])
"""
"""`find_build` lets modules of the current folder be found."""


def name_of(build: Build, invariants: Sequence[object] = ()) -> tuple[str, ...]:
    """Return the command-line arguments that may name the nodes that *build* makes; empty if there are none.

    There are none if *build* or one of *invariants* is a function of the main program, a function inside another
    function, or a function that its module no longer has under its name. `can_be_found` tells whether a command line
    finds the module.
    """
    if not all(map(_has_a_name, (build, *invariants))):
        return ()
    module, name = build.__module__, build.__qualname__
    if module.startswith(_READY_MADE) and name == "build":
        return "--node", module.removeprefix(_READY_MADE).replace("_", "-")
    return "--node", f"{module}:{name}"


def _has_a_name(function: object) -> bool:
    module, name = getattr(function, "__module__", None) or "__main__", getattr(function, "__qualname__", "")
    return module != "__main__" and getattr(sys.modules.get(module), name, None) is function


def can_be_found(node: Sequence[str], workload: str, invariants: Sequence[str] = ()) -> bool:
    """Tell whether a command with the arguments *node* finds the node and the *workload* in the current folder.

    It must find the *invariants*, too.

    The search happens once, in a new process, and takes as long as the import of the module. The current process may
    have imported the module from a place where a new command does not look, such as the folder of a test.
    """
    name = node[1]
    try:
        is_ready_made = ":" not in name and ":" not in workload and not invariants
        return is_ready_made or (_TRYING not in environ and _is_found((name, workload, *invariants), Path.cwd()))
    except FileNotFoundError:  # the current folder has been deleted
        return False


@functools.cache
def _is_found(names: tuple[str, ...], folder: Path) -> bool:
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _TRY, *names],
            cwd=folder,
            env={**environ, _TRYING: "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TRIAL_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0
