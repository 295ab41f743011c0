"""The transport over NATS, against a server that misbehaves, and against Debian's where it is installed."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from nats import errors
from support.fake_jetstream import FakeJetStream
from support.nats_server import PROGRAM, FakeServer, fake_server, nats_server, needs_nats_server, until
from trio.testing import assert_checkpoints

from trio_messenger import LocalProtocolError, MalformedMessage, Message, Node, RpcTimeout, Transport
from trio_messenger.nodes import echo
from trio_messenger.transports import _nats_link, nats
from trio_messenger.transports._nats_client import StrictClient
from trio_messenger.transports.nats import Credentials, NatsTransport, open_nats

HEARTBEAT = 20.0  # seconds that no machine is too slow for


def line(dest: str, body: dict[str, Any], src: str = "n1") -> bytes:
    return json.dumps({"src": src, "dest": dest, "body": body}).encode()


EMPTY: Mapping[str, str] = {}

PING = {"type": "ping", "msg_id": 1}


@asynccontextmanager
async def opened(server: FakeServer | str, node_id: str = "n1", **options: Any) -> AsyncIterator[NatsTransport]:
    """Open a transport of the cluster ``demo``, and take the init out of it."""
    url = server if isinstance(server, str) else server.url
    async with open_nats(url, "demo", node_id, [node_id], **{"heartbeat": HEARTBEAT, **options}) as transport:
        [init] = await transport.receive()
        assert init == Message(
            "init", node_id, {"type": "init", "msg_id": 1, "node_id": node_id, "node_ids": [node_id]}
        )
        yield transport


@asynccontextmanager
async def server_of(kind: str) -> AsyncIterator[str]:
    """Run a server; yield its URL."""
    if kind == "fake":
        async with fake_server() as server:
            yield server.url
    else:
        with nats_server() as (url, _):
            yield url


KINDS = ["fake", pytest.param("real", marks=needs_nats_server)]


@pytest.mark.parametrize("kind", KINDS)
async def test_nodes_talk_without_an_init_message(kind: str) -> None:
    """The ids come from the configuration, and the same node as on stdio answers, one with dots in its name too."""
    async with server_of(kind) as url, trio.open_nursery() as nursery:

        async def serve(node: Node, node_id: str) -> None:
            async with open_nats(url, "demo", node_id, ["n.1", "n2"], heartbeat=HEARTBEAT) as transport:
                await node.serve(transport)

        one, two = Node(), echo.build()
        ready = [trio.Event(), trio.Event()]
        for node, name, event in zip((one, two), ("n.1", "n2"), ready, strict=True):
            node.on_init(event.set)
            nursery.start_soon(serve, node, name)
        for event in ready:
            await event.wait()
        assert (one.id, one.peers) == ("n.1", ("n2",))
        first = one.next_msg_id
        reply = await one.rpc("n2", {"type": "echo", "echo": "hé"}, timeout=HEARTBEAT)
        assert (reply["type"], reply["echo"], reply["in_reply_to"]) == ("echo_ok", "hé", first)
        assert first > 2**50, "the clock, so that no life uses the numbers of another"
        assert one.stats.counters()["nats_connections"] == 1
        one.shutdown()
        two.shutdown()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_subject_names_receiver_and_sender_and_the_payload_is_the_line(kind: str) -> None:
    """So a capture reads like a journal; another cluster and another prefix see nothing of it."""
    async with server_of(kind) as url, opened(url, "n1") as one, opened(url, "n2") as two:
        link = one._link
        assert link is not None
        async with opened(url, "n2", prefix="other") as elsewhere, open_nats(url, "demo2", "n2", ["n2"]) as apart:
            await one.send([line("n2", {"type": "a", "text": "\n"}), line("n2", {"type": "b"})])
            received: list[Message] = []
            while len(received) < 2:
                received += await two.receive()
            assert received == [
                Message("n1", "n2", {"type": "a", "text": "\n"}),
                Message("n1", "n2", {"type": "b"}),
            ]
            await apart.receive()
            for other in (elsewhere, apart):
                with trio.move_on_after(0.05) as scope:
                    await other.receive()
                assert scope.cancelled_caught


async def test_what_arrives_must_be_true() -> None:
    """A line from another sender than its subject's, or to another node, is dropped and counted."""
    async with fake_server() as server, opened(server) as transport:
        subject = "messenger.demo.n1.c1"
        lies = [
            (subject, line("n1", PING, "c2")),
            (subject, line("n2", PING, "c1")),
            ("messenger.demo.n1.c%31", line("n1", PING, "c1")),
            ("messenger.demo.n1.init", line("n1", PING, "init")),
            (subject, line("n1", PING, "")),
            (subject, b'{"src": "c2", "dest": "n1", "body": NaN}'),
        ]
        for each, payload in lies:
            await server.deliver(each, payload)
        await server.deliver(subject, b"")
        await server.deliver(subject, b" \n")
        await server.deliver(subject, b"rubbish\nand more")
        await server.deliver(subject, b'{"src": "c1", "dest": "n1",\n"body": {"type": "ping"}}')
        await server.deliver(subject, b'{"src": "c1", "dest": "n1", "body": {"msg_id": 7, "x": NaN}}')
        received: list[Message] = []
        while len(received) < 3:
            received += await transport.receive()
        rubbish, ping, nan = received
        assert isinstance(rubbish, MalformedMessage)
        assert (rubbish.src, rubbish.body) == ("", {})
        assert ping == Message("c1", "n1", {"type": "ping"})
        assert isinstance(nan, MalformedMessage)
        assert (nan.src, nan.body) == ("c1", {"msg_id": 7})
        assert +transport.counters == {"nats_connections": 1, "nats_forged": len(lies), "nats_blank": 2}


