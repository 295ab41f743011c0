"""Runs whose nodes run elsewhere, in real time: clients, workloads and checkers are the same as for simulated nodes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

import trio

from trio_messenger import Transport

from .._cluster.cluster import SetUpError
from .._cluster.remote import Gateway
from .._workloads import WorkloadError
from .options import Options
from .real_time import run_until_signal
from .run import MakeHost, Run

_FIRST_NUMBER_BITS: Final = 51
"""The first number of the requests is below 2 to this power, so that all of them are below 2**53."""

_OF_SIMULATION: Final[dict[str, str]] = {
    "nemesis": "is for a simulated network; break the real one yourself while the test runs",
    "faults": "is for a simulated network; break the real one yourself while the test runs",
    "latency": "is for a simulated network",
    "loss": "is for a simulated network",
    "duplicate": "is for a simulated network",
    "lww_kv": "is for a simulated service",
    "busy_limit": "is for nodes that the test runs itself",
    "invariants": "looks at the objects of nodes, which are elsewhere",
}
"""Options that have no meaning for nodes elsewhere, each with the reason."""


def check_elsewhere(options: Options) -> None:
    """Raise `ValueError` if one of *options* cannot apply to nodes that run elsewhere.

    The text begins with the name of the option in Python's form.
    """
    usual = Options(workload=options.workload, nodes=options.nodes)
    for name, reason in _OF_SIMULATION.items():
        if getattr(options, name) != getattr(usual, name):
            raise ValueError(f"{name} {reason}; leave it out")


def run_elsewhere(
    opened: AbstractAsyncContextManager[Transport], client_id: str, make_run: Callable[[MakeHost], Run]
) -> Run:
    """Do the same as `conduct_elsewhere`, in real time.

    Raises:
      SetUpError, WorkloadError, trio.BrokenResourceError: as `conduct_elsewhere` does.
      KeyboardInterrupt, EndedBySignal: as `run_until_signal` does.
    """
    runs: list[Run] = []

    async def conduct() -> None:
        runs.append(await conduct_elsewhere(opened, client_id, make_run))

    run_until_signal(conduct)
    return runs[0]


async def conduct_elsewhere(
    opened: AbstractAsyncContextManager[Transport], client_id: str, make_run: Callable[[MakeHost], Run]
) -> Run:
    """Conduct a run whose nodes run elsewhere, and return it.

    Args:
      opened: Opens the transport of the clients.
      client_id: The id that all clients have on it.
      make_run: Makes the run, given the function that makes the hosts.

    Raises:
      SetUpError: if a node does not answer, or is not fresh.
      WorkloadError: if the workload's code is wrong.
      trio.BrokenResourceError: if the transport cannot be opened, or breaks; the text says why.
    """
    gateway = Gateway(client_id, random.randrange(1 << _FIRST_NUMBER_BITS))
    run = make_run(gateway.make_host)
    failure: Exception | None = None
    async with opened as transport:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(gateway.serve, transport, scope)
                try:
                    await run.conduct()
                except (SetUpError, WorkloadError) as exc:
                    failure = exc  # raised from inside the nursery, it would arrive in an exception group
                nursery.cancel_scope.cancel()
        run.remarks.extend(_of_connection(transport.counters))
    if gateway.failure is not None:
        raise trio.BrokenResourceError(gateway.failure)
    if failure is not None:
        raise failure
    return run


def _of_connection(counters: Mapping[str, int]) -> list[str]:
    """Return a remark if the connection of the clients was lost, or dropped something."""
    odd = [f"{name}={count}" for name, count in counters.items() if count > name.endswith("_connections")]
    return [f"the connection of the clients was not perfect: {', '.join(odd)}"] if odd else []
