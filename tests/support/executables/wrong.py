#!/usr/bin/env python3
"""Nodes named n1 that are wrong, each in its own way: the first argument says which."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def receive() -> dict[str, Any]:
    message: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    return message


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def send(dest: str, body: dict[str, Any]) -> None:
    write(json.dumps({"src": "n1", "dest": dest, "body": body}) + "\n")


def reply(message: dict[str, Any], **fields: Any) -> None:
    body = message["body"]
    type_ = body["type"] + "_ok"
    send(message["src"], {"type": type_, "in_reply_to": body["msg_id"], **fields})


def say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def serve() -> None:
    while True:
        message = receive()
        reply(message, **({"echo": message["body"]["echo"]} if message["body"]["type"] == "echo" else {}))


def sleep() -> None:
    time.sleep(1000)


with Path("lives").open("a") as file:
    file.write("!")
life = Path("lives").stat().st_size

match sys.argv[1]:
    case "dies":
        say("about to die\nof nothing in particular")
        sys.exit(3)
    case "dies-of":
        os.kill(os.getpid(), int(sys.argv[2]))
    case "ends":
        receive()
    case "is-silent":
        receive()
        say("thinking about it\n")
        sleep()
    case "refuses":
        message = receive()
        send(message["src"], {"type": "error", "in_reply_to": 1, "code": 13, "text": "no disk"})
        sleep()
    case "answers-otherwise":
        message = receive()
        send(message["src"], {"type": "hello", "in_reply_to": 1})
        sleep()
    case "answers":
        send(receive()["src"], json.loads(sys.argv[2]))
        sleep()
    case "answers-half":
        write(json.dumps({"src": "n1", "dest": receive()["src"], "body": json.loads(sys.argv[2])}))
        sleep()
    case "replies-to-nothing":
        reply(receive())
        for _ in range(2):
            send(receive()["src"], {"type": "echo_ok"})
        write('{"src": "n1", "dest": "c1"')
        sleep()
    case "prints":
        write(sys.argv[2] + "\n")
        serve()
    case "prints-overlong":
        write("x" * (16 * 1024 * 1024 + 1) + "\n")
        serve()
    case "prints-later":
        reply(receive())
        write("Hello\n" * 5 + '"World"\n')
        serve()
    case "floods":
        reply(receive())
        line = json.dumps({"src": "n1", "dest": "n1", "body": {"type": "flood"}}) + "\n"
        while True:
            write(line * 1000)
    case "floods-without-end":
        while True:
            write("x" * 65536)
    case "floods-stderr":
        reply(receive())
        if os.fork() == 0:
            while True:
                say("x" * 10_000 + "\n")
        serve()
    case "dies-later":
        reply(receive())
        for number in range(10):
            say(f"line {number}\n")
        os.write(2, b"the last \xff line")
        sys.exit(7)
    case "dies-in-second-life":
        if life == 2:
            say("not again\n")
            sys.exit(1)
        serve()
    case "is-silent-in-second-life":
        if life == 2:
            sleep()
        serve()
    case "closes-stdin":
        reply(receive())
        os.close(0)
        sleep()
    case "closes-stdout":
        reply(receive())
        os.close(1)
        sleep()
    case "leaves-something":
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            os.write(writer, b"!")
            sleep()
        os.read(reader, 1)  # else the other one may still be of this group when this one ends
        sys.exit(0)