async def test_a_flood_of_lies_is_read_in_batches() -> None:
    """The first true message comes after them."""
    async with fake_server() as server, opened(server) as transport:
        for _ in range(3):
            await server.deliver("messenger.demo.n1.c1", line("n1", {**PING, "text": "x" * 20_000}, "c2"))
        await server.deliver("messenger.demo.n1.c1", line("n1", PING, "c1"))
        await until(lambda: len(transport._inbox) == 4)
        assert await transport.receive() == [Message("c1", "n1", PING)]
        assert transport.counters["nats_forged"] == 3


async def test_what_cannot_be_sent_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """An id that no subject can hold, and a line that a new server does not take; others go on."""
    async with fake_server(max_payload=100) as server, opened(server) as transport:
        assert transport.size_limit == 100
        lines = [line("", PING), line("n" * 256, {"type": "t"}), line("n2", {"type": "t" * 100}), line("n2", PING)]
        transport.size_limit = 1000
        await transport.send(lines[:2])
        transport.size_limit = 100
        assert transport.send_now(lines[2:]) == []
        await until(lambda: server.published)
        assert server.published == [("messenger.demo.n2.n1", lines[3])]
        assert +transport.counters == {"nats_connections": 1, "nats_unaddressable": 2, "nats_oversized": 1}
    assert [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()] == [
        "dropped a message: an id is empty, which no subject can hold; give it at least one character;"
        " nats_unaddressable=1",
        f"dropped a message: '{'n' * 79} has 256 characters in a subject, and 255 is the limit; give a shorter id;"
        " nats_unaddressable=2",
        f"dropped a message of {len(lines[2])} bytes to 'n2': it is too large; nats_oversized=1",
    ]


