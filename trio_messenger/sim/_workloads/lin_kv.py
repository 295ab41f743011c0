"""The lin-kv workload: registers with read, write and compare-and-set, which behave as if there were only one node."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Final, TypeAlias, final

import attrs

from trio_messenger import Body, ErrorCode, RpcError

from .._checkers import Results
from .._checkers.lin_kv import lin_kv
from .._explanation import Finding
from .._explanation.lin_kv import explain as explain_lin_kv
from .._explanation.scene import Scene
from .._records.cut_texts import cut_json
from .._records.history import History, Op
from ..pictures import Picture
from ..pictures._lin_kv import pictures_of_lin_kv
from .base import Workload
from .interface import GeneratorContext, Invocation, Reply, WorkloadClient
from .shapes import Shape

VALUES: Final = 5
"""Values are whole numbers from 0 up to this one, so that compare-and-set succeeds now and then."""

PROCESSES_PER_KEY: Final = 20
"""A key is replaced when so many processes have used it, as in Maelstrom. Operations that ended as ``info`` stay open,
and the time of the search for an order is exponential in the number of open operations."""

THE_REGISTER: Final = "register"
"""The key for histories without keys. Many of Jepsen's tests have one register."""

_Pair: TypeAlias = tuple[Any, Any]
"""A key and an argument or a result."""


def _has_key(op: Op) -> bool:
    """Tell whether the value of *op*, the beginning of an operation, is a pair with a key."""
    match op.value:
        case [_, [_, _]]:
            return True
        case [_, _]:
            return op.f != "cas"
    return False


class _ReadOk(Reply, kw_only=True):
    value: Any


class _Group:
    """Workers that use one key at the same time."""

    def __init__(self, key: int) -> None:
        self.key = key
        self.processes: set[int] = set()


@final
class LinKvRegisters(Workload):
    """``read`` with a ``key``; ``write`` with a ``key`` and a ``value``; ``cas`` with a ``key``, ``from`` and ``to``.

    The value of an operation is a pair: the key, and the value written or read, or ``[from, to]``. With N nodes, each
    group of 2N workers uses one key at a time. Its first N workers only read, one at each node; the others write and
    compare-and-set. This is the generator of Jepsen's ``linearizable-register``, as Maelstrom uses it.

    A read that is answered with error 20 has observed that the key is absent. It ends as ``ok``, with null as its
    value. Maelstrom drops it, and so overlooks nodes that lose their data.
    """

    name = "lin-kv"
    summary = "registers that behave as if there were only one node"
    rules = (
        "Clients read, write and compare-and-set registers. The nodes have to answer as if each operation happened at"
        " one instant between its request and its reply, one operation after another: a read has to return the value"
        " of the last write before that instant."
    )
    replies: ClassVar[dict[str, type[Reply]]] = {"read": _ReadOk, "write": Reply, "cas": Reply}
    shapes: ClassVar[Mapping[str, Shape]] = {
        "read": Shape(begun=_Pair, ok=_Pair),
        "write": Shape(begun=_Pair),
        "cas": Shape(begun=tuple[Any, tuple[Any, Any]]),
    }
    idempotent: ClassVar[frozenset[str]] = frozenset({"read"})
    reuses_clients = True
    clients_per_node = 2

    def __init__(self) -> None:
        self._keys = itertools.count()
        self._groups: dict[int, _Group] = {}
        self._has_keys: bool | None = None  # of a history from elsewhere; its first entry decides

    def check_setting(self) -> None:
        """Refuse a number of workers that does not fill groups; see `Workload.check_setting`."""
        size, count = self._group_size, self.setting.concurrency
        if count % size:
            fitting = -(-count // size) * size
            raise ValueError(
                f"concurrency is {count}; the lin-kv workload needs a multiple of twice the number of nodes, which is"
                f" {size}: give {fitting}"
            )

    @property
    def _group_size(self) -> int:
        return 2 * len(self.setting.nodes)

    def next_invocation(self, context: GeneratorContext, random: Random) -> Invocation:
        """Return a read, or a write or compare-and-set, depending on the worker; see `Workload.next_invocation`."""
        number, place = divmod(context.worker, self._group_size)
        group = self._group(number, context.process)
        if place < len(self.setting.nodes):
            return "read", [group.key, None]
        if random.randrange(3) == 0:
            return "write", [group.key, random.randrange(VALUES)]
        return "cas", [group.key, [random.randrange(VALUES), random.randrange(VALUES)]]

    def _group(self, number: int, process: int) -> _Group:
        """Return the group with this *number*, with a new key if *process* is one too many."""
        group = self._groups.get(number)
        if group is None or (process not in group.processes and len(group.processes) >= PROCESSES_PER_KEY):
            group = self._groups[number] = _Group(next(self._keys))
        group.processes.add(process)
        return group

    def client_timeout(self) -> float:
        """Return ten times the mean latency, and at least a second, as in Maelstrom."""
        return max(10 * self.setting.latency / 1000, 1.0)

    async def invoke(self, client: WorkloadClient, f: str, value: Any) -> Any:
        """Do one operation; a read that is answered with error 20 returns null. See `Workload.invoke`."""
        try:
            return await super().invoke(client, f, value)
        except RpcError as exc:
            if f == "read" and exc.code == ErrorCode.KEY_DOES_NOT_EXIST:
                return [value[0], None]
            raise

    async def leftovers(self, client: WorkloadClient) -> str | None:
        """Return the value of the first register that has one, of those with which the run begins.

        See `Workload.leftovers`.
        """
        for key in range(self.setting.concurrency // self._group_size):
            _, found = await self.invoke(client, "read", [key, None])
            if found is not None:
                return f"has the value {cut_json(found)} in the register {key}"
        return None

    def request(self, f: str, value: Any) -> Body:
        """Return the request; see `Workload.request`."""
        key, argument = value
        if f == "read":
            return {"type": f, "key": key}
        if f == "write":
            return {"type": f, "key": key, "value": argument}
        return {"type": f, "key": key, "from": argument[0], "to": argument[1]}

    def completed(self, f: str, value: Any, reply: Any) -> Any:
        """Return the pair of the key and the value read, or the invocation's value; see `Workload.completed`."""
        return [value[0], reply.value] if f == "read" else value

    def adopt(self, op: Op) -> Op:
        """Return an entry with the key `THE_REGISTER` if the history is about one register; see `Workload.adopt`.

        A read that ended with error 20, which Maelstrom records as failed, becomes a read of null.
        """
        if self._has_keys is None:
            self._has_keys = _has_key(op)
        if not self._has_keys:
            op = attrs.evolve(op, value=[THE_REGISTER, op.value])
        if (op.f, op.type, op.code) == ("read", "fail", ErrorCode.KEY_DOES_NOT_EXIST) and isinstance(op.value, list):
            op = attrs.evolve(op, type="ok", value=[*op.value[:1], None], error=None, code=None)
        return super().adopt(op)

    def check(self, history: History) -> Results:
        """Judge the history."""
        return lin_kv(history)

    def explain(self, results: Results, scene: Scene) -> list[Finding]:
        """Name the operations, values and messages; see `Workload.explain`."""
        return explain_lin_kv(results, scene)

    def pictures(self, results: Results, scene: Scene) -> Sequence[Picture]:
        """Draw the operations around each violation; see `Workload.pictures`."""
        return pictures_of_lin_kv(results, scene.history)
