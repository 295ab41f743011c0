"""The kafka workload: logs to which clients append messages, and which they poll."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from random import Random
from typing import Any, ClassVar, Final, TypeAlias, TypeVar, final

from .._checkers import Results
from .._checkers.kafka.checker import kafka
from .._checkers.kafka.log_operations import TRANSACTIONS, check_steps
from .._explanation import Finding
from .._explanation.kafka import explain as explain_kafka
from .._explanation.scene import Scene
from .._records.cut_texts import cut_json
from .._records.history import History, Op
from .base import Workload
from .interface import ClientCrash, GeneratorContext, Invocation, Reply, WorkloadClient
from .log_traffic import FinalPolls, LogTraffic, polled_offsets
from .shapes import Shape

CRASH_INTERVAL: Final = 30.0
"""Seconds between two crashes of the client of one worker, on average, as in Jepsen."""

Positions: TypeAlias = dict[str, int]
"""The keys that a client polls, each with the offset that it wants next."""

_Reply = TypeVar("_Reply", bound=Reply)


_KEYS: Final = Shape(begun=list[str | int], ok=list[str | int])


class _SendOk(Reply, kw_only=True):
    offset: int


class _PollOk(Reply, kw_only=True):
    msgs: dict[str, list[tuple[int, Any]]]


class _ListCommittedOffsetsOk(Reply, kw_only=True):
    offsets: dict[str, int]


@final
class Kafka(Workload):
    """``send`` to the log of a key, ``poll`` of the keys that a client has, ``assign`` for other keys, and ``crash``.

    A poll begins at the offsets after those that the client polled last. After a poll that returned messages, the
    client commits their offsets. A client that gets a new key begins after the committed offset. After a crash, a new
    client has no keys. At the end, each worker polls all logs from the beginning.
    """

    name = "kafka"
    summary = "logs of messages, with offsets"
    rules = (
        "Clients append messages to logs, each at one node, and poll logs. The offsets of a log have to increase, with"
        " one message at each. Polls have to return all messages in this order, without leaving any out. At the end,"
        " clients have to get every message that a node has acknowledged, which means confirmed to a client."
    )
    replies: ClassVar[dict[str, type[Reply]]] = {
        "send": _SendOk,
        "poll": _PollOk,
        "commit_offsets": Reply,
        "list_committed_offsets": _ListCommittedOffsetsOk,
    }
    shapes: ClassVar[Mapping[str, Shape]] = {
        "assign": _KEYS,
        "subscribe": _KEYS,
        "crash": Shape(),
        "debug-topic-partitions": Shape(),
        **dict.fromkeys(TRANSACTIONS, Shape()),
    }
    """With the functions of Jepsen's tests of real databases."""
    idempotent: ClassVar[frozenset[str]] = frozenset({"assign"})
    """An assignment changes only the client."""
    final_pause: ClassVar[float] = 0.2
    """As in Jepsen, on average."""
    final_limit: ClassVar[float] = 10.0
    """As in Maelstrom. A node that loses messages cannot return them, however long clients poll."""

    def __init__(self) -> None:
        self._next_crash: float | None = None  # seconds since the main phase began
        self._with_keys: set[int] = set()  # the workers whose clients have keys to poll
        self._final_polls: list[FinalPolls] = []  # of each worker; made when the main phase has ended

    def next_invocation(self, context: GeneratorContext, random: Random) -> Invocation:
        """Return the next operation; see `Workload.next_invocation`."""
        if self._next_crash is None:
            self._next_crash = self._until_crash(random)
        if context.time / 1e9 >= self._next_crash:
            self._next_crash += self._until_crash(random)
            return "crash", None
        return self._traffic.next(random, has_keys=context.worker in self._with_keys)

    def _until_crash(self, random: Random) -> float:
        return random.uniform(0, 2 * CRASH_INTERVAL / self.setting.concurrency)

    @cached_property
    def _traffic(self) -> LogTraffic:
        return LogTraffic(self.setting.key_count, self.setting.max_writes_per_key)

    def update(self, op: Op) -> None:
        """Note the offsets of messages; see `Workload.update`."""
        worker = op.process % self.setting.concurrency
        if op.type == "invoke":
            return
        if op.final:
            self._final_polls[worker].note(op)
        elif op.type == "info":
            self._with_keys.discard(worker)  # its next client is new
        elif op.type == "ok" and op.f == "assign":
            self._with_keys.add(worker)
        elif op.type == "ok":
            self._traffic.note(op.value)

    def final_invocations(self, context: GeneratorContext) -> Iterator[Invocation]:
        """Return the polls of all logs; see `Workload.final_invocations`."""
        if not self._final_polls:
            self._final_polls = [FinalPolls(self._traffic.ends) for _ in range(self.setting.concurrency)]
        return iter(self._final_polls[context.worker])

    def client_state(self) -> Positions:
        """Return no keys; see `Workload.client_state`."""
        return {}

    async def leftovers(self, client: WorkloadClient) -> str | None:
        """Return the first of the logs with which the run begins that has a message; see `Workload.leftovers`."""
        beginnings = {f"{key}": 0 for key in range(self.setting.key_count)}
        polled = await self._ask(client, _PollOk, "poll", offsets=beginnings)
        for key, pairs in polled.msgs.items():
            if pairs:
                return f"has the message {cut_json(pairs[0][1])} in the log {cut_json(key)}"
        return None

    async def invoke(self, client: WorkloadClient, f: str, value: Any) -> Any:
        """Do one operation; see `Workload.invoke`."""
        if f == "crash":
            raise ClientCrash("the client crashed, as the workload wants")
        if f == "assign":
            client.state = await self._assigned(client, value)
            return value
        if f == "send":
            [[_, key, message]] = value
            sent = await self._ask(client, _SendOk, "send", key=key, msg=message)
            return [["send", key, [sent.offset, message]]]
        return await self._poll(client)

    async def _assigned(self, client: WorkloadClient, keys: list[str]) -> Positions:
        """Return where *client* begins to poll *keys*: where it is, or after what was committed."""
        if self._final_polls:
            return dict.fromkeys(keys, 0)
        known: Positions = client.state
        committed = await self._ask(client, _ListCommittedOffsetsOk, "list_committed_offsets", keys=keys)
        return {key: known.get(key, committed.offsets.get(key, -1) + 1) for key in keys}

    async def _poll(self, client: WorkloadClient) -> Any:
        positions: Positions = client.state
        polled = await self._ask(client, _PollOk, "poll", offsets=positions)
        value = [["poll", {key: [[*pair] for pair in pairs] for key, pairs in polled.msgs.items()}]]
        offsets = polled_offsets(value)
        if offsets:
            await self._ask(client, Reply, "commit_offsets", offsets=offsets)
        # Only now: after a poll that failed, the next one asks for the same messages.
        client.state = positions | {key: max(positions.get(key, 0), last + 1) for key, last in offsets.items()}
        return value

    async def _ask(self, client: WorkloadClient, schema: type[_Reply], f: str, **fields: Any) -> _Reply:
        reply = self.parse(f, await client.rpc({"type": f, **fields}))
        assert isinstance(reply, schema)
        return reply

    def adopt(self, op: Op) -> Op:
        """Return the entry, after checking its value; see `Workload.adopt`."""
        if op.f in TRANSACTIONS:
            check_steps(op)
            return op
        return super().adopt(op)

    def check(self, history: History) -> Results:
        """Judge the history."""
        return kafka(history)

    def explain(self, results: Results, scene: Scene) -> list[Finding]:
        """Name the messages, offsets and operations; see `Workload.explain`."""
        return explain_kafka(results, scene)
