#!/usr/bin/env python3
"""A node for several workloads, written without any library, as somebody else might.

What it was told it keeps in a file of its folder. Its lines have what the network ignores: ids and carriage returns.
"""

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

GOSSIP = 0.02


class Node:
    def __init__(self) -> None:
        self.id = ""
        self.peers: list[str] = []
        self.file = Path("messages")
        self.file.touch()
        self.messages = [int(line) for line in self.file.read_text().splitlines()]
        self.unread = b""
        self.waiting: list[dict[str, Any]] = []

    def send(self, dest: str, body: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps({"id": 0, "src": self.id, "dest": dest, "body": body}) + "\r\n")
        sys.stdout.flush()

    def reply(self, request: dict[str, Any], **body: Any) -> None:
        asked = request["body"]
        self.send(request["src"], {"type": asked["type"] + "_ok", "in_reply_to": asked["msg_id"], **body})

    def add(self, number: int) -> None:
        if number not in self.messages:
            with self.file.open("a") as file:
                file.write(f"{number}\n")
            self.messages.append(number)

    def receive(self, message: dict[str, Any]) -> None:
        body = message["body"]
        match body["type"]:
            case "init":
                self.id = body["node_id"]
                self.peers = [name for name in body["node_ids"] if name != self.id]
                self.reply(message)
            case "topology":
                self.reply(message)
            case "broadcast":
                self.add(body["message"])
                self.reply(message)
            case "read":
                self.reply(message, messages=self.messages)
            case "gossip":
                for number in body["messages"]:
                    self.add(number)
            case "echo":
                self.reply(message, echo=body["echo"])
            case "generate":
                self.waiting.append(message)
                self.send("lin-tso", {"type": "ts", "msg_id": len(self.waiting)})
            case "ts_ok":
                self.reply(self.waiting[body["in_reply_to"] - 1], id=body["ts"])

    def run(self) -> None:
        due = time.monotonic()
        while True:
            if select.select([0], [], [], max(0.0, due - time.monotonic()))[0]:
                data = os.read(0, 65536)
                if not data:
                    return
                *lines, self.unread = (self.unread + data).split(b"\n")
                for line in lines:
                    self.receive(json.loads(line))
            if time.monotonic() >= due:
                due += GOSSIP
                for peer in self.peers if self.messages else []:
                    self.send(peer, {"type": "gossip", "messages": self.messages})


Node().run()