async def test_the_call_that_sends_too_much_gets_an_error() -> None:
    """The server's limit holds for the node, whose callers learn of it at once."""
    async with fake_server(max_payload=200) as server, open_nats(server.url, "demo", "n1", ["n1"]) as transport:
        node = Node()
        failures: list[LocalProtocolError] = []

        @node.background
        async def ask() -> None:
            with pytest.raises(LocalProtocolError) as caught:
                await node.rpc("n2", {"type": "store", "value": "x" * 200})
            failures.append(caught.value)
            node.shutdown()

        await node.serve(transport)
    assert re.fullmatch(
        r"the 'store' message to 'n2' has 29\d bytes, and this network carries 200; send less, or in parts",
        f"{failures[0]}",
    )
    assert len(node.pending) == 0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again without waiting."""
    monkeypatch.setattr(nats, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(nats, "LONGEST_WAIT", 0.001)


@pytest.mark.usefixtures("quick")
async def test_a_lost_connection_is_made_again_and_nothing_comes_late(caplog: pytest.LogCaptureFixture) -> None:
    """While there is none, messages are dropped and counted; what follows goes through; tasks do not pile up."""
    async with fake_server() as server, trio.open_nursery() as nursery, opened(server) as transport:
        await transport.send([line("n2", {"type": "before"})])
        await until(lambda: server.published)
        for number in range(1, 4):
            tasks = count_tasks()
            caplog.clear()
            await server.stop()
            await until(lambda: transport._link is None)
            assert f"lost the connection to {server.url}: unexpected eof; connecting again" in caplog.messages
            await transport.send([line("n2", {"type": "lost"})])
            assert transport.send_now([line("n2", {"type": "lost"})]) == []
            await until(lambda: caplog.text.count("cannot be reached") == 11)  # ten attempts, and the 16th
            caplog.clear()
            await nursery.start(server.serve)
            await until(lambda: transport._link is not None)
            await transport.send([line("n1", {"type": "after", "number": number})])
            assert await transport.receive() == [Message("n1", "n1", {"type": "after", "number": number})]
            assert +transport.counters == {"nats_connections": number + 1, "nats_unsent": 2 * number}
            await until(lambda tasks=tasks: count_tasks() <= tasks)  # type: ignore[misc]
        assert [json.loads(payload)["body"]["type"] for _, payload in server.published] == ["before", *3 * ["after"]]
        nursery.cancel_scope.cancel()
    [text] = caplog.messages
    assert re.fullmatch(r"connected again after \d+(\.\d)? s; messages of that time are lost", text)


def count_tasks() -> int:
    """Return how many tasks there are in this run."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    waiting, count = [root], 0
    while waiting:
        task = waiting.pop()
        count += 1
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return count


@pytest.mark.usefixtures("quick")
async def test_what_waited_for_a_lost_connection_is_never_sent() -> None:
    """Lines that were handed over when the server went away do not arrive after the reconnection."""
    async with fake_server() as server, opened(server) as transport:
        link = transport._link
        assert link is not None
        await transport.send([line("n2", {"type": "old"})])  # its task in the loop has not run yet
        link.lose("the test says so")
        assert link.reason == "the test says so"
        await transport.send([line("n2", {"type": "old"})])
        assert transport.counters["nats_unsent"] == 1
        await until(lambda: transport._link not in (None, link))
        await transport.send([line("n2", {"type": "new"})])
        await until(lambda: any(b"new" in payload for _, payload in server.published))
        assert not any(b"old" in payload for _, payload in server.published)
        assert transport.counters["nats_unsent"] == 2


@pytest.mark.usefixtures("quick")
async def test_a_server_that_gives_no_sign_of_life_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """A connection may be dead without an error."""
    async with fake_server() as server, opened(server, heartbeat=0.25) as transport:
        server.is_silent = True
        await until(lambda: f"lost the connection to {server.url}: no answer in time" in caplog.text)
        server.is_silent = False
        await until(lambda: transport.counters["nats_connections"] >= 2)


