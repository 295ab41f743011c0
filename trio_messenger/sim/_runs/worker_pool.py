"""The workers of a run: each has a client, asks one node, and does one operation at a time."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random
from typing import Any, Final, final

import attrs
import msgspec
import trio

from trio_messenger import RpcError, RpcTimeout

from .._cluster.clients import Client, Clients
from .._determinism.scheduler import place_of_error
from .._network.network import SimulatedNetwork
from .._records.history import History, Op, OpType
from .._workloads import (
    ClientCrash,
    GeneratorContext,
    HistorySeal,
    Invocation,
    Workload,
    WorkloadClient,
    WorkloadError,
    blaming,
    blaming_in_task,
    checked_invocation,
    checked_leftovers,
    checked_operations,
    checked_outcome,
    checked_timeout,
    checked_value,
    is_foreign,
    refusal,
    text_of,
)

PATIENCE: Final = 600.0
"""Seconds that an operation may take after the phase that it belongs to."""

_FEW_MESSAGES: Final = 20
"""The greatest number of messages from nodes for each final operation with which these operations, and not the nodes,
count as the reason for too many messages."""


@attrs.define(eq=False)
class _Worker:
    client: Client
    view: WorkloadClient  # the client as the workload sees it, with the numbers of the worker and of its process
    is_auditor: bool = False
    has_given_up: bool = False  # its last operation ended as info, so its client will not be used again


@attrs.frozen
class _End:
    """How an operation ended."""

    outcome: OpType
    value: Any
    error: str | None = None
    code: int | None = None
    is_crash: bool = False


@final
class WorkerPool:
    """Does the operations of a workload, and records them.

    Args:
      workload: Makes the operations.
      network: Carries the messages.
      history: Gets the beginning and the end of each operation.
      blame: Called with the mistake if the workload's code is wrong; it has to end the run.
      ended: Called after each operation.
    """

    def __init__(
        self,
        workload: Workload,
        network: SimulatedNetwork,
        history: History,
        *,
        blame: Callable[[WorkloadError], object],
        ended: Callable[[], object],
    ) -> None:
        self.malformed: Final[list[str]] = []
        """Replies that did not match the workload's schema, one line each."""
        self.closed_clients: Final[dict[str, int]] = {}
        """Clients that were closed because one of their operations ended as ``info``: by id, the number of messages
        sent before that."""
        self._workload = workload
        self._network = network
        self._history = history
        self._blame = blame
        self._ended = ended
        self.clients: Final = Clients(network)
        """Creates the clients of the run, also those for other purposes than the workload's."""
        self._workers: list[_Worker] = []
        self._free: list[int] = []
        self._freed = trio.Event()
        self._is_foreign = is_foreign(workload)
        self.seal: Final = HistorySeal(workload, history)
        """Shows whether the history is still as it was recorded."""
        self._timeout = 0.0  # seconds; open() asks the workload
        self._audited = 0  # how many audits there were
        self._cancelled_in = ""  # where the last operation was that was cancelled

    @property
    def nodes(self) -> set[str]:
        """The ids of the nodes that workers ask."""
        return {worker.view.node for worker in self._workers}

    def open(self, count: int, nodes: Sequence[str]) -> None:
        """Open *count* workers; the worker with the number *w* asks ``nodes[w % len(nodes)]``.

        Raises:
          WorkloadError: if the workload's code is wrong.
        """
        with blaming(self._workload, "client_timeout"):
            seconds = self._workload.client_timeout()
        self._timeout = checked_timeout(self._workload, seconds)
        for index in range(count):
            self._workers.append(self._make(index, nodes[index % len(nodes)], index))
            self._free.append(index)

    async def main_phase(
        self, rate: float, nursery: trio.Nursery, *, gaps: Random, chance: Random, draw: Random
    ) -> None:
        """Let workers begin operations, until cancelled, or until the workload has no more of them.

        Gaps are uniformly distributed from 0 to twice their mean, and the first operation begins at once. Each gap
        starts at the planned time of the previous operation, so waking up late, which always happens in real time, does
        not reduce the number of operations. Only time in which all workers are busy is lost (Jepsen's ``stagger``).

        Args:
          rate: Operations per second, of all workers together.
          nursery: Runs the operations, which may end later than this.
          gaps: The random stream of the gaps.
          chance: The random stream of the choice of workers.
          draw: The random stream of the workload.
        """
        if rate == 0:
            await trio.sleep_forever()
        due = trio.current_time()
        with self._blaming():
            while True:
                await trio.sleep_until(due)
                while not self._free:
                    self._freed = trio.Event()
                    await self._freed.wait()
                    due = trio.current_time()
                worker = self._workers[self._free.pop(chance.randrange(len(self._free)))]
                invocation = self._next(worker, draw)
                if invocation is None:
                    return
                self._start(nursery, worker, invocation)
                due += gaps.uniform(0, 2 / rate)

    def final_operations(self) -> list[Iterator[Invocation]] | None:
        """Return the operations that each worker does at the end; None if the workload has no final phase.

        Raises:
          WorkloadError: if the workload's code is wrong.
        """
        found = []
        for worker in self._workers:
            with blaming(self._workload, "final_invocations"):
                found.append(self._workload.final_invocations(self._context(worker)))
        if all(operations is None for operations in found):
            return None
        return [checked_operations(self._workload, operations) for operations in found]

    async def final_phase(self, operations: Sequence[Iterator[Invocation]]) -> None:
        """Let each worker do its *operations*, one after another; return when all have ended."""
        until = trio.current_time() + self._workload.final_limit
        async with trio.open_nursery() as nursery:
            for worker, each in zip(self._workers, operations, strict=True):
                nursery.start_soon(self._finish, worker, each, until)
            nursery.cancel_scope.deadline = until + PATIENCE
        self.check_ended(nursery.cancel_scope)

    async def audit(self, nodes: Sequence[str], last: Invocation) -> None:
        """Do *last*, a read, once on each of *nodes*, all at the same time, with new clients."""
        first = max([0, *(worker.view.process + 1 for worker in self._workers)])
        async with trio.open_nursery() as nursery:
            for process, node_id in enumerate(nodes, first + self._audited):
                auditor = self._make(process, node_id, process, is_auditor=True)
                nursery.start_soon(self._audit_one, auditor, last)
            nursery.cancel_scope.deadline = trio.current_time() + PATIENCE
        self.check_ended(nursery.cancel_scope)
        self._audited += len(nodes)

    async def leftovers(self, nodes: Sequence[str]) -> dict[str, str]:
        """Return what the *nodes* have of an earlier run, by node, in their order; see `Workload.leftovers`.

        A node that answers with an error is left out: it may need others that are not ready yet.

        Raises:
          WorkloadError: if the workload's code is wrong.
        """
        found: dict[str, str] = {}
        mistakes: list[WorkloadError] = []

        async def ask(index: int, node_id: str) -> None:
            client = self.clients.open()
            try:
                with blaming_in_task(self._workload, "leftovers", but=(RpcError, msgspec.ValidationError)):
                    text = await self._workload.leftovers(self._view(client, index, node_id, index))
                left = checked_leftovers(self._workload, text)
                if left is not None:
                    found[node_id] = left
            except WorkloadError as exc:
                mistakes.append(exc)
            except (RpcError, msgspec.ValidationError):
                pass
            finally:
                client.close()

        async with trio.open_nursery() as nursery:
            for index, node_id in enumerate(nodes):
                nursery.start_soon(ask, index, node_id)
        for mistake in mistakes:  # raised in a task, it would arrive in an exception group
            raise mistake
        return {node_id: found[node_id] for node_id in nodes if node_id in found}

    # Workloads that go on without end

    def check_ended(self, scope: trio.CancelScope) -> None:
        """Check that *scope* did not have to cancel any operations, and nobody else cancelled it.

        Raises:
          WorkloadError: if so; the text says where one of the operations was.
        """
        if scope.cancelled_caught and trio.current_time() < scope.deadline:
            text = f"invoke() cancelled tasks of the run, in {self._cancelled_in}; cancel only scopes that it enters"
            raise refusal(self._workload, text)
        if scope.cancelled_caught:
            raise refusal(
                self._workload,
                f"invoke() did not return within {PATIENCE:g} s after the phase; it waited in {self._cancelled_in}",
            )

    def method_of(self, tasks: Sequence[trio.lowlevel.Task]) -> str | None:
        """Return the method of the workload that most of *tasks* are in; None if most are in no such method."""
        found = Counter(map(_method_of, tasks)).most_common(1)
        return found[0][0] if found else None

    def has_raced(self, messages: int) -> bool:
        """Tell whether enough final operations began in the last second to explain this number of *messages*."""
        since = self._network.now() - 10**9
        begun = sum(op.type == "invoke" and op.final and op.time >= since for op in self._history)
        return begun * _FEW_MESSAGES >= messages

    # One worker

    def _make(self, index: int, node_id: str, process: int, *, is_auditor: bool = False) -> _Worker:
        client = self.clients.open()
        return _Worker(client, self._view(client, index, node_id, process), is_auditor)

    def _view(self, client: Client, index: int, node_id: str, process: int) -> WorkloadClient:
        with blaming(self._workload, "client_state"):
            state = self._workload.client_state()
        ask = partial(client.rpc, node_id)
        return WorkloadClient(
            id=client.id, worker=index, process=process, node=node_id, state=state, ask=ask, timeout=self._timeout
        )

    def _replace_client(self, worker: _Worker) -> None:
        """Give *worker* a new client. As in Maelstrom, the old client still receives late replies until now."""
        worker.has_given_up = False
        worker.client.close()
        self.closed_clients[worker.client.id] = self._network.sent
        worker.client = self.clients.open()
        worker.view = self._view(worker.client, worker.view.worker, worker.view.node, worker.view.process)

    def _context(self, worker: _Worker) -> GeneratorContext:
        view = worker.view
        return GeneratorContext(worker=view.worker, process=view.process, node=view.node, time=self._network.now())

    def _next(self, worker: _Worker, draw: Random) -> Invocation | None:
        method = "next_invocation"
        with blaming_in_task(self._workload, method):
            found = self._workload.next_invocation(self._context(worker), draw)
        return None if found is None else checked_invocation(self._workload, method, found)

    async def _finish(self, worker: _Worker, operations: Iterator[Invocation], until: float) -> None:
        """Let *worker* do *operations*, but begin none after *until*."""
        method, is_first = "final_invocations", True
        with self._blaming():
            while trio.current_time() < until:
                with blaming_in_task(self._workload, method):
                    invocation = next(operations, None)
                if invocation is None:
                    return
                invocation = checked_invocation(self._workload, method, invocation)
                if not is_first:
                    await trio.sleep(self._workload.final_pause)
                is_first = False
                await self._perform(worker, invocation, is_final=True)

    @trio.lowlevel.enable_ki_protection  # Ctrl-C in start_soon would leave a coroutine that nobody awaits
    def _start(self, nursery: trio.Nursery, worker: _Worker, invocation: Invocation) -> None:
        nursery.start_soon(self._perform, worker, invocation)

    async def _perform(self, worker: _Worker, invocation: Invocation, is_final: bool = False) -> None:
        with self._blaming():
            if worker.has_given_up:
                self._replace_client(worker)
            end = await self._carry_out(worker, invocation, is_final)
            if end.outcome == "info":  # it may still happen: the process has not finished, and begins nothing else
                worker.view.process += len(self._workers)
                worker.has_given_up = end.is_crash or not self._workload.reuses_clients
            self._free.append(worker.view.worker)
            self._freed.set()
            self._ended()

    async def _audit_one(self, auditor: _Worker, last: Invocation) -> None:
        with self._blaming():
            await self._carry_out(auditor, last, is_final=True)

    @contextlib.contextmanager
    def _blaming(self) -> Iterator[None]:
        """End the run if the workload's code is wrong. Raised in a task, the error would arrive in exception groups."""
        try:
            yield
        except WorkloadError as exc:
            self._blame(exc)

    async def _carry_out(self, worker: _Worker, invocation: Invocation, is_final: bool) -> _End:
        """Let *worker* do one operation, and return how it ended."""
        f, value = invocation
        self._record(worker, f, _End("invoke", value), is_final)
        end = await self._invoke(worker, f, value)
        self._record(worker, f, end, is_final)
        return end

    async def _invoke(self, worker: _Worker, f: str, value: Any) -> _End:
        try:
            with blaming_in_task(self._workload, "invoke", but=(RpcError, msgspec.ValidationError, ClientCrash)):
                return _End("ok", await self._workload.invoke(worker.view, f, value))
        except trio.Cancelled as exc:
            self._cancelled_in = place_of_error(exc)
            raise
        except RpcError as exc:
            with blaming(self._workload, "outcome"):
                returned, text = self._workload.outcome(f, exc), str(exc)
            outcome = checked_outcome(self._workload, returned)
            return _End(outcome, value, text, None if isinstance(exc, RpcTimeout) else exc.code)
        except ClientCrash as exc:
            return _End("info", value, text_of(exc), is_crash=True)
        except msgspec.ValidationError as exc:
            self.malformed.append(f"node {worker.view.node!r} answered {f!r} with a malformed reply: {exc}")
            return _End("info", value, f"malformed reply: {exc}")

    def _record(self, worker: _Worker, f: str, end: _End, is_final: bool) -> None:
        value = checked_value(self._workload, f, end.value) if self._is_foreign else end.value
        op = Op(
            index=len(self._history),
            time=self._network.now(),
            type=end.outcome,
            process=worker.view.process,
            f=f,
            value=value,
            error=end.error,
            code=end.code,
            final=is_final,
            node=worker.view.node,
            audit=worker.is_auditor,
        )
        self._history.append(op)
        self.seal.add(op)
        with blaming(self._workload, "update"):
            self._workload.update(op)


_METHODS_IN: Final = {
    WorkerPool._invoke.__code__: "invoke",
    WorkerPool._finish.__code__: "final_invocations",
}
"""The code that calls methods of a workload which may go on without end, and these methods."""


def _method_of(task: trio.lowlevel.Task | None) -> str | None:
    """Return the method of the workload that *task*, or the one that started it and so on, is in; None if in none."""
    while task is not None:
        called = [_METHODS_IN[frame.f_code] for frame, _ in task.iter_await_frames() if frame.f_code in _METHODS_IN]
        if called:
            return called[-1]
        task = None if task.parent_nursery is None else task.parent_nursery.parent_task
    return None
