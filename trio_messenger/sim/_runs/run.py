"""A run: nodes, services and clients on one network, from ``init`` to the final reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias, final

import msgspec
import trio

from trio_messenger import LWW_KV

from .._cluster.cluster import Cluster, SetUpError
from .._cluster.hosts import Host, NodeLog
from .._cluster.in_process import capturing_logs
from .._cluster.nemesis import Nemesis
from .._determinism.random_streams import Streams
from .._explanation.words import quantity
from .._invariants.assertion_log import AssertionLog
from .._invariants.roles import RoleLog
from .._invariants.watch import InvariantWatch
from .._network.network import Delivery, SimulatedNetwork
from .._records.history import History
from .._records.journal import Journal
from .._services import LWW_KV_VARIANTS, SERVICES, SimulatedService
from .._workloads import TOPOLOGIES, Invocation, WorkloadError, blaming, checked_final, checked_setup, refusal
from .options import Options
from .worker_pool import PATIENCE, WorkerPool

RECOVERY: Final = 10.0
"""Seconds between the end of all faults and the final operations, as in Maelstrom."""

_SPREAD_STEPS: Final = 2**16
"""The number of steps that the spread is divided into: a power of two, so that sums and differences are exact."""

RunPhase: TypeAlias = Literal["set-up", "main", "recovery", "final", "done"]
"""The phases of a run, in order."""

MakeHost: TypeAlias = Callable[[str, SimulatedNetwork, NodeLog, trio.Nursery, Streams], Host]
"""Makes the host of a node, given its id, the network, its log, a nursery for its tasks, and the random streams."""

_encode = msgspec.json.Encoder().encode


@final
class Run:
    """One run. `conduct` fills its public fields.

    Args:
      options: What to run.
      make_host: Makes the nodes' hosts.
      watch: Called after each operation and each change of `phase`, to show progress; must not block.
      echo_log: Called with a node's id and each line that it logs.
      recovery: Seconds between the end of all faults and the final operations.
      spread: Seconds over which ``init`` reaches the nodes, each at a time that depends on the seed. If all nodes
        started at the same instant, their periodic work would stay synchronized during the whole run.
      must_be_fresh: Whether to refuse nodes that still have something of an earlier run.
    """

    invariants: InvariantWatch | None = None
    """The watch over the invariants; None if there are none."""
    assertions: AssertionLog | None = None
    """The assertions of the nodes; None if they run in other processes."""
    roles: RoleLog | None = None
    """The roles of the nodes; None if nobody needs them."""
    _scope: trio.CancelScope  # covers all phases; set by conduct()
    _set_up: int = 0  # nanoseconds that set-up took; set when it ends

    def __init__(
        self,
        options: Options,
        make_host: MakeHost,
        *,
        watch: Callable[[Run], object] = lambda _: None,
        echo_log: Callable[[str, str], object] | None = None,
        recovery: float = RECOVERY,
        spread: float = 0.0,
        must_be_fresh: bool = False,
    ) -> None:
        self.options: Final = options
        """The options of the run."""
        self.workload: Final = options.make_workload()
        """The workload: the operations of the clients."""
        self.history: Final = History()
        """The operations that the clients did."""
        self.journal: Final = Journal()
        """Every message."""
        self.phase: RunPhase = "set-up"
        """The current phase."""
        self.ran_out_after: float | None = None
        """Seconds of the main phase after which the workload's operations ended; None if they did not, as they
        should."""
        self.logs: Final = {node_id: NodeLog(node_id, echo_log, self.moment) for node_id in options.nodes}
        """The log of each node."""
        self.remarks: Final[list[str]] = []
        """Unusual facts about the run as a whole that are not necessarily wrong."""
        self.daemons: Final[list[str]] = []
        """The processes that still ran after the end of all nodes, one line each; see `Guardian.end_daemons`."""
        self.stuck: str | None = None
        """The reason why the run was given up early; None if it was not."""
        self.hosts: Mapping[str, Host] = {}
        """The hosts of the nodes, by id."""
        self._streams = Streams(options.seed)
        self.network: Final = SimulatedNetwork(
            self._streams, self.journal, options.latency, loss=options.loss, duplicate=options.duplicate
        )
        """The network: it carries the messages, and counts the effects of faults."""
        self._make_host = make_host
        self._watch = watch
        self._recovery = recovery
        self._spread = spread
        self._must_be_fresh = must_be_fresh
        self.workers: Final = WorkerPool(
            self.workload, self.network, self.history, blame=self._blame, ended=lambda: self._watch(self)
        )
        """The workers: they do the operations of the clients."""
        self._mistake: WorkloadError | None = None  # in the workload's code, found while it ran

    def moment(self, nanoseconds: int | None = None) -> str:
        """Return a time, now by default, in the form that is shown during the run.

        It is in seconds since the main phase began. During set-up that moment is not known yet, so times of set-up are
        in seconds since the run began and have the prefix ``set-up``.
        """
        time = self.network.now() if nanoseconds is None else nanoseconds
        is_of_set_up = self.phase == "set-up" or time < 0
        return f"set-up {(self._set_up + time) / 1e9:.6f}" if is_of_set_up else f"{time / 1e9:.6f}"

    async def conduct(self) -> None:
        """Run from beginning to end; when this returns or raises, all nodes have ended.

        Raises:
          SetUpError: if a node did not start.
          WorkloadError: if the workload's code is wrong.
        """
        failure: SetUpError | WorkloadError | None = None
        with capturing_logs():
            async with trio.open_nursery() as nursery:
                self.network.start()
                self._enter("set-up")
                nursery.start_soon(self.network.run)
                services = {**SERVICES, LWW_KV: LWW_KV_VARIANTS[self.options.lww_kv]}
                for service_id, make_service in services.items():
                    self._attach(service_id, make_service(self._streams.stream("service", service_id)))
                cluster = self._make_cluster(nursery)
                try:
                    with trio.CancelScope() as self._scope:
                        await self._conduct(cluster, Nemesis(self.options.faults, self.network, cluster, nursery))
                    if self.phase == "set-up":
                        failure = SetUpError(f"the nodes did not start: {self.stuck}")
                except (SetUpError, WorkloadError) as exc:
                    failure = exc  # raised from inside the nursery, it would arrive in an exception group
                finally:
                    await cluster.aclose()
                nursery.cancel_scope.cancel()
        self._mistake, failure = None, failure or self._mistake
        if failure is not None:
            raise failure
        self.workers.seal.check(self.history, "invoke(), update() or a generator")
        self._enter("done")

    def give_up(self, why: str, tasks: Sequence[trio.lowlevel.Task] = ()) -> None:
        """End the run because it makes no progress; the reason *why* makes the run not valid.

        If the workload keeps it busy, the run has no verdict: most of *tasks*, which took the last turns, are in its
        methods, or its final operations follow each other without a pause.
        """
        method = self.workers.method_of(tasks)
        if method is None and self.phase == "final" and self.workers.has_raced(self.options.busy_limit):
            method = "final_invocations"
        if method is not None:
            self._blame(refusal(self.workload, f"{method}() goes on without end: {why}"))
            return
        self.stuck = why
        self._scope.cancel()

    def _blame(self, mistake: WorkloadError) -> None:
        """End the run because of a *mistake* in the workload's code."""
        self._mistake = self._mistake or mistake
        self._scope.cancel()

    def _make_cluster(self, nursery: trio.Nursery) -> Cluster:
        self.hosts = {
            node_id: self._make_host(node_id, self.network, log, nursery, self._streams)
            for node_id, log in self.logs.items()
        }
        return Cluster(self.hosts, self.network, self.workers.clients)

    async def _conduct(self, cluster: Cluster, nemesis: Nemesis) -> None:
        await cluster.start(self._delays())
        with blaming(self.workload, "setup"):
            request = self.workload.setup(self.options.nodes, TOPOLOGIES[self.options.topology])
        request = checked_setup(self.workload, request)
        if request is not None:
            await cluster.ask_all(request)
        self.workers.open(self.options.concurrency, self.options.nodes)
        if self._must_be_fresh:
            await self._check_fresh()
        self._set_up = self.network.now()
        self.network.start()
        self._enter("main")
        async with trio.open_nursery() as operations:
            with trio.move_on_after(self.options.time_limit):
                async with trio.open_nursery() as phase:
                    phase.start_soon(nemesis.run)
                    await self._invoke(operations)
            operations.cancel_scope.deadline = trio.current_time() + PATIENCE
        self.workers.check_ended(operations.cancel_scope)
        nemesis.heal()
        await self._finish()

    async def _check_fresh(self) -> None:
        """Raise `SetUpError` if a node has something of an earlier run."""
        found = await self.workers.leftovers(self.options.nodes)
        for node_id, text in found.items():
            raise SetUpError(
                f"node {node_id!r} {text} before the first operation: the test needs a fresh cluster; start all nodes"
                " again without their data, or with another --cluster"
            )

    async def _audit(self, last: Invocation) -> None:
        """Do *last*, a read, on the nodes that no worker asked, then on every node, after the workload has ended.

        All reads of a round begin at the same instant, so one round cannot distinguish a late node from a node that
        lacks a value permanently. The second round can: every node must know what any node knew in the first round.
        """
        self.journal.note(self.network.now(), "audit")
        nodes, asked = self.options.nodes, self.workers.nodes
        await self.workers.audit([node_id for node_id in nodes if node_id not in asked], last)
        await self.workers.audit(nodes, last)

    def _delays(self) -> dict[str, float]:
        """Return for each node how many seconds after the first node it receives ``init``."""
        step = self._spread / _SPREAD_STEPS
        steps = {
            node_id: self._streams.stream("init", node_id).randrange(_SPREAD_STEPS) for node_id in self.options.nodes
        }
        first = min(steps.values())
        return {node_id: step * (number - first) for node_id, number in steps.items()}

    def _enter(self, phase: RunPhase) -> None:
        self.phase = phase
        self._watch(self)

    async def _invoke(self, nursery: trio.Nursery) -> None:
        """Let workers begin operations, at the rate of the options, until cancelled."""
        begun, stream = trio.current_time(), self._streams.stream
        await self.workers.main_phase(
            self.options.rate,
            nursery,
            gaps=stream("operations"),
            chance=stream("workers"),
            draw=stream("invocations"),
        )
        self.ran_out_after = trio.current_time() - begun

    async def _finish(self) -> None:
        """Let the nodes recover, and do the final operations, if the workload has any."""
        operations = self.workers.final_operations()
        if operations is None:
            return
        self._enter("recovery")
        await trio.sleep(self._recovery)
        self._enter("final")
        await self.workers.final_phase(operations)
        last = checked_final(self.workload)
        if last is not None and last[0] in self.workload.idempotent:
            await self._audit(last)

    def _attach(self, service_id: str, service: SimulatedService) -> None:
        def serve(delivery: Delivery) -> None:
            message = delivery.message
            reply = service.handle(message.src, message.body)
            if reply is not None:
                body = {**reply, "in_reply_to": message.body.get("msg_id")}
                age = quantity(service.age, "change")
                text = f"answered from a state {age} old" if service.age else None
                self.network.send(_encode({"src": service_id, "dest": message.src, "body": body}), text)

        self.network.attach(service_id, "services", serve)