@pytest.mark.usefixtures("quick")
async def test_a_client_that_fails_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that the client raises in a task of its own does not end the node."""
    async with fake_server() as server, opened(server) as transport:
        link = transport._link
        assert link is not None

        def fail(*_: object) -> None:
            raise errors.ConnectionClosedError

        monkeypatch.setattr(link._client, "publish_now", fail)
        await transport.send([line("n2", PING)] * 2)
        await until(lambda: transport.counters["nats_unsent"] == 2)
        assert link.reason == "connection closed"
        await until(lambda: transport.counters["nats_connections"] == 2)
        transport._note_loop_error(None, {"message": "strange"})
        await until(lambda: transport.counters["nats_connections"] == 3)
        await server.send_raw(b"NONSENSE\r\n")
        await until(lambda: transport.counters["nats_connections"] == 4)
        await server.drop_clients()
        await until(lambda: transport._link is None)
        transport._note_loop_error(None, {"message": "strange"})
        await until(lambda: transport.counters["nats_connections"] == 5)


@pytest.mark.usefixtures("quick")
async def test_a_node_that_is_refused_later_ends_with_the_reason() -> None:
    """As when its credentials have expired: no storm of attempts."""
    async with fake_server() as server:
        node = Node()

        @node.background
        async def expire() -> None:
            server.refuses = "User Authentication Expired"
            await server.drop_clients()

        reason = f"{server.url} refuses the credentials: user authentication expired"
        with pytest.raises(trio.BrokenResourceError, match=f"^{reason}$"):
            async with open_nats(server.url, "demo", "n1", ["n1"], heartbeat=HEARTBEAT) as transport:
                await node.serve(transport)
        assert len(server.connects) == 2
        assert transport.send_now([line("n2", PING)]) == [line("n2", PING)]


@pytest.mark.usefixtures("quick")
async def test_a_refused_transport_sends_and_receives_no_more() -> None:
    """Both ways say why."""
    async with fake_server() as server, opened(server) as transport:
        server.refuses = "Authorization Violation"
        await server.drop_clients()
        reason = f"^{server.url} refuses the credentials: authorization violation$"
        with pytest.raises(trio.BrokenResourceError, match=reason):
            await transport.receive()
        with pytest.raises(trio.BrokenResourceError, match=reason):
            await transport.send([line("n2", PING)])
        assert transport.send_now([line("n2", PING)]) == [line("n2", PING)]


async def test_a_refused_node_is_told_why() -> None:
    """One line, after one attempt."""
    async with fake_server(refuses="Authorization Violation") as server:
        with pytest.raises(
            trio.BrokenResourceError, match=rf"^{server.url} refuses the credentials: authorization violation$"
        ):
            async with opened(server, credentials=Credentials(user="n1", password="wrong")):
                pytest.fail("connected")
        assert [(options["user"], options["pass"]) for options in server.connects] == [("n1", "wrong")]


async def test_a_node_that_may_not_listen_is_told_so() -> None:
    """It would be deaf otherwise."""
    async with fake_server(denied={"SUB messenger.demo.n1.*"}) as server:
        with pytest.raises(
            trio.BrokenResourceError,
            match=rf'^{server.url} refuses this node: permissions violation for subscription to "messenger.demo.n1.*"$',
        ):
            async with opened(server):
                pytest.fail("connected")


async def test_a_message_that_the_server_refuses_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The node goes on."""
    async with fake_server(denied={"PUB messenger.demo.n2.n1"}) as server, opened(server) as transport:
        await transport.send([line("n2", PING), line("n3", PING)])
        await until(lambda: transport.counters["nats_denied"])
        await until(lambda: server.published)
        assert [subject for subject, _ in server.published] == ["messenger.demo.n3.n1"]
    assert (
        'the server says: permissions violation for publish to "messenger.demo.n2.n1"; nats_denied=1' in caplog.messages
    )


@pytest.mark.parametrize("is_deaf", [True, False])
async def test_a_server_that_cannot_be_reached_is_tried_for_a_while(is_deaf: bool) -> None:
    """Then comes one line. Another server of the list is taken instead."""
    async with fake_server(is_deaf=is_deaf) as server:
        if not is_deaf:
            await server.stop()
        reason = "no answer in time" if is_deaf else "connection refused"
        with pytest.raises(trio.BrokenResourceError, match=rf"(?i)^{server.url} cannot be reached: .*{reason}"):
            async with opened(server, heartbeat=0.05, connect_timeout=0.3):
                pytest.fail("connected")
        async with fake_server() as other, open_nats([server.url, other.url], "demo", "n1", ["n1"], heartbeat=1):
            assert other.connects


async def test_a_flood_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the node does not read in time is dropped and counted, by the transport and by the client before it."""
    monkeypatch.setattr(nats, "UNREAD_LIMIT", 10_000)
    async with fake_server() as server, opened(server) as transport:
        message = line("n1", {**PING, "text": "x" * 500}, "c1")
        for _ in range(100):
            await server.deliver("messenger.demo.n1.c1", message)
        link = transport._link
        assert link is not None
        await until(lambda: transport.counters["nats_overflowed"] + len(transport._inbox) == 100)
        assert 5 < len(transport._inbox) < 20
        assert transport._inbox_size <= 10_000
        received = []
        while transport._inbox:
            received += await transport.receive()
        assert transport._inbox_size == 0
        await server.deliver("messenger.demo.n1.c1", line("n1", PING, "c1") + b" " * 10_000)
        await until(lambda: transport.counters["nats_overflowed"] + len(received) == 101)


async def test_a_batch_is_bounded() -> None:
    """The node gets messages in batches, as from a pipe, and each receive is a checkpoint."""
    async with fake_server() as server, opened(server) as transport:
        for _ in range(3):
            await server.deliver("messenger.demo.n1.c1", line("n1", {**PING, "text": "x" * 20_000}, "c1"))
        await until(lambda: len(transport._inbox) == 3)
        with assert_checkpoints():
            assert len(await transport.receive()) == 2
        assert len(await transport.receive()) == 1


async def test_a_sender_waits_for_a_slow_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a full pipe; `send_now` sends nothing then."""
    monkeypatch.setattr(_nats_link, "PENDING_LIMIT", 100)
    async with fake_server() as server, opened(server) as transport:
        lines = [line("n2", {**PING, "text": "x" * 100})]
        assert transport.send_now(lines) == []
        assert transport.send_now(lines) is lines
        with assert_checkpoints():
            await transport.send(lines)
        assert transport._link is not None
        assert not transport._link.is_congested
        await until(lambda: len(server.published) == 2)


