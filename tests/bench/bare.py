"""The reference for echo: no framework, the least that CPython can do to decode a line, answer it and encode that.

It trusts its input, waits for nothing else, and knows one type of request. Three forms, each the fastest for its load:

- ``bare.py``: a ``for`` loop over the lines of stdin; stdout is buffered and flushed when 64 KiB are full and at the
  end. It may keep a reply back for as long as the input goes on, so it is for floods only.
- ``bare.py line``: the same loop, with each reply flushed. For a lone message.
- ``bare.py chunk``: reads what there is, answers all of its lines, writes once. For a load that waits for replies.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import msgspec

BUFFER = 64 * 1024  # what a pipe holds; the default of 8 KiB makes eight times the system calls

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode
spaced = msgspec.json.format


def answer(line: bytes, msg_id: int) -> bytes:
    message: dict[str, Any] = decode(line)
    body = message["body"]
    reply = {"type": "echo_ok", "echo": body["echo"], "in_reply_to": body["msg_id"], "msg_id": msg_id}
    return spaced(encode({"src": message["dest"], "dest": message["src"], "body": reply}), indent=0)


def initialise(line: bytes) -> bytes:
    in_reply_to = decode(line)["body"]["msg_id"]
    return spaced(
        encode({"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": in_reply_to, "msg_id": 0}}),
        indent=0,
    )


def line_by_line(*, flush: bool) -> None:
    lines = io.BufferedReader(io.FileIO(0, "rb", closefd=False), BUFFER)
    with io.BufferedWriter(io.FileIO(1, "wb", closefd=False), BUFFER) as output:
        output.write(initialise(lines.readline()) + b"\n")
        output.flush()
        for msg_id, line in enumerate(lines, 1):
            output.write(answer(line, msg_id) + b"\n")
            if flush:
                output.flush()


def chunked() -> None:
    msg_id = 0
    rest = b""
    while data := os.read(0, BUFFER):
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        replies = []
        for line in lines:
            replies.append(answer(line, msg_id) if msg_id else initialise(line))
            msg_id += 1
        if replies:
            replies.append(b"")
            output = b"\n".join(replies)
            while output:
                output = output[os.write(1, output) :]


if __name__ == "__main__":
    chunked() if "chunk" in sys.argv else line_by_line(flush="line" in sys.argv)
