"""Histories of a register that is right, with clients that always have an operation in flight."""

from __future__ import annotations

from random import Random
from typing import Any

import attrs

from trio_messenger.sim import History, Op


@attrs.define
class _Client:
    process: int
    f: str = ""
    value: Any = None
    result: tuple[Any, Any] | None = None  # the type of the end and its value, as soon as the operation took effect


def busy_registers(
    clients: int,
    count: int,
    *,
    seed: int,
    values: int = 5,
    readers: int | None = None,
    writes: tuple[str, ...] = ("write", "cas", "cas"),
    lost: float = 0.0,
) -> History:
    """Return a history of one register, with the key 0.

    Args:
      clients: The number of clients; each begins its next operation as soon as one has ended.
      count: The number of operations.
      seed: Of all chance.
      values: The number of different values.
      readers: How many clients only read; by default half of them, as in Maelstrom's lin-kv.
      writes: What the others do, each with the same probability.
      lost: The fraction of their operations whose outcome nobody knows.
    """
    random = Random(seed)
    ops: list[Op] = []
    state: Any = None
    only_read = clients // 2 if readers is None else readers
    all_clients = [_Client(process) for process in range(clients)]

    def note(client: _Client, type_: Any, value: Any) -> None:
        time = len(ops) * 100_000
        ops.append(Op(index=len(ops), time=time, type=type_, process=client.process, f=client.f, value=[0, value]))

    def begin(client: _Client) -> None:
        client.f = "read" if client.process % clients < only_read else random.choice(writes)
        value = [random.randrange(values), random.randrange(values)]
        client.value = {"read": None, "write": value[0], "cas": value}[client.f]
        client.result = None
        note(client, "invoke", client.value)

    for client in all_clients:
        begin(client)
    begun = clients
    while begun < count:
        client = random.choice(all_clients)
        if client.result is None:
            client.result = ("ok", state if client.f == "read" else client.value)
            if client.f == "write":
                state = client.value
            elif client.f == "cas" and state == client.value[0]:
                state = client.value[1]
            elif client.f == "cas":
                client.result = ("fail", client.value)
            continue
        if client.f != "read" and random.random() < lost:
            note(client, "info", client.value)
            client.process += clients
        else:
            note(client, *client.result)
        begin(client)
        begun += 1
    return History(ops)
