"""Registers that are not linearizable."""

from __future__ import annotations

import itertools
from typing import Any

from trio_messenger import LIN_KV, Body, KeyValue, Node, Request, RpcError


def forgets() -> Node:
    """Return a node that does not find any key any more after ten reads."""
    return _proxy(most_reads=10)


def reads_from_memory() -> Node:
    """Return a node that asks for each key once, and then repeats what it was told."""
    return _proxy(remembers=True)


def sets_in_steps() -> Node:
    """Return a node that compares and sets in three steps, between which others may write."""
    return _proxy(is_atomic=False)


def keeps_its_own() -> Node:
    """Return a node whose registers no other node sees."""
    return _proxy(shares=False)


def _proxy(
    *, most_reads: int | None = None, remembers: bool = False, is_atomic: bool = True, shares: bool = True
) -> Node:
    node = Node()
    service = KeyValue(node, LIN_KV)
    memory: dict[str, Any] = {}
    reads = itertools.count()

    def key_in(request: Request) -> str:
        return f"{request.body['key']}" if shares else f"{node.id} {request.body['key']}"

    @node.on("read")
    async def read(request: Request) -> Body:
        key = key_in(request)
        if most_reads is not None and next(reads) >= most_reads:
            raise RpcError(20, "there is no such key")
        if not (remembers and key in memory):
            memory[key] = await service.read(key)
        return {"value": memory[key]}

    @node.on("write")
    async def write(request: Request) -> Body:
        await service.write(key_in(request), request.body["value"])
        return {}

    @node.on("cas")
    async def cas(request: Request) -> Body:
        key, old, new = key_in(request), request.body["from"], request.body["to"]
        if is_atomic:
            await service.cas(key, old, new)
            return {}
        found = await service.read(key)
        if found != old:
            raise RpcError(22, f"it is {found}")
        await service.write(key, new)
        return {}

    return node
