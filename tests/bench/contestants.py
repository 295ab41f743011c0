"""Who is measured, and how each is started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import attrs
from bench import drive
from bench.child import Child, ChildError
from bench.drive import Usage
from bench.table import Figures, progress

Command: TypeAlias = Sequence[str]

HERE = Path(__file__).resolve().parent


def executable() -> list[str]:
    """Return the command that is installed beside this Python."""
    script = Path(sys.executable).with_name("trio-messenger")
    return [str(script)] if script.exists() else [sys.executable, "-m", "trio_messenger"]


def node(name: str) -> list[str]:
    """Return the command of one of our nodes."""
    return [*executable(), "node", name]


MESSENGER = node("messenger")
NODE = node("bench.nodes:build")
PROBE = node("bench.probes:build")
BARE = [sys.executable, str(HERE / "bare.py")]
ASYNCIO = [sys.executable, str(HERE / "aio.py")]


@attrs.frozen
class Peer:
    """Somebody else's node, given on the command line."""

    name: str
    command: Command


@contextmanager
def started(name: str, command: Command) -> Iterator[Child]:
    """Start *command* as a node that has had its init."""
    # Our own nodes are found from the folder above; a peer's command means what it does where the user is.
    with Child(name, command, HERE.parent if command[-1].startswith("bench.") else None) as process:
        process.init()
        yield process


def _measured(name: str, command: Command, load: Callable[[Child], Usage]) -> Figures:
    with started(name, command) as process:
        return attrs.asdict(load(process))


def flood(name: str, command: Command, kind: str, count: int) -> Callable[[], Figures]:
    """Return a run that floods *command*."""
    return partial(_measured, name, command, partial(drive.flood, kind=kind, count=count))


def closed_loop(name: str, command: Command, kind: str, count: int, in_flight: int) -> Callable[[], Figures]:
    """Return a run that keeps *in_flight* requests unanswered."""
    return partial(_measured, name, command, partial(drive.closed_loop, kind=kind, count=count, in_flight=in_flight))


def relay(name: str, command: Command, count: int, in_flight: int) -> Callable[[], Figures]:
    """Return a run of `drive.relay`."""
    return partial(_measured, name, command, partial(drive.relay, count=count, in_flight=in_flight))


def lone(name: str, command: Command, count: int) -> Callable[[], Figures]:
    """Return a run of one echo at a time, with both processes on one core."""

    def run() -> Figures:
        # Where the kernel puts the two processes moves the time fivefold; on one core, only what they do counts.
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cores)})
        try:
            with started(name, command) as process:
                return {"p50": drive.latency(process, count)}
        finally:
            os.sched_setaffinity(0, cores)

    return run


def until_init(name: str, command: Command) -> Callable[[], Figures]:
    """Return a run from the start of the process to its ``init_ok``."""

    def run() -> Figures:
        begun = time.perf_counter()
        with started(name, command) as process:
            return {"wall": (time.perf_counter() - begun) * 1e3, "cpu": process.cpu() * 1e3}

    return run


def importing(module: str) -> Callable[[], Figures]:
    """Return a run of a Python that imports *module* and ends."""

    def run() -> Figures:
        begun = time.perf_counter()
        used = os.times()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
        now = os.times()
        cpu = now.children_user + now.children_system - used.children_user - used.children_system
        return {"wall": (time.perf_counter() - begun) * 1e3, "cpu": cpu * 1e3}

    return run


def serves(peer: Peer, kind: str) -> bool:
    """Tell whether *peer* serves requests of *kind*; say so, if not."""
    try:
        with started(peer.name, peer.command) as process:
            if kind == "relay":
                drive.relay(process, 1, 1)
            else:
                drive.closed_loop(process, kind, 1, 1)
    except ChildError as exc:
        reason = str(exc).partition("\n")[0]
        progress(f"{peer.name} takes no part where {kind!r} is asked for: {reason}")
        return False
    return True
