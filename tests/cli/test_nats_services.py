"""``trio-messenger services``: lin-kv, seq-kv and lin-tso for nodes on NATS, with their state in JetStream."""

from __future__ import annotations

import argparse
import signal
from typing import Any

import pytest
import trio
from support.command_line import outcome
from support.fake_jetstream import FakeJetStream
from support.nats_server import fake_server, until

from trio_messenger import LIN_TSO, LWW_KV, SEQ_KV, KeyValue, Node, TimestampOracle
from trio_messenger._cli import nats_services, parse
from trio_messenger.sim._services import jetstream
from trio_messenger.transports.nats import open_nats

NATS = ("--nats", "127.0.0.1:9", "--cluster", "demo")


def arguments_for(url: str, *more: str) -> argparse.Namespace:
    arguments, _ = parse(["services", "--nats", url, "--cluster", "demo", *more])
    return arguments


async def test_nodes_use_the_services_until_a_signal_ends_them() -> None:
    """The clients of the library need not know who serves them."""
    ended: list[str | None] = []
    async with fake_server(jetstream=FakeJetStream()) as server, trio.open_nursery() as nursery:

        async def serve() -> None:
            ended.append(await nats_services._serve_all(arguments_for(server.url)))

        nursery.start_soon(serve)
        await until(lambda: len(server.subscribed) >= 6)  # three nodes, and three inboxes for replies
        node = Node()
        seen: list[Any] = []

        @node.background
        async def ask() -> None:
            for name in ("lin-kv", SEQ_KV):
                store = KeyValue(node, name)
                await store.write("x", [1])
                seen.append(await store.read("x"))
            oracle = TimestampOracle(node, LIN_TSO)
            seen.append(await oracle.ts() < await oracle.ts())
            node.shutdown()

        async with open_nats(server.url, "demo", "n1", ["n1"]) as transport:
            await node.serve(transport)
        assert seen == [[1], [1], True]
        assert ["messenger.demo.lin-kv.*", "services"] in server.subscribed
        assert set(server.jetstream.streams if server.jetstream else ()) == {
            f"KV_messenger__demo__{name}" for name in ("lin-kv", "seq-kv", "lin-tso")
        }
        signal.raise_signal(signal.SIGTERM)
        await until(lambda: ended)
        assert ended == [None]


async def test_servers_without_jetstream_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the option that turns it on."""
    monkeypatch.setattr(jetstream, "START_TIME", 0.0)
    async with fake_server() as server:
        failure = await nats_services._serve_all(arguments_for(server.url, "--only", "seq-kv"))
        assert failure == (
            "JetStream does not answer: nobody serves $JS.API.STREAM.INFO.KV_messenger__demo__seq-kv; turn it on in the"
            " servers (nats-server -js), and check that most of them run"
        )


def test_a_server_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and status 1."""
    assert open_nats.__kwdefaults__ is not None
    monkeypatch.setitem(open_nats.__kwdefaults__, "connect_timeout", 0)
    found = outcome("services", *NATS)
    assert (found.status, found.output, found.errors) == (
        1,
        "",
        "trio-messenger services: nats://127.0.0.1:9 cannot be reached: connection refused\n",
    )


def test_the_status_after_a_signal_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for `node`."""

    async def serve_nothing(_: argparse.Namespace) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(nats_services, "_serve_all", serve_nothing)
    assert outcome("services", *NATS).status == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--nats is missing: give the servers of the nodes"),
        (["--nats", "h"], "--cluster is missing: give the name of the cluster of nodes"),
        ([*NATS, "--replicas", "6"], "argument --replicas: 6 is too many; give 5 or fewer"),
        (
            [*NATS, "--only", LWW_KV],
            "argument --only: there is no service 'lww-kv'; there are: lin-kv, seq-kv, lin-tso",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], reason: str) -> None:
    """Each with the remedy."""
    found = outcome("services", *arguments)
    assert (found.status, found.output) == (2, "")
    assert found.errors.rpartition("error: ")[2] == f"{reason}\n"
