"""What peers and a slow node do to the transport over NATS: too much, too large, no messages; on a real server, too."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest
import trio
from support.nats_server import fake_server, nats_server, needs_nats_server, until
from trio_asyncio import aio_as_trio

from trio_messenger import LocalProtocolError, MalformedMessage, Message, Node
from trio_messenger.nodes import echo
from trio_messenger.transports import nats
from trio_messenger.transports.nats import open_nats

SUBJECT = b"messenger.demo.n1.c1"


def line(body: dict[str, object], dest: str = "n1") -> bytes:
    return json.dumps({"src": "c1", "dest": dest, "body": body}).encode()


class RawPeer:
    """A peer that speaks NATS by itself, without waiting for anybody: meanwhile, no task of the test runs."""

    def __init__(self, url: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        self._socket.sendall(b'CONNECT {"verbose":false}\r\n')

    def publish(self, *payloads: bytes, subject: bytes = SUBJECT) -> None:
        """Publish *payloads* to the node."""
        self._socket.sendall(b"".join(b"PUB %b %d\r\n%b\r\n" % (subject, len(each), each) for each in payloads))

    def close(self) -> None:
        """Leave."""
        self._socket.close()


@needs_nats_server
async def test_a_real_peer_that_sends_rubbish_and_floods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message is received or counted, and what follows goes through."""
    monkeypatch.setattr(nats, "UNREAD_LIMIT", 50_000)
    with nats_server() as (url, _):
        async with open_nats(url, "demo", "n1", ["n1"]) as transport:
            await transport.receive()
            peer = RawPeer(url)
            peer.publish(b"rubbish", b"", line({"type": "x"}, "n2"))
            peer.publish(line({"type": "x"}), subject=b"messenger.demo.n1.\xff")
            peer.publish(line({"type": "x"}))
            received: list[Message] = []
            while len(received) < 2:
                received += await transport.receive()
            assert isinstance(received[0], MalformedMessage)
            assert received[1] == Message("c1", "n1", {"type": "x"})
            assert (transport.counters["nats_forged"], transport.counters["nats_blank"]) == (2, 1)
            peer.publish(*[line({"type": "x"})] * 1000)
            await until(lambda: transport.counters["nats_overflowed"] + len(transport._inbox) == 1000)
            assert transport.counters["nats_overflowed"] > 500
            while transport._inbox:
                await transport.receive()
            peer.publish(line({"type": "last"}))
            assert await transport.receive() == [Message("c1", "n1", {"type": "last"})]
            peer.close()


async def test_a_subject_that_is_not_text_is_forged() -> None:
    """Anybody may publish under such a one, if nobody restricts it; the connection stays."""
    async with fake_server() as server, open_nats(server.url, "demo", "n1", ["n1"]) as transport:
        await transport.receive()
        payload = line({"type": "x"})
        await server.send_raw(b"MSG messenger.demo.n1.\xff 1 %d\r\n%b\r\n" % (len(payload), payload))
        await server.send_raw(b"MSG messenger.demo.n1.c1 1 %d\r\n%b\r\n" % (len(payload), payload))
        assert await transport.receive() == [Message("c1", "n1", {"type": "x"})]
        assert (transport.counters["nats_forged"], transport.counters["nats_connections"]) == (1, 1)


@needs_nats_server
async def test_a_real_server_that_takes_small_messages_only(tmp_path: Path) -> None:
    """The call that sends more gets an error, and the node goes on."""
    configuration = tmp_path / "nats.conf"
    configuration.write_text("max_payload: 300\n", encoding="utf-8")
    with nats_server("-c", configuration) as (url, _):
        node = Node()
        node.on("ping")(lambda: {})
        replies = []

        @node.background
        async def ask() -> None:
            with pytest.raises(
                LocalProtocolError, match=r"bytes, and this network carries 300; send less, or in parts$"
            ):
                await node.send("n1", {"type": "ping", "text": "x" * 300})
            replies.append((await node.rpc("n1", {"type": "ping"}, timeout=30))["type"])
            node.shutdown()

        async with open_nats(url, "demo", "n1", ["n1"]) as transport:
            await node.serve(transport)
    assert replies == ["ping_ok"]


async def test_a_flood_is_a_sign_of_life() -> None:
    """The server's answer to a PING is behind the messages that came before, so it may come too late."""
    async with fake_server() as server, open_nats(server.url, "demo", "n1", ["n1"]) as transport:
        await transport.receive()
        link = transport._link
        assert link is not None
        server.is_silent = True
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def flood() -> None:
                while True:
                    await server.deliver(SUBJECT.decode(), line({"type": "x"}))
                    await trio.sleep(0.001)

            with trio.move_on_after(1.25):
                await link.watch(0.5)
            nursery.cancel_scope.cancel()
        assert not link.lost.is_set()
        await server.send_raw(b"PONG\r\n" * 2)  # late, and one that nobody has asked for
        server.is_silent = False
        await aio_as_trio(link._client.rtt)(30)
        assert transport.counters["nats_connections"] == 1


async def serve(node: Node, url: str) -> None:
    """Serve *node* as n1."""
    async with open_nats(url, "demo", "n1", ["n1"]) as transport:
        await node.serve(transport)


async def see_it_back(node: Node, url: str, log: str) -> None:
    """Wait until *node* has connected again and answers; then end it."""
    assert f"lost the connection to {url}: " in log
    client = Node()

    @client.background
    async def ask() -> None:
        request = {"type": "echo", "echo": 1}
        assert (await client.rpc_retry("n1", request, timeout=0.5, attempts=60)).reply["echo"] == 1
        client.shutdown()

    async with open_nats(url, "demo", "c1", ["c1"]) as transport:
        await client.serve(transport)
    node.shutdown()


async def test_a_slow_consumer_connects_again(caplog: pytest.LogCaptureFixture) -> None:
    """A node that does not read is cut off by the server; it logs that, and serves again."""
    node = echo.build()
    async with fake_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(serve, node, server.url)
        await until(lambda: not node.obstacle)
        await server.send_raw(b"-ERR 'Slow Consumer'\r\n")
        await server.drop_clients()
        await until(lambda: node.stats.transport["nats_connections"] >= 2)
        await see_it_back(node, server.url, caplog.text)


@needs_nats_server
async def test_a_real_server_cuts_a_slow_consumer_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same, with a server that waits 50 ms for each write."""
    node = echo.build()
    configuration = tmp_path / "nats.conf"
    configuration.write_text('write_deadline: "50ms"\n', encoding="utf-8")
    with nats_server("-c", configuration) as (url, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, node, url)
            await until(lambda: not node.obstacle)
            peer = RawPeer(url)
            for _ in range(40):  # until the sleep ends, no task of the node reads
                peer.publish(b"x" * 500_000)
            time.sleep(0.5)  # noqa: ASYNC251 - longer than the server waits, however fast it took the messages
            peer.close()
            await until(lambda: node.stats.transport["nats_connections"] >= 2)
            await see_it_back(node, url, caplog.text)
