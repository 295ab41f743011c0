"""Kafka nodes that are wrong."""

from __future__ import annotations

from typing import Any

from support.log_nodes import Logs, again, build
from trio_messenger import ErrorCode, Node, RpcError, RpcTimeout


class _InMemory:
    def __init__(self, node: Node) -> None:  # noqa: ARG002 - nothing is shared
        self._logs: dict[str, list[Any]] = {}

    async def append(self, key: str, message: Any) -> int:
        log = self._logs.setdefault(key, [])
        log.append(message)
        return len(log) - 1

    async def read(self, key: str) -> list[Any]:
        return self._logs.get(key, [])


def keeps_logs_to_itself() -> Node:
    """Has logs of its own, as if there were no other node."""
    return build(_InMemory)


def forgets() -> Node:
    """Keeps its logs only in memory, so they are gone when it is killed."""
    return build(_InMemory)


class _Overwriting(Logs):
    async def append(self, key: str, message: Any) -> int:
        log = await self.read(key)
        await self.kv.write(f"log {key}", [*log, message])
        return len(log)


def overwrites() -> Node:
    """Reads a log and writes it in two steps."""
    return build(_Overwriting)


class _Repeating(Logs):
    async def append(self, key: str, message: Any) -> int:
        return await again(lambda: super(_Repeating, self).append(key, message))


def appends_twice() -> Node:
    """Appends again when it does not know whether it has appended."""
    return build(_Repeating)


class _Refusing(Logs):
    async def append(self, key: str, message: Any) -> int:
        try:
            return await super().append(key, message)
        except RpcTimeout:
            raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, "the log is busy") from None


def says_it_did_not() -> Node:
    """Refuses a message for certain when it does not know whether it has appended it."""
    return build(_Refusing)


class _Early(Logs):
    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._node = node

    async def append(self, key: str, message: Any) -> int:
        log = await self.read(key)
        self._node.background(self._write, key, message)
        return len(log)

    async def _write(self, key: str, message: Any) -> None:
        await super().append(key, message)


def acknowledges_early() -> Node:
    """Acknowledges a message with the offset that it should get, and appends it later."""
    return build(_Early)


def leaves_out_the_next() -> Node:
    """Takes the offset that a client wants for the last one that it has."""
    return build(returns=lambda log, start: list(enumerate(log))[start + 1 :])


def returns_the_last_again() -> Node:
    """Takes the offset that a client wants for the next one after it."""
    return build(returns=lambda log, start: list(enumerate(log))[max(0, start - 1) :])
