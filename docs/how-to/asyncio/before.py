#!/usr/bin/env python3
import asyncio
import itertools
import json
import sys

node_id = ""
msg_ids = itertools.count(1)
replies: dict[int, asyncio.Future] = {}
tasks: set[asyncio.Task] = set()


def send(dest: str, body: dict) -> None:
    print(json.dumps({"src": node_id, "dest": dest, "body": body}), flush=True)


async def rpc(dest: str, body: dict, timeout: float) -> dict:
    msg_id = next(msg_ids)
    replies[msg_id] = asyncio.get_running_loop().create_future()
    send(dest, {**body, "msg_id": msg_id})
    try:
        async with asyncio.timeout(timeout):
            return await replies[msg_id]
    finally:
        del replies[msg_id]


async def generate(request: dict) -> None:
    try:
        reply = await rpc("lin-tso", {"type": "ts"}, timeout=0.5)
        answer = {"type": "generate_ok", "id": reply["ts"]}
    except TimeoutError:
        answer = {"type": "error", "code": 0, "text": "no reply from lin-tso"}
    send(request["src"], {**answer, "in_reply_to": request["body"]["msg_id"]})


async def main() -> None:
    global node_id  # noqa: PLW0603
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        message = json.loads(line)
        body = message["body"]
        if "in_reply_to" in body:
            if body["in_reply_to"] in replies:
                replies[body["in_reply_to"]].set_result(body)
        elif body["type"] == "init":
            node_id = body["node_id"]
            send(message["src"], {"type": "init_ok", "in_reply_to": body["msg_id"]})
        else:
            task = asyncio.create_task(generate(message))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


asyncio.run(main())
