"""Transactions on lists and registers that are wrong: all is one value of a service."""

from __future__ import annotations

from typing import Any, TypeAlias

from trio_messenger import LIN_KV, SEQ_KV, Body, KeyValue, Node, Request

Contents: TypeAlias = dict[str, Any]
"""The list or the value of each key."""


def reads_the_past() -> Node:
    """Return a node whose transactions that only read ask a service that may answer from an old state."""
    return _database(service=SEQ_KV)


def overwrites() -> Node:
    """Return a node that reads and writes, and does not see what others write in between."""
    return _database(compares=False)


def does_one_at_a_time() -> Node:
    """Return a node that does each operation by itself, so others come in between."""
    return _database(is_atomic=False)


def does_not_see_its_own() -> Node:
    """Return a node whose reads do not see what the same transaction wrote before."""
    return _database(sees_its_own=False)


def keeps_its_own() -> Node:
    """Return a node whose contents no other node sees."""
    return _database(shares=False)


def _database(
    *,
    service: str = LIN_KV,
    compares: bool = True,
    is_atomic: bool = True,
    sees_its_own: bool = True,
    shares: bool = True,
) -> Node:
    node = Node()
    store = KeyValue(node, service)

    async def change(operations: list[list[Any]]) -> list[list[Any]]:
        name = "contents" if shares else f"contents of {node.id}"
        done: list[list[Any]] = []

        def apply(contents: Contents) -> Contents:
            done[:], after = _apply(operations, contents, sees_its_own=sees_its_own)
            return after

        if all(f == "r" for f, _, _ in operations):
            apply(await store.read(name, default={}))
        elif compares:
            await store.update(name, apply, default={})
        else:
            await store.write(name, apply(await store.read(name, default={})))
        return done

    @node.on("txn")
    async def txn(request: Request) -> Body:
        operations = request.body["txn"]
        if is_atomic:
            return {"txn": await change(operations)}
        return {"txn": [each for operation in operations for each in await change([operation])]}

    return node


def _apply(operations: list[list[Any]], contents: Contents, *, sees_its_own: bool) -> tuple[list[list[Any]], Contents]:
    after = dict(contents)
    done = []
    for f, key, value in operations:
        if f == "append":
            after[f"{key}"] = [*after.get(f"{key}", []), value]
        elif f == "w":
            after[f"{key}"] = value
        seen = after if sees_its_own else contents
        done.append([f, key, seen.get(f"{key}") if f == "r" else value])
    return done, after
