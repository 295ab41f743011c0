"""Runs in real time: the nodes are executables; network, workloads and faults are the same as in virtual time."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import trio

from .._cluster.hosts import Host, NodeLog
from .._cluster.processes import ProcessHost
from .._determinism.random_streams import Streams
from .._faults.faults import ClockSkew, Fault, Storage
from .._network.network import SimulatedNetwork
from .._runaways.guard import BUSY_LIMIT
from .._runaways.traffic import Traffic
from .._system.ending_signals import HeldSignals, held_signals
from .._system.guardian import Guardian, guarded
from .run import MakeHost, Run

REAL_TIME_INIT_SPREAD: Final = 1.0
"""Seconds over which ``init`` reaches the nodes; see `Run`. Shorter than in virtual time: people wait for it."""


def process_hosts(
    command: Sequence[str], folder: Path, guardian: Guardian | None = None, *, busy_limit: int = BUSY_LIMIT
) -> MakeHost:
    """Return a function that makes the hosts for one run whose nodes are processes.

    Args:
      command: The absolute path of the executable (see `check_executable`), and its arguments.
      folder: The parent of the nodes' folders. Each node has a folder named after its id, and keeps it after restarts.
      guardian: Ends the processes that this process cannot end; None for no guardian.
      busy_limit: How many lines all nodes together may print at once, before the one that prints most is killed.
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


_NOT_FOR_PROCESSES: Final = {ClockSkew: "use the system's clock", Storage: "keep their data in real files"}


def check_faults(faults: Iterable[Fault]) -> None:
    """Raise `ValueError` if one of *faults* cannot be applied to a process."""
    for fault in faults:
        if (why := _NOT_FOR_PROCESSES.get(type(fault))) is not None:
            raise ValueError(
                f"a fault of kind {fault.kind!r} cannot be applied to executables, which {why};"
                " leave it out, or test a node in process"
            )


def run_executables(command: Sequence[str], make_run: Callable[[MakeHost], Run], busy_limit: int = BUSY_LIMIT) -> Run:
    """Conduct a run in real time, in a temporary folder, and return it.

    When this function returns or raises, no process and no folder is left, however many SIGINT, SIGTERM or SIGHUP
    arrived. If this process is killed, the guardian ends the processes and removes the folder.

    Args:
      command: The absolute path of the executable (see `check_executable`), and its arguments.
      make_run: Makes the run, given the function that makes the hosts.
      busy_limit: See `process_hosts`.

    Raises:
      SetUpError, KeyboardInterrupt, EndedBySignal: as `run_real` does.
      OSError: if the folder or the guardian cannot be created.
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
    """Conduct *run* in real time. When this returns or raises, all nodes have ended, even after a signal.

    Raises:
      SetUpError: if a node did not start.
      KeyboardInterrupt: if SIGINT arrived.
      EndedBySignal: if SIGTERM or SIGHUP arrived.
    """
    run_until_signal(run.conduct)


def run_until_signal(conduct: Callable[[], Awaitable[None]]) -> None:
    """Run *conduct* in real time, and cancel it if a signal arrives.

    Raises:
      KeyboardInterrupt: if SIGINT arrived.
      EndedBySignal: if SIGTERM or SIGHUP arrived.
    """
    with held_signals() as signals:
        trio.run(_conduct, conduct, signals)


async def _conduct(conduct: Callable[[], Awaitable[None]], signals: HeldSignals) -> None:
    """Run *conduct*, until it ends or one of *signals* arrives."""
    token, scope = trio.lowlevel.current_trio_token(), trio.CancelScope()

    def cancel() -> None:
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(scope.cancel)

    signals.notice = cancel
    if signals.caught:  # a signal arrived before notice was set
        cancel()
    with scope:
        await conduct()
