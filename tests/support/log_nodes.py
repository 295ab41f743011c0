"""Kafka nodes: a plain one that keeps its logs in a service, and what wrong ones change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs

from trio_messenger import LIN_KV, Body, KeyValue, Node, RpcTimeout

Read = TypeVar("Read")


@attrs.frozen
class Send:
    """A message for the log of a key."""

    key: str
    msg: Any


@attrs.frozen
class Poll:
    """From where to read which logs."""

    offsets: dict[str, int]


class Logs:
    """The logs of all keys, each as a list in `LIN_KV`, and the committed offsets."""

    def __init__(self, node: Node) -> None:
        self.kv = KeyValue(node, LIN_KV, timeout=0.5)

    async def append(self, key: str, message: Any) -> int:
        """Append *message*, and return its offset."""
        log = await self.kv.update(f"log {key}", lambda log: [*(log or []), message])
        return len(log) - 1

    async def read(self, key: str) -> list[Any]:
        """Return all messages."""
        return await again(lambda: self.kv.read(f"log {key}", default=[], as_=list[Any]))


async def again(read: Callable[[], Awaitable[Read]]) -> Read:
    """Do what may be done twice, up to five times."""
    for _ in range(4):
        try:
            return await read()
        except RpcTimeout:
            continue
    return await read()


def build(
    make_logs: Callable[[Node], Any] = Logs,
    *,
    returns: Callable[[list[Any], int], list[Any]] = lambda log, start: list(enumerate(log))[start:],
) -> Node:
    """Return a node that serves the kafka workload.

    Args:
      make_logs: Makes what has `append` and `read`.
      returns: Returns what a poll returns of a log from an offset on.
    """
    node = Node()
    logs = make_logs(node)
    commits = KeyValue(node, LIN_KV, timeout=0.5)

    @node.on("send")
    async def send(body: Send) -> Body:
        return {"offset": await logs.append(body.key, body.msg)}

    @node.on("poll")
    async def poll(body: Poll) -> Body:
        return {"msgs": {key: returns(await logs.read(key), start) for key, start in body.offsets.items()}}

    @node.on("commit_offsets")
    async def commit(body: Poll) -> Body:
        def merged(committed: dict[str, int] | None) -> dict[str, int]:
            known = committed or {}
            return known | {key: max(offset, known.get(key, -1)) for key, offset in body.offsets.items()}

        await again(lambda: commits.update("committed", merged))
        return {}

    @node.on("list_committed_offsets")
    async def list_committed() -> Body:
        return {"offsets": await again(lambda: commits.read("committed", default={}))}

    return node
