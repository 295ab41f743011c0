"""``trio-messenger call``: send one request to a node, as a client, and print its reply.

The client is itself a `Node`, on the transport that leads to the other one: NATS, or the pipes of a process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import random
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import trio

from trio_messenger import (
    Body,
    LocalProtocolError,
    MessengerError,
    Node,
    RpcError,
    RpcTimeout,
    Transport,
    printable,
)

from ..transports.memory import MemoryTransport, memory_transport_pair
from .nats_options import add_nats_options, open_transport, refuse_without_nats
from .output import complain, print_only
from .parsing import Parser, UsageError, number

_EXAMPLES: Final = """\
examples:
  trio-messenger call --bin ./my_node.py n1 '{"type": "echo", "echo": "hi"}'
                                              start an executable as n1, alone, and ask it
  trio-messenger call --bin "$(which trio-messenger)" n1 '{"type": "pending_count"}' -- node messenger
                                              the words after -- are its arguments
  trio-messenger call --nats nats://10.0.0.1 --cluster demo n1 '{"type": "read"}'
                                              ask a node that runs on NATS

exit status: 0 for a reply, 1 for an error reply (which is printed) or none, 2 for wrong arguments, 130 if interrupted.
"""

_FAILED: Final = 1
_STATUS_OF_CTRL_C: Final = 130

_TIMEOUT: Final = 5.0
"""Seconds until a request without a reply has failed: also enough for an executable that takes a second to start."""

_TIME_TO_END: Final = 1.0
"""Seconds that an executable has to end after its stdin has ended."""

_OWN_INIT_SRC: Final = "init"
"""The sender of the client's own init."""

_Open = Callable[[], AbstractAsyncContextManager[Transport]]


class _NoReplyError(Exception):
    """There is no reply; the text says why."""


def configure(parser: Parser) -> None:
    """Add the arguments of this command to *parser*."""
    parser.description, parser.epilog = "Send one request to a node, as a client, and print its reply.", _EXAMPLES
    parser.takes_rest = True
    parser.add_argument("dest", metavar="DEST", help="the id of the node, such as n1")
    parser.add_argument("body", type=_body, metavar="BODY", help="the body of the request: a JSON object with a type")
    parser.add_argument(
        "--timeout", type=_seconds, default=_TIMEOUT, metavar="SECONDS", help="wait this long (default: 5)"
    )
    parser.add_argument("--id", default="c1", metavar="ID", help="the id of the client (default: c1)")
    parser.add_argument("--bin", metavar="FILE", help="an executable to start as the node; it is alone in its cluster")
    add_nats_options(parser.add_argument_group("on NATS"))
    parser.set_defaults(run=_run)


def _body(text: str) -> Body:
    """Return *text* as the body of a request."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not JSON: {exc}") from None
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise argparse.ArgumentTypeError(
            f"""{text!r:.80} is not a body; give an object with a type, such as '{{"type": "read"}}'"""
        )
    return value


def _seconds(text: str) -> float:
    value = number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not a time to wait; give seconds, such as 5")
    return value


def _run(arguments: argparse.Namespace) -> int:
    opens = _opens(arguments)
    try:
        with _quiet():
            reply = trio.run(_call, opens, arguments)
    except KeyboardInterrupt:
        return _STATUS_OF_CTRL_C
    except (RpcTimeout, LocalProtocolError, _NoReplyError, trio.BrokenResourceError) as exc:
        complain(f"trio-messenger call: {printable(str(exc))}")
        return _FAILED
    except RpcError as exc:
        print_only(json.dumps(exc.to_body()))
        return _FAILED
    return print_only(json.dumps(reply, ensure_ascii=False))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the lines that the client logs as a node: the command says itself what happened."""
    log = logging.getLogger("trio_messenger")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def _opens(arguments: argparse.Namespace) -> _Open:
    """Return what opens the transport to the node.

    Raises:
      UsageError: if *arguments* name no node, or two.
    """
    if (arguments.nats is None) == (arguments.bin is None):
        raise UsageError("where is the node? give --nats for one on NATS, or --bin for an executable")
    if arguments.nats is not None:
        if arguments.rest:
            raise UsageError(f"{arguments.rest[0]!r} after -- is for the executable of --bin; leave it out")
        transport = open_transport(arguments, arguments.id, [arguments.id])
        return lambda: transport
    refuse_without_nats(arguments)
    return lambda: _open_process([arguments.bin, *arguments.rest], arguments.id)


async def _call(opens: _Open, arguments: argparse.Namespace) -> Body:
    """Return the reply. The first number is random, since others may have the same id and wait for replies, too."""
    client = Node(first_msg_id=random.randrange(1 << 52))
    outcome: list[Body | Exception] = []

    @client.background
    async def ask() -> None:
        try:
            if arguments.bin is not None:
                init = {"type": "init", "node_id": arguments.dest, "node_ids": [arguments.dest]}
                await client.rpc(arguments.dest, init, timeout=arguments.timeout)
            outcome.append(await client.rpc(arguments.dest, arguments.body, timeout=arguments.timeout))
        except MessengerError as exc:
            outcome.append(exc)
        client.shutdown()

    async with opens() as transport:
        await client.serve(transport)
    if not outcome:
        raise _NoReplyError(f"the executable ended before {arguments.dest!r:.80} replied; run it by itself to see why")
    [result] = outcome
    if isinstance(result, Exception):
        raise result
    return result


@asynccontextmanager
async def _open_process(command: Sequence[str], client_id: str) -> AsyncIterator[Transport]:
    """Start *command*, and connect a transport to its stdin and stdout; end it after the block."""
    try:
        process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as exc:
        raise _NoReplyError(f"--bin {command[0]!r:.80}: {exc.strerror}; give an executable file") from None
    here, there = memory_transport_pair()
    init = {"type": "init", "msg_id": 1, "node_id": client_id, "node_ids": [client_id]}
    await there.send([_line(_OWN_INIT_SRC, client_id, init)])
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_feed, process, there)
            nursery.start_soon(_read, process, there)
            yield here
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            assert process.stdin is not None
            assert process.stdout is not None
            with trio.move_on_after(_TIME_TO_END):
                await process.stdin.aclose()
                await process.wait()
            process.kill()  # has no effect if it has ended
            await process.wait()
            await process.stdout.aclose()


async def _feed(process: trio.Process, there: MemoryTransport) -> None:
    """Write what the client sends to the process's stdin, as long as it reads."""
    assert process.stdin is not None
    with contextlib.suppress(trio.BrokenResourceError):
        async for messages in there:
            for message in messages:
                if message.dest != _OWN_INIT_SRC:
                    await process.stdin.send_all(_line(message.src, message.dest, message.body) + b"\n")


async def _read(process: trio.Process, there: MemoryTransport) -> None:
    """Pass on what the process writes, until its stdout ends."""
    assert process.stdout is not None
    async for chunk in process.stdout:
        await there.send_bytes(bytes(chunk))
    there.send_eof()


def _line(src: str, dest: str, body: Body) -> bytes:
    return json.dumps({"src": src, "dest": dest, "body": body}).encode()
