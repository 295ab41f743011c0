"""Runs in real time: of nodes that are executables, on the same network, with the same workloads and faults."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

import trio

from ._processes import ProcessHost
from ._streams import Streams
from ._traffic import Traffic
from .faults import ClockSkew, Fault
from .hosts import Host, NodeLog
from .network import Network
from .run import MakeHost, Run

SPREAD: Final = 1.0
"""Seconds over which ``init`` reaches the nodes; see `Run`. Shorter than in virtual time: somebody waits for it."""

_CLOSING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def process_hosts(command: Sequence[str], folder: Path) -> MakeHost:
    """Return what makes the hosts of nodes that are processes, for one run.

    Args:
      command: The absolute path of the executable (see `check_executable`), and its arguments.
      folder: Where each node has a folder, with its id as its name, that all its lives run in.
    """
    traffic = Traffic()

    def make_host(node_id: str, network: Network, log: NodeLog, nursery: trio.Nursery, _: Streams) -> Host:
        return ProcessHost(
            node_id, network, log, command=command, folder=folder / node_id, nursery=nursery, traffic=traffic
        )

    return make_host


def check_faults(faults: Iterable[Fault]) -> None:
    """Raise `ValueError` if there is one among *faults* that a process cannot be made to suffer."""
    for fault in faults:
        if isinstance(fault, ClockSkew):
            raise ValueError(
                f"a fault of kind {fault.kind!r} cannot be applied to executables, whose clock is the system's;"
                " leave it out, or test a node in process"
            )


def run_real(run: Run) -> None:
    """Conduct *run* in real time; when this returns or raises, no process is left, also by SIGINT, SIGTERM or SIGHUP.

    Raises:
      SetUpError: if a node did not come up.
      KeyboardInterrupt: if SIGINT came.
      SystemExit: with 128 and its number, as shells have it, if another of these signals came.
    """
    caught: list[int] = []
    trio.run(_conduct, run, caught)
    if signal.SIGINT in caught:
        raise KeyboardInterrupt
    if caught:
        raise SystemExit(128 + caught[0])


async def _conduct(run: Run, caught: list[int]) -> None:
    with trio.CancelScope() as scope, _cancelled_by_signals(scope, caught):
        await run.conduct()


@contextlib.contextmanager
def _cancelled_by_signals(scope: trio.CancelScope, caught: list[int]) -> Iterator[None]:
    """While inside, let the signals that would end this process cancel *scope*, and be appended to *caught*.

    Not by exceptions, which could come between any two steps, such as starting a process and taking note of it.
    """
    token = trio.lowlevel.current_trio_token()

    def handle(number: int, _: FrameType | None) -> None:
        caught.append(number)
        token.run_sync_soon(scope.cancel)

    before = {}
    if threading.current_thread() is threading.main_thread():  # others neither get signals nor may ask for them
        for number in _CLOSING_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup stays in force
                before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