async def test_closing_sends_what_waits() -> None:
    """After that, the transport says that it is closed."""
    async with fake_server() as server:
        async with opened(server) as transport, trio.open_nursery() as nursery:

            async def wait_for_the_end() -> None:
                with pytest.raises(trio.ClosedResourceError, match=r"^the transport is closed$"):
                    await transport.receive()

            nursery.start_soon(wait_for_the_end)
            await trio.testing.wait_all_tasks_blocked()
            await transport.send([line("n2", PING)] * 1000)
            with assert_checkpoints():
                await transport.aclose()
            with assert_checkpoints():
                await transport.aclose()
        await until(lambda: len(server.published) == 1000)
        with pytest.raises(trio.ClosedResourceError, match=r"^the transport is closed$"):
            await transport.send([line("n2", PING)])
        assert transport.send_now([line("n2", PING)]) == [line("n2", PING)]


async def test_a_cancelled_node_leaves_nothing_running() -> None:
    """Nor does it wait for the server."""
    async with fake_server() as server:
        tasks = count_tasks()
        with trio.CancelScope() as scope:
            async with opened(server) as transport:
                await transport.send([line("n2", PING)])
                scope.cancel()
                await transport.receive()
        await until(lambda: count_tasks() == tasks)


async def test_a_failure_of_the_block_comes_out_as_it_is() -> None:
    """It is not wrapped in groups of the loop's nurseries."""
    async with fake_server() as server:
        with pytest.raises(KeyError):
            async with opened(server):
                raise KeyError("n1")


async def test_a_node_whose_init_fails_ends() -> None:
    """Nobody else could send it another."""
    async with fake_server() as server:
        node = Node()

        @node.on_init
        def fail() -> None:
            raise ValueError("no such peer")

        with pytest.raises(
            trio.BrokenResourceError, match=r"^the node cannot serve, since its init failed: ValueError"
        ):
            async with open_nats(server.url, "demo", "n1", ["n1"]) as transport:
                await node.serve(transport)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (([], "demo", "n1", ["n1"]), "there are no servers; give at least one, such as nats://127.0.0.1:4222"),
        (("nats://h:x", "demo", "n1", ["n1"]), "'nats://h:x' is not the URL of a server; give one such as"),
        (("http://h", "demo", "n1", ["n1"]), "'http://h' is not the URL of a server; give one such as"),
        (("nats://a:b@h", "demo", "n1", ["n1"]), "the URL of 'h' contains a user or a password, which others"),
        (("h", "demo", "n1", ["n2"]), "'n1' is not among the nodes n2; add it to them"),
        (("h", "demo", "init", ["init"]), "'init' is the id of the configuration; give the node another one"),
        (("h", "demo", "n1", ["n1", ""]), "an id is empty"),
        (("h", "", "n1", ["n1"]), "an id is empty"),
    ],
)
def test_wrong_arguments_are_named(arguments: Any, reason: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}"):
        open_nats(*arguments)


def test_servers_have_defaults() -> None:
    """A host alone is enough; an IPv6 address has brackets."""
    assert _nats_link.check_servers("h") == ("nats://h:4222",)
    assert _nats_link.check_servers(["tls://h:1", "nats://[::1]"]) == ("tls://h:1", "nats://[::1]:4222")


