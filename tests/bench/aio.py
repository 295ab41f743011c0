"""The reference written on asyncio: what a careful author would write there, with msgspec and with flow control.

Replies of all lines that are already read leave in one write: a callback that the loop runs as soon as ``readline``
has to wait. An RPC is a future in a dict, awaited under ``asyncio.timeout``; nothing else keeps account of it.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any, TypeAlias

import msgspec

Body: TypeAlias = dict[str, Any]

RPC_TIMEOUT = 2.0  # seconds

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode
spaced = msgspec.json.format


class Node:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._outbox: list[bytes] = []
        self._msg_ids = itertools.count()
        self._pending: dict[int, asyncio.Future[Body]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._id = ""

    async def serve(self) -> None:
        while line := await self._reader.readline():
            message = decode(line)
            body = message["body"]
            kind = body["type"]
            if "in_reply_to" in body:
                future = self._pending.pop(body["in_reply_to"], None)
                if future is not None and not future.done():
                    future.set_result(body)
            elif kind == "echo":
                self._reply(message, {"type": "echo_ok", "echo": body["echo"]})
            elif kind == "init":
                self._id = body["node_id"]
                self._reply(message, {"type": "init_ok"})
            else:
                task = self._loop.create_task(self._relay(message) if kind == "relay" else self._wait(message))
                self._tasks.add(task)  # the loop itself keeps weak references only
                task.add_done_callback(self._tasks.discard)
            if len(self._outbox) > 1000:
                self._flush()
                await self._writer.drain()
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._flush()
        await self._writer.drain()

    async def _relay(self, message: Body) -> None:
        reply = await self._rpc("n2", {"type": "fwd", "value": message["body"]["value"]})
        self._reply(message, {"type": "relay_ok", "value": reply["value"]})

    async def _wait(self, message: Body) -> None:
        await asyncio.sleep(0)
        self._reply(message, {"type": "wait_ok", "value": message["body"]["value"]})

    async def _rpc(self, dest: str, body: Body) -> Body:
        msg_id = next(self._msg_ids)
        future: asyncio.Future[Body] = self._loop.create_future()
        self._pending[msg_id] = future
        self._send(dest, {**body, "msg_id": msg_id})
        try:
            async with asyncio.timeout(RPC_TIMEOUT):
                return await future
        finally:
            self._pending.pop(msg_id, None)

    def _reply(self, message: Body, body: Body) -> None:
        in_reply_to = message["body"]["msg_id"]
        self._send(message["src"], {**body, "in_reply_to": in_reply_to, "msg_id": next(self._msg_ids)})

    def _send(self, dest: str, body: Body) -> None:
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(spaced(encode({"src": self._id, "dest": dest, "body": body}), indent=0))

    def _flush(self) -> None:
        if self._outbox:
            self._outbox.append(b"")
            self._writer.write(b"\n".join(self._outbox))
            self._outbox.clear()


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout)
    await Node(reader, asyncio.StreamWriter(transport, protocol, reader, loop)).serve()


if __name__ == "__main__":
    asyncio.run(main())
