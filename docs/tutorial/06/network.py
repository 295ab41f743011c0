import itertools
import json
import math
import runpy
import sys

import trio
from trio.testing import MockClock

from trio_messenger import ErrorCode
from trio_messenger.transports.memory import memory_transport_pair

NAMES = ["n1", "n2"]
LOST = {int(number) for number in sys.argv[1:]}

numbers = itertools.count(1)
ends = {}  # the network's end of the line to each node
for_client, from_nodes = trio.open_memory_channel(math.inf)


async def carry(src, dest, body):
    """Tell of a message, give it a number, and deliver it, unless it is one of those to lose."""
    number = next(numbers)
    error = f" {body['code']}: {body['text']}" if body["type"] == "error" else ""
    lost = "   (lost)" if number in LOST else ""
    print(f"{number:2} {src} -> {dest} {body['type']}{error}{lost}")
    if not lost:
        await deliver(src, dest, body)


async def deliver(src, dest, body):
    await trio.sleep(0.01)
    if dest in ends:
        await ends[dest].send([json.dumps({"src": src, "dest": dest, "body": body}).encode()])
    else:
        for_client.send_nowait(body)


async def listen(name):
    """Take what a node sends; the answers to `init` and `read` have no number and are not told of."""
    async for batch in ends[name]:
        for message in batch:
            bring = deliver if message.body["type"] in ("init_ok", "read_ok") else carry
            await bring(message.src, message.dest, message.body)


async def answer():
    with trio.move_on_after(10):
        return await from_nodes.receive()
    print("   c1 has heard nothing for 10 s")
    return {}


async def client():
    """Pin a note, once more after each error 11, and then read both boards."""
    for name in NAMES:
        await deliver("c1", name, {"type": "init", "node_id": name, "node_ids": NAMES, "msg_id": 0})
        await answer()
    for msg_id in itertools.count(1):
        await carry("c1", "n1", {"type": "broadcast", "message": "milk is out", "msg_id": msg_id})
        if (await answer()).get("code") != ErrorCode.TEMPORARILY_UNAVAILABLE:
            break
    for name in NAMES:
        await deliver("c1", name, {"type": "read", "msg_id": 1000})
        print(f"the board of {name}: {(await answer())['messages']}")


async def main():
    async with trio.open_nursery() as nursery:
        for name in NAMES:
            ends[name], end_of_node = memory_transport_pair()
            nursery.start_soon(runpy.run_path("board.py")["node"].serve, end_of_node)
            nursery.start_soon(listen, name)
        await client()
        nursery.cancel_scope.cancel()


trio.run(main, clock=MockClock(autojump_threshold=0))
