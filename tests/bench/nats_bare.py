"""The reference on NATS: what nats-py costs by itself, on trio-asyncio or (``nats_bare.py PORT asyncio``) on asyncio.

It decodes each message, answers it, and encodes the answer, as `bench.bare` does; it has no RPCs, no counters, and no
limits besides those of nats-py.
"""

from __future__ import annotations

import asyncio
import sys

import nats
import trio
import trio_asyncio
from bench.bare import answer
from nats.aio.msg import Msg


async def serve(port: str) -> None:
    """Answer until the process is killed."""
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    count = 0

    async def receive(message: Msg) -> None:
        nonlocal count
        count += 1
        await client.publish("messenger.bench.c1.n1", answer(message.data, count))

    await client.subscribe("messenger.bench.n1.*", cb=receive)
    await asyncio.Event().wait()


async def main(port: str) -> None:
    async with trio_asyncio.open_loop():
        await trio_asyncio.aio_as_trio(serve)(port)


if __name__ == "__main__":
    if sys.argv[2:] == ["asyncio"]:
        asyncio.run(serve(sys.argv[1]))
    else:
        trio.run(main, sys.argv[1])