def test_credentials_are_looked_at(tmp_path: Path) -> None:
    """nats-py would read a file without credentials forever."""
    path = tmp_path / "n1.creds"
    with pytest.raises(
        ValueError, match=r"n1\.creds': No such file or directory; give a file that 'nsc generate creds' made$"
    ):
        Credentials(creds=path)
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"n1\.creds': it is not text; give a file"):
        Credentials(creds=path)
    path.write_text("-----BEGIN NATS USER JWT-----\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"n1\.creds' has no credentials; give a file"):
        Credentials(creds=path)
    path.write_text("-----BEGIN NATS USER JWT-----\nx\n-----BEGIN USER NKEY SEED-----\ny\n", encoding="utf-8")
    assert Credentials(creds=path, password="secret").creds == path
    assert "secret" not in repr(Credentials(user="n1", password="secret"))


@needs_nats_server
@pytest.mark.usefixtures("quick")
async def test_a_killed_server_under_load() -> None:
    """Nodes connect again; RPCs end by their deadlines; every one is accounted for."""
    assert PROGRAM is not None
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    asking, answering = Node(rpc_timeout=0.25), echo.build()
    results = {"ok": 0, "timeout": 0}

    async def serve(url: str, node: Node, node_id: str) -> None:
        async with open_nats(url, "demo", node_id, ["n1", "n2"], heartbeat=2) as transport:
            await node.serve(transport)

    @asking.background
    async def load() -> None:
        while True:
            try:
                await asking.rpc("n2", {"type": "echo", "echo": 1})
                results["ok"] += 1
            except RpcTimeout:
                results["timeout"] += 1

    async with trio.open_nursery() as nursery:
        with nats_server() as (url, process):
            nursery.start_soon(serve, url, answering, "n2")
            nursery.start_soon(serve, url, asking, "n1")
            await until(lambda: results["ok"] > 10)
            process.kill()
            await until(lambda: results["timeout"] > 1)
        with nats_server(port=int(url.rpartition(":")[2])):
            before = results["ok"]
            await until(lambda: results["ok"] > before + 10)
            asking.shutdown()
            answering.shutdown()
    stats = asking.stats
    assert stats.counters()["nats_connections"] >= 2
    assert stats.rpcs == stats.answered + stats.reaped + stats.abandoned + stats.closed
    assert len(asking.pending) == 0
    assert isinstance(asking, Node)
    assert issubclass(NatsTransport, Transport)


async def test_a_request_gets_its_reply() -> None:
    """From JetStream, for example; what has no effect and what may have one differ."""
    async with fake_server(jetstream=FakeJetStream()) as server, opened(server, queue="all") as transport:
        assert server.jetstream is not None
        assert server.subscribed[0] == ["messenger.demo.n1.*", "all"]

        async def ask(subject: str, timeout: float = HEARTBEAT, headers: Mapping[str, str] = EMPTY) -> Any:
            return json.loads(await transport.request(subject, b"7", headers, timeout=timeout))

        assert await ask("$KV.demo.x") == {"stream": "demo", "seq": 1}
        found = await ask(
            "$KV.demo.x", headers={"Nats-Expected-Last-Subject-Sequence": "5", "Nats-Expected-Last-Sequence": "1"}
        )
        assert found["error"]["err_code"] == 10071
        server.jetstream.fails["PUT"] = trio.TooSlowError()
        with pytest.raises(trio.TooSlowError, match=r"^no reply from \$KV.demo.x within 0.05 s$"):
            await ask("$KV.demo.x", 0.05)
        server.jetstream = None
        with pytest.raises(trio.BrokenResourceError, match=r"^nobody serves \$KV.demo.x$"):
            await ask("$KV.demo.x")
        with pytest.raises(trio.BrokenResourceError, match=r"^the request was not sent: "):
            await ask("a b")
        assert transport._link is not None
        transport._link.lose("for a test")
        with pytest.raises(trio.BrokenResourceError, match=r"^there is no connection to NATS$"):
            await ask("$KV.demo.x")


def test_a_client_that_is_not_connected_publishes_nothing() -> None:
    """Otherwise the messages would wait in its buffer, and arrive late, after a reconnection."""
    client = StrictClient(lambda *_: None)
    with pytest.raises(errors.ConnectionClosedError):
        client.publish_now([("subject", b"payload")])
    assert client.pending_data_size == 0
