"""A run: nodes, services and clients on one network, from ``init`` to the final reads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, final

import attrs
import msgspec
import trio

from trio_messenger import LWW_KV, RpcError

from .._cluster.clients import Client, Clients
from .._cluster.cluster import Cluster, SetUpError
from .._cluster.hosts import Host, NodeLog
from .._cluster.in_process import capturing_logs
from .._cluster.nemesis import Nemesis
from .._determinism.random_streams import Streams
from .._explanation.words import quantity
from .._network.network import Delivery, SimulatedNetwork
from .._records.history import History, Op, OpType
from .._records.journal import Journal
from .._services import LWW_KV_VARIANTS, SERVICES, SimulatedService
from .._workloads import TOPOLOGIES, WORKLOADS, Invocation
from .options import Options

RECOVERY: Final = 10.0
"""Seconds between the end of all faults and the final operations, as in Maelstrom."""

_SPREAD_STEPS: Final = 2**16
"""The number of steps that the spread is divided into: a power of two, so that sums and differences are exact."""

RunPhase: TypeAlias = Literal["set-up", "main", "recovery", "final", "done"]
"""The phases of a run, in order."""

MakeHost: TypeAlias = Callable[[str, SimulatedNetwork, NodeLog, trio.Nursery, Streams], Host]
"""Makes the host of a node, given its id, the network, its log, a nursery for its tasks, and the random streams."""

_encode = msgspec.json.Encoder().encode


@attrs.define(eq=False)
class _Worker:
    node_id: str
    process: int
    client: Client
    is_auditor: bool = False
    has_given_up: bool = False  # its last operation ended as info, so its client will not be used again


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
    """

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
    ) -> None:
        self.options: Final = options
        """The options of the run."""
        self.workload: Final = WORKLOADS[options.workload]()
        """The workload: the operations of the clients."""
        self.history: Final = History()
        """The operations that the clients did."""
        self.journal: Final = Journal()
        """Every message."""
        self.phase: RunPhase = "set-up"
        """The current phase."""
        self.malformed: Final[list[str]] = []
        """Replies that did not match the workload's schema, one line each."""
        self.ran_out_after: float | None = None
        """Seconds of the main phase after which the workload's operations ended; None if they did not, as they
        should."""
        self.closed_clients: Final[dict[str, int]] = {}
        """Clients that were closed because one of their operations ended as ``info``: by id, the number of messages
        sent before that."""
        self.logs: Final = {node_id: NodeLog(node_id, echo_log, self.moment) for node_id in options.nodes}
        """The log of each node."""
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
        self._clients = Clients(self.network)
        self._make_host = make_host
        self._watch = watch
        self._recovery = recovery
        self._spread = spread
        self._workers: list[_Worker] = []
        self._free: list[int] = []
        self._freed = trio.Event()

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
        """
        failure: SetUpError | None = None
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
                except SetUpError as exc:
                    failure = exc  # raised from inside the nursery, it would arrive in an exception group
                finally:
                    await cluster.aclose()
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        self._enter("done")

    def give_up(self, why: str) -> None:
        """End the run because its nodes make no progress; the reason *why* makes the run not valid."""
        self.stuck = why
        self._scope.cancel()

    def _make_cluster(self, nursery: trio.Nursery) -> Cluster:
        self.hosts = {
            node_id: self._make_host(node_id, self.network, log, nursery, self._streams)
            for node_id, log in self.logs.items()
        }
        return Cluster(self.hosts, self.network, self._clients)

    async def _conduct(self, cluster: Cluster, nemesis: Nemesis) -> None:
        await cluster.start(self._delays())
        request = self.workload.setup(self.options.nodes, TOPOLOGIES[self.options.topology])
        if request is not None:
            await cluster.ask_all(request)
        self._open_workers()
        self._set_up = self.network.now()
        self.network.start()
        self._enter("main")
        async with trio.open_nursery() as operations:
            with trio.move_on_after(self.options.time_limit):
                async with trio.open_nursery() as phase:
                    phase.start_soon(nemesis.run)
                    await self._invoke(operations)
        nemesis.heal()
        last = self.workload.final_invocation()
        if last is not None:
            self._enter("recovery")
            await trio.sleep(self._recovery)
            self._enter("final")
            async with trio.open_nursery() as operations:
                for index in range(len(self._workers)):
                    operations.start_soon(self._perform, index, last, True)
            if last[0] in self.workload.idempotent:
                await self._audit(last)

    async def _audit(self, last: Invocation) -> None:
        """Do *last*, a read, on the nodes that no worker asked, then on every node, after the workload has ended.

        All reads of a round begin at the same instant, so one round cannot distinguish a late node from a node that
        lacks a value permanently. The second round can: every node must know what any node knew in the first round.
        """
        self.journal.note(self.network.now(), "audit")
        processes = itertools.count(max(worker.process for worker in self._workers) + 1)
        asked = {worker.node_id for worker in self._workers}
        nodes = self.options.nodes
        for some in ([node_id for node_id in nodes if node_id not in asked], nodes):
            async with trio.open_nursery() as operations:
                for node_id in some:
                    auditor = _Worker(node_id, next(processes), self._clients.open(), is_auditor=True)
                    operations.start_soon(self._carry_out, auditor, last, True)

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

    def _open_workers(self) -> None:
        nodes = self.options.nodes
        for index in range(self.options.concurrency):
            self._workers.append(_Worker(nodes[index % len(nodes)], index, self._clients.open()))
            self._free.append(index)

    async def _invoke(self, nursery: trio.Nursery) -> None:
        """Let workers begin operations, at the rate of the options, until cancelled.

        Gaps are uniformly distributed from 0 to twice their mean, and the first operation begins at once. Each gap
        starts at the planned time of the previous operation, so waking up late, which always happens in real time, does
        not reduce the number of operations. Only time in which all workers are busy is lost (Jepsen's ``stagger``).
        """
        if self.options.rate == 0:
            await trio.sleep_forever()
        gaps, chance = self._streams.stream("operations"), self._streams.stream("workers")
        due = begun = trio.current_time()
        for invocation in self.workload.invocations(self._streams.stream("invocations")):
            await trio.sleep_until(due)
            while not self._free:
                self._freed = trio.Event()
                await self._freed.wait()
                due = trio.current_time()
            index = self._free.pop(chance.randrange(len(self._free)))
            nursery.start_soon(self._perform, index, invocation, False)
            due += gaps.uniform(0, 2 / self.options.rate)
        self.ran_out_after = trio.current_time() - begun

    async def _perform(self, index: int, invocation: Invocation, is_final: bool) -> None:
        worker = self._workers[index]
        if worker.has_given_up:
            self._replace_client(worker)
        outcome = await self._carry_out(worker, invocation, is_final)
        if outcome == "info":  # it may still happen: the process has not finished, and begins no other operation
            worker.process += len(self._workers)
            worker.has_given_up = not self.workload.reuses_clients
        self._free.append(index)
        self._freed.set()
        self._watch(self)

    async def _carry_out(self, worker: _Worker, invocation: Invocation, is_final: bool) -> OpType:
        """Let *worker* do one operation, and return its outcome."""
        f, value = invocation
        self._record(worker, "invoke", f, value, None, is_final)
        outcome, value, error = await self._ask(worker, f, value)
        self._record(worker, outcome, f, value, error, is_final)
        return outcome

    def _replace_client(self, worker: _Worker) -> None:
        """Give *worker* a new client. As in Maelstrom, the old client still receives late replies until now."""
        worker.has_given_up = False
        worker.client.close()
        self.closed_clients[worker.client.id] = self.network.sent
        worker.client = self._clients.open()

    async def _ask(self, worker: _Worker, f: str, value: Any) -> tuple[OpType, Any, str | None]:
        """Do an operation; return its outcome, its value, and the error text or None."""
        try:
            reply = await worker.client.rpc(worker.node_id, self.workload.request(f, value))
            return "ok", self.workload.completed(f, value, self.workload.parse(f, reply)), None
        except RpcError as exc:
            return self.workload.outcome(f, exc), value, str(exc)
        except msgspec.ValidationError as exc:
            self.malformed.append(f"node {worker.node_id!r} answered {f!r} with a malformed reply: {exc}")
            return "info", value, f"malformed reply: {exc}"

    def _record(self, worker: _Worker, kind: OpType, f: str, value: Any, error: str | None, is_final: bool) -> None:
        self.history.append(
            Op(
                index=len(self.history),
                time=self.network.now(),
                type=kind,
                process=worker.process,
                f=f,
                value=value,
                error=error,
                final=is_final,
                node=worker.node_id,
                audit=worker.is_auditor,
            )
        )

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
