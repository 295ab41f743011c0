"""Runs in real time: of nodes that are executables, on the same network, with the same workloads and faults."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import trio

from .._cluster.hosts import Host, NodeLog
from .._cluster.processes import ProcessHost
from .._determinism.random_streams import Streams
from .._faults.faults import ClockSkew, Fault
from .._network.network import SimulatedNetwork
from .._runaways.guard import BUSY_LIMIT
from .._runaways.traffic import Traffic
from .._system.ending_signals import HeldSignals, held_signals
from .._system.guardian import Guardian, guarded
from .run import MakeHost, Run

SPREAD: Final = 1.0
"""Seconds over which ``init`` reaches the nodes; see `Run`. Shorter than in virtual time: somebody waits for it."""


def process_hosts(
    command: Sequence[str], folder: Path, guardian: Guardian | None = None, *, busy_limit: int = BUSY_LIMIT
) -> MakeHost:
    """Return what makes the hosts of nodes that are processes, for one run.

    Args:
      command: The absolute path of the executable (see `check_executable`), and its arguments.
      folder: Where each node has a folder, with its id as its name, that all its lives run in.
      guardian: Ends what this process cannot end; None if there is none.
      busy_limit: Lines that all nodes together may print at once before the one that prints most is killed.
    """
    traffic = Traffic(busy_limit)

    def make_host(node_id: str, network: SimulatedNetwork, log: NodeLog, nursery: trio.Nursery, _: Streams) -> Host:
        return ProcessHost(
            node_id,
            network,
            log,
            command=command,
            folder=folder / node_id,
            nursery=nursery,
            traffic=traffic,
            guardian=guardian,
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


def run_executables(command: Sequence[str], make_run: Callable[[MakeHost], Run], busy_limit: int = BUSY_LIMIT) -> Run:
    """Conduct a run in real time, in a temporary folder, and return it.

    When this returns or raises, no process and no folder is left, however often SIGINT, SIGTERM or SIGHUP came. If this
    process is killed meanwhile, the guardian sees to both.

    Args:
      command: The absolute path of the executable (see `check_executable`), and its arguments.
      make_run: Makes the run, given what makes the hosts.
      busy_limit: See `process_hosts`.

    Raises:
      SetUpError, KeyboardInterrupt, EndedBySignal: as `run_real`.
      OSError: if there can be no folder, or no guardian.
    """
    with (
        held_signals(),
        tempfile.TemporaryDirectory(prefix="trio-messenger-", ignore_cleanup_errors=True) as name,
        guarded(Path(name)) as guardian,
    ):
        run = make_run(process_hosts(command, Path(name), guardian, busy_limit=busy_limit))
        run_real(run)
        run.daemons.extend(guardian.end_daemons())
    return run


def run_real(run: Run) -> None:
    """Conduct *run* in real time; when this returns or raises, no node is left, also by SIGINT, SIGTERM or SIGHUP.

    Raises:
      SetUpError: if a node did not come up.
      KeyboardInterrupt: if SIGINT came.
      EndedBySignal: if another of these signals came.
    """
    with held_signals() as signals:
        trio.run(_conduct, run, signals)


async def _conduct(run: Run, signals: HeldSignals) -> None:
    """Conduct *run*, until one of *signals* comes."""
    token, scope = trio.lowlevel.current_trio_token(), trio.CancelScope()

    def cancel() -> None:
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(scope.cancel)

    signals.notice = cancel
    if signals.caught:  # before there was anybody to notice
        cancel()
    with scope:
        await run.conduct()
