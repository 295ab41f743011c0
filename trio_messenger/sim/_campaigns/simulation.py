"""Simulations: runs of nodes in this process, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Final

import attrs
import trio

from trio_messenger import Node

from ..._user_code.assertions import listening
from .._checkers.availability import Availability
from .._checkers.transactions.consistency_models import STRICT_SERIALIZABLE
from .._cluster.durable import Build
from .._cluster.hosts import Host, NodeLog
from .._cluster.in_process import InProcessHost
from .._determinism.random_streams import Streams
from .._determinism.scheduler import run_virtual
from .._faults.fault_search import UNIFORM, FaultSearch
from .._faults.faults import Fault
from .._invariants.assertion_log import AssertionLog
from .._invariants.roles import RoleLog
from .._invariants.watch import Invariant, InvariantWatch, named_invariants
from .._judging.judgement import judge
from .._judging.naming import name_of
from .._judging.report import Report
from .._network.latency_distribution import Distribution, Latency
from .._network.network import SimulatedNetwork
from .._runaways.guard import BUSY_LIMIT, StuckGuard
from .._runaways.watchdog import watching
from .._runs.options import Options
from .._runs.run import Run
from .._workloads import Workload
from .aiming import needs_aims, with_aims

INIT_SPREAD: Final = 4.0
"""Seconds of virtual time over which ``init`` reaches the nodes; see `Run`.

