"""The network of the examples: nodes n1, n2, ... in one process, on a clock that skips all waiting."""

import json
from collections.abc import Awaitable, Callable

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Message, Node, Transport
from trio_messenger.transports.memory import memory_transport_pair

Main = Callable[[], Awaitable[None]]
Copies = Callable[[Message], int]


def run(main: Main, *nodes: Node, copies: Copies = lambda _: 1) -> None:
    """Serve *nodes* until *main* ends. *copies* returns how many copies of a message arrive: 0 for a lost one."""
    trio.run(_serve, main, nodes, copies, clock=MockClock(autojump_threshold=0))


async def _serve(main: Main, nodes: tuple[Node, ...], copies: Copies) -> None:
    ends: dict[str, Transport] = {}
    async with trio.open_nursery() as nursery:
        for number, node in enumerate(nodes, start=1):
            here, ends[f"n{number}"] = memory_transport_pair()
            nursery.start_soon(node.serve, here)
        for name in ends:
            nursery.start_soon(_forward, ends, name, copies)
            init = {"type": "init", "node_id": name, "node_ids": list(ends), "msg_id": 1}
            await _send(ends, "c0", name, init)
        await wait_all_tasks_blocked()
        await main()
        nursery.cancel_scope.cancel()


async def _forward(ends: dict[str, Transport], name: str, copies: Copies) -> None:
    async for batch in ends[name]:
        for message in batch:
            for _ in range(copies(message) if message.dest in ends else 0):
                await _send(ends, message.src, message.dest, message.body)


async def _send(ends: dict[str, Transport], src: str, dest: str, body: Body) -> None:
    await ends[dest].send([json.dumps({"src": src, "dest": dest, "body": body}).encode()])