So periodic work with an interval of up to 4 s has a random phase on each node. Maelstrom takes 3.9 s for 25 nodes. With
a longer spread, more messages of a run would be those that nodes exchange before the first client asks.
"""


def simulate(  # noqa: PLR0913 - the options of a test, by name
    workload: str | type[Workload],
    build: Build,
    *,
    nodes: int | Sequence[str] = 5,
    seed: int = 0,
    faults: Sequence[Fault] | None = None,
    nemesis: Sequence[str] = (),
    nemesis_interval: float = 10.0,
    search: str | FaultSearch = UNIFORM,
    concurrency: int | None = None,
    rate: float = 5.0,
    time_limit: float = 60.0,
    latency: float = 0.0,
    latency_dist: Distribution = "constant",
    loss: float = 0.0,
    duplicate: float = 0.0,
    topology: str = "grid",
    lww_kv: str = "separate",
    key_count: int = 10,
    max_txn_length: int = 4,
    max_writes_per_key: int = 16,
    consistency_models: Sequence[str] = STRICT_SERIALIZABLE,
    availability: Availability = None,
    busy_limit: int = BUSY_LIMIT,
    invariants: Sequence[Invariant] = (),
) -> Report:
    """Test nodes in this process, in virtual time, and judge their behaviour.

    The same arguments give the same run, message by message, if the nodes take all random values from
    `~trio_messenger.Node.random`, read the time of day from `~trio_messenger.Node.wall_time`, and share nothing with
    the outside world. The report contains the lines that they log or print.

    Args:
      workload: The name of one of `WORKLOADS`, or ``MODULE:CLASS`` for any other subclass of `Workload`, or that class.
      build: Makes a new `~trio_messenger.Node` for each life of each node. It is called with ``store=``, a
        `SimulatedStore`, if it has a parameter of that name.
      nodes: The number of nodes (``n1``, ``n2`` and so on), or their ids.
      seed: The seed of all random choices.
      faults: The schedule of faults; by default the one that *nemesis* and the seed make.
      nemesis: Kinds of faults, of `NEMESES`. The seed decides their schedule.
      nemesis_interval: The mean time between changes of the nemesis, in seconds.
      search: How the nemesis draws its schedule from the seed: ``uniform``, ``aimed``, ``swarm``, ``swizzle``, or
        ``mix``, which is one of the others for each seed. An aimed run is made twice, the first time without faults.
      concurrency: How many clients send requests at the same time, each to one node; by default as many as there are
        nodes.
      rate: Operations per second, of all clients together.
      time_limit: The length of the main phase in seconds.
      latency: The mean latency between nodes, and between nodes and services, in milliseconds.
      latency_dist: The distribution of the latency.
      loss: The probability that a message between nodes is lost.
      duplicate: The probability that a message between nodes is delivered twice.
      topology: Which nodes are neighbours, for the broadcast workload: the name of one of `TOPOLOGIES`.
      lww_kv: The behaviour of the two replicas of the service ``lww-kv``. With ``separate`` they never exchange their
        values, as in Maelstrom; with ``merging`` they do, as Maelstrom's documents say.
      key_count: How many keys the operations of the kafka and transaction workloads use at the same time.
      max_txn_length: The maximum number of operations in a transaction.
      max_writes_per_key: How many writes a key gets, in the kafka and transaction workloads, before another key
        replaces it.
      consistency_models: The consistency models that the histories of the transaction workloads have to satisfy.
      availability: The fraction of operations that must be ok, or ``total``; None requires nothing.
      busy_limit: How many messages nodes may send, or how many turns their tasks may take, in less than a second of
        virtual time. With more, the run is stuck, and therefore invalid. Each message allows ten more turns.
      invariants: Functions that look at all living nodes after each event, and raise an exception if the nodes
        contradict each other. Each gets a read-only mapping from the ids to what *build* returned, or to what the
        node shows instead (`~trio_messenger.Node.expose`).

    Raises:
      ValueError: if an argument is not allowed; the text names the value and the allowed ones.
      TypeError: if *build* is not a function (a node is not enough, because it has only one life), or an invariant is
        not a plain function that takes the nodes.
      SetUpError: if a node could not be made or did not answer ``init``.
      WorkloadError: if the code of a workload of your own is wrong.
      RuntimeError: if it is called from an async function, because a simulation runs Trio itself, or while another
        simulation runs in this process.

    Example:
      >>> report = simulate(
      ...     "broadcast", broadcast.build, nodes=3, time_limit=10, nemesis=["partition"], nemesis_interval=2
      ... )
      >>> report.valid, [fault.kind for fault in report.options.faults]
      (True, ['partition', 'partition'])
    """
    _check_build(build)
    node_ids = [f"n{number}" for number in range(1, nodes + 1)] if isinstance(nodes, int) else nodes
    given: dict[str, Any] = {"faults": faults, "concurrency": concurrency}
    checked = named_invariants(invariants)
    options = Options(
        workload=workload,
        nodes=node_ids,
        seed=seed,
        nemesis=nemesis,
        nemesis_interval=nemesis_interval,
        search=search,
        rate=rate,
        time_limit=time_limit,
        latency=Latency(latency, latency_dist),
        loss=loss,
        duplicate=duplicate,
        topology=topology,
        lww_kv=lww_kv,
        key_count=key_count,
        max_txn_length=max_txn_length,
        max_writes_per_key=max_writes_per_key,
        consistency_models=consistency_models,
        availability=availability,
        busy_limit=busy_limit,
        invariants=tuple(checked),
        **{name: value for name, value in given.items() if value is not None},
    )
    return run_simulation(options, build, invariants=tuple(checked.values()))


def _check_build(build: object) -> None:
    if not callable(build):
        raise TypeError(f"build is {build!r:.80}; give a function that makes a new Node each time it is called")


def run_simulation(
    options: Options,
    build: Build,
    *,
    invariants: Sequence[Invariant] = (),
    node: Sequence[str] | None = None,
    watch: Callable[[Run], object] = lambda _: None,
    echo_log: Callable[[str, str], object] | None = None,
) -> Report:
    """Do the same as `simulate`, with the arguments in *options*.

    Args:
      options: What to run.
      build: Makes the nodes.
      invariants: The functions that *options* name, in the same order.
      node: The command-line arguments that name the node; by default derived from *build*.
      watch: See `Run`.
      echo_log: See `Run`.

    Raises:
      SetUpError, RuntimeError: as `simulate` does.
    """
    if needs_aims(options):
        rehearsal = conduct(options, build, invariants=invariants, is_rehearsal=True)
        if judge(rehearsal)["valid?"] is not False:  # otherwise this run, without faults, fails as well
            options = with_aims(options, rehearsal)

    def rerun(faults: Sequence[Fault]) -> Report:
        return run_simulation(attrs.evolve(options, faults=tuple(faults)), build, invariants=invariants, node=node)

    run = conduct(options, build, invariants=invariants, watch=watch, echo_log=echo_log)
    names = name_of(build, invariants) if node is None else node
    return make_report(run, names, rerun, is_guess=node is None)


def conduct(
    options: Options,
    build: Build,
    *,
    invariants: Sequence[Invariant] = (),
    watch: Callable[[Run], object] = lambda _: None,
    echo_log: Callable[[str, str], object] | None = None,
    is_rehearsal: bool = False,
) -> Run:
    """Make a run without judging it; see `run_simulation`. A rehearsal also records the roles of nodes."""

    def make_host(
        node_id: str, network: SimulatedNetwork, log: NodeLog, nursery: trio.Nursery, streams: Streams
    ) -> Host:
        host = hosts[node_id] = InProcessHost(node_id, network, log, build, nursery, streams, guard)
        return host

    def living() -> dict[str, Node]:
        return {node_id: host.node for node_id, host in hosts.items() if host.node is not None}

    hosts: dict[str, InProcessHost] = {}
    run = Run(options, make_host, watch=watch, echo_log=echo_log, spread=INIT_SPREAD)
    guard = StuckGuard(options.busy_limit, run.journal, run.network.now, run.give_up)
    instruments: list[trio.abc.Instrument] = [guard]
    assertions = run.assertions = AssertionLog(
        run.journal, run.network.now, is_looking=lambda: bool(run.invariants and run.invariants.checking)
    )
    if is_rehearsal:
        run.roles = RoleLog(living, run.journal, run.network.now)
        instruments.append(run.roles)
    if options.invariants:  # otherwise there is no watch, which costs nothing
        # Copies, so that no run sees what an invariant remembers of another one: one to aim at, or to shrink.
        named = dict(zip(options.invariants, map(deepcopy, invariants), strict=True))
        run.invariants = InvariantWatch(named, living, run.journal, run.network.now)
        instruments.append(run.invariants)
    with (
        watching(guard, options.seed, checking=lambda: run.invariants and run.invariants.checking),
        listening(assertions.note),
    ):
        run_virtual(run.conduct, seed=options.seed, instruments=instruments)
    return run


def make_report(
    run: Run,
    node: Sequence[str],
    rerun: Callable[[Sequence[Fault]], Report] | None = None,
    *,
    is_guess: bool = False,
) -> Report:
    """Judge *run*, which has ended, and return the report; see `Report` for the other arguments."""
    return Report(
        options=run.options,
        node=tuple(node),
        results=judge(run),
        history=run.history,
        journal=run.journal,
        logs={node_id: log.lines() for node_id, log in run.logs.items()},
        rerun=rerun,
        is_guess=is_guess,
    )
