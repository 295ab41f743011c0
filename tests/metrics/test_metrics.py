"""Metrics of a node: what Prometheus reads, whether the node is ready, and where they are served."""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from support.command_line import outcome, wrong
from support.lines import INIT
from support.nats_server import fake_server, free_port, until
from support.processes import INIT_OK, NODE, child

from trio_messenger import Node, RpcTimeout, Stats
from trio_messenger.metrics import _collector, open_metrics
from trio_messenger.nodes import echo
from trio_messenger.testing import running
from trio_messenger.transports.memory import memory_transport_pair
from trio_messenger.transports.nats import open_nats


async def get(address: tuple[str, int], path: str) -> tuple[int, str]:
    """Return the status and the content of a page."""
    async with await trio.open_tcp_stream(*address) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: n1\r\n\r\n".encode())
        answer = b"".join([bytes(chunk) async for chunk in stream]).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def samples(address: tuple[str, int]) -> dict[str, float]:
    """Return what Prometheus would read: the value of each metric, by its name and labels."""
    status, body = await get(address, "/metrics")
    assert status == 200
    found = {}
    for family in text_string_to_metric_families(body):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            name = sample.name.removeprefix("trio_messenger_") + (f"{{{labels}}}" if labels else "")
            assert name not in found
            found[name] = sample.value
    return found


async def test_what_a_node_counts_is_what_prometheus_reads() -> None:
    """Counters, those that are 0 too; a histogram of latencies; and what is pending now."""
    node = echo.build()
    async with open_metrics(node, port=0) as [address], running(node) as network:
        assert (await samples(address))["reaped_total"] == 0
        await network.request("echo", echo=1)
        with pytest.raises(RpcTimeout):
            await node.rpc("n2", {"type": "ping"}, timeout=0)
        node.rpc_callback("n2", {"type": "ping"}, print)
        for seconds in (0.0002, 0.0004, 0.2, 90):
            node.stats.rpc_latency.record(seconds)
        found = await samples(address)
    assert {name: found[f"{name}_total"] for name in ("received", "sent", "rpcs", "reaped", "shed")} == {
        **{"received": 2, "sent": 4, "rpcs": 2, "reaped": 1, "shed": 0},
    }
    assert found["pending_rpcs"] == 1
    assert found["ready"] == 1
    latency = {name: value for name, value in found.items() if name.startswith("rpc_latency_seconds")}
    assert [latency[f"rpc_latency_seconds_bucket{{le={le}}}"] for le in ("0.0001", "0.00025", "0.1", "0.25")] == [
        *(0, 1, 2, 3)
    ]
    assert latency["rpc_latency_seconds_bucket{le=60}"] == 3
    assert latency["rpc_latency_seconds_bucket{le=+Inf}"] == latency["rpc_latency_seconds_count"] == 4
    assert latency["rpc_latency_seconds_sum"] == pytest.approx(90.2006)
    [info] = [name for name in found if name.startswith("node_info")]
    assert re.fullmatch(r"node_info\{id=n1,version=[\d.]+\}", info)
    assert found["process_resident_memory_bytes"] > 1_000_000


async def test_each_counter_has_a_meaning() -> None:
    """Those of nodes and of NATS, and no other."""
    counters = {field.name for field in attrs.fields(Stats) if str(field.type) == "int"}
    async with fake_server() as server, open_nats(server.url, "demo", "n1", ["n1"]) as transport:
        assert set(_collector.COUNTER_MEANINGS) == counters | set(transport.counters)


async def test_a_transport_may_count_under_any_name() -> None:
    """Prometheus takes fewer; those that it cannot tell apart are one."""
    node = Node()
    node.stats.transport = {"a-b": 1, "a b": 2, "c": 3, "ä": 4, "received": 5}
    async with open_metrics(node, port=0) as [address]:
        found = await samples(address)
    assert [found[f"{name}_total"] for name in ("a_b", "c", "_", "received")] == [3, 3, 4, 5]


async def test_a_metric_that_cannot_be_shown_does_not_end_the_node(caplog: pytest.LogCaptureFixture) -> None:
    """A transport may count anything."""
    node = echo.build()
    async with open_metrics(node, port=0) as [address], running(node) as network:
        node.stats.transport = {"a": "many"}  # type: ignore[dict-item]
        assert (await get(address, "/metrics"))[0] == 500
        await network.request("echo", echo=1)
    assert "the page /metrics failed" in caplog.text


async def test_a_node_is_ready_when_it_is_initialised_and_until_it_closes() -> None:
    """It is alive all the time."""
    node = Node()
    may_end = trio.Event()

    @node.on("wait")
    async def wait() -> None:
        await may_end.wait()

    there, here = memory_transport_pair()
    async with open_metrics(node, port=0) as [address], trio.open_nursery() as nursery:
        states = [await get(address, "/ready")]
        nursery.start_soon(node.serve, here)
        await there.send([INIT.rstrip()])
        await there.receive()
        states += [await get(address, "/ready")]
        await there.send([b'{"src": "c1", "dest": "n1", "body": {"type": "wait", "msg_id": 1}}'])
        there.send_eof()
        await until(lambda: node.obstacle)
        states += [await get(address, "/ready"), await get(address, "/live")]
        may_end.set()
    assert states == [
        (503, "not ready: the node is not initialised\n"),
        (200, "ready\n"),
        (503, "not ready: the node is closing\n"),
        (200, "alive\n"),
    ]


async def test_a_node_without_a_connection_is_not_ready() -> None:
    """It is alive, and connects again by itself."""
    node = echo.build()
    async with fake_server() as server, open_metrics(node, port=0) as [address], trio.open_nursery() as nursery:

        async def serve() -> None:
            async with open_nats(server.url, "demo", "n1", ["n1"]) as transport:
                await node.serve(transport)
            nursery.cancel_scope.cancel()

        nursery.start_soon(serve)
        await until(lambda: not node.obstacle)
        await server.stop()
        await until(lambda: node.obstacle)
        assert await get(address, "/ready") == (503, "not ready: the node is not connected\n")
        found = await samples(address)
        assert (found["nats_connections_total"], found["nats_unsent_total"], found["ready"]) == (1, 0, 0)
        await nursery.start(server.serve)
        await until(lambda: not node.obstacle)
        node.shutdown()


async def test_an_ipv6_address() -> None:
    """As the address of the node itself."""
    if not socket.has_ipv6:
        pytest.skip("there is no IPv6 here")
    async with open_metrics(Node(), "::1", 0) as [address]:
        assert (await get(address, "/live"))[0] == 200


async def test_where_it_cannot_listen_is_named() -> None:
    """One line with the reason and the remedy."""
    async with open_metrics(Node(), port=0) as [(host, port)]:
        for where, reason in (
            ((host, port), f"no metrics on '127.0.0.1', port {port}: address already in use"),
            (("192.0.2.1", 9464), "no metrics on '192.0.2.1', port 9464: cannot assign requested address"),
            (("x" * 100, 9464), f"no metrics on '{'x' * 79}, port 9464: .*"),
        ):
            with pytest.raises(trio.BrokenResourceError, match=f"^{reason}; give another address$"):
                await open_metrics(Node(), *where).__aenter__()
    with pytest.raises(ValueError, match=r"^port is 65536; give one from 0 to 65535$"):
        await open_metrics(Node(), port=65536).__aenter__()


async def test_a_failure_of_the_block_comes_out_as_it_is() -> None:
    """The port is free again."""
    with pytest.raises(KeyError):
        async with open_metrics(Node(), port=0) as [address]:
            raise KeyError("n1")
    with pytest.raises(OSError, match=r"failed$"):
        await trio.open_tcp_stream(*address)
    with trio.CancelScope() as scope:
        async with open_metrics(Node(), port=0) as [address]:
            scope.cancel()
            await trio.sleep_forever()
    with pytest.raises(OSError, match=r"failed$"):
        await trio.open_tcp_stream(*address)


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:1", ("127.0.0.1", 1)), ("[::1]:9464", ("::1", 9464)), ("localhost:65535", ("localhost", 65535))],
)
def test_the_command_takes_an_address(monkeypatch: pytest.MonkeyPatch, text: str, address: tuple[str, int]) -> None:
    """And serves there while the node runs."""
    ran: list[Any] = []
    monkeypatch.setattr(Node, "run", lambda node, *, within, **_: ran.append((node, within)))
    assert outcome("node", "echo", "--metrics", text).status == 0
    [(node, within)] = ran
    assert (within.func, within.args) == (open_metrics, (node, *address))


@pytest.mark.parametrize("text", ["9464", ":9464", "h:", "h:0", "h:65536", "::1:9464", "[h:1", "h:٣", "[]:1"])
def test_what_is_no_address_is_named(text: str) -> None:
    """With an example."""
    assert wrong("node", "--metrics", text, status=2) == (
        f"argument --metrics: {text!r} is not an address; give a host and a port, such as 127.0.0.1:9464 or [::1]:9464"
    )


@pytest.mark.parametrize("missing", ["h11", "prometheus_client"])
def test_the_extra_is_named_if_it_is_missing(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """As for NATS."""
    for name in [name for name in sys.modules if name.startswith(("trio_messenger.metrics", missing))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    found = outcome("node", "--metrics", "h:1")
    assert (found.status, found.output) == (2, "")
    assert found.errors == ("trio-messenger: error: --metrics needs more packages; install trio-messenger[metrics]\n")


@asynccontextmanager
async def metrics_child(port: int) -> AsyncIterator[Any]:
    async with child(*NODE, "echo", "--metrics", f"127.0.0.1:{port}") as node:
        yield node


@pytest.mark.slow
async def test_the_metrics_of_a_process() -> None:
    """A second process on the same port ends with one line and status 1; the first one serves on, and ends as ever."""
    port = free_port()
    async with metrics_child(port) as node:
        await node.send(INIT)
        assert await node.read_line() == INIT_OK
        assert await get(("127.0.0.1", port), "/ready") == (200, "ready\n")
        async with metrics_child(port) as second:
            assert await second.wait() == 1
            assert second.errors.decode() == (
                f"error: no metrics on '127.0.0.1', port {port}: address already in use; give another address\n"
            )
        assert (await samples(("127.0.0.1", port)))["received_total"] == 1
        node.signal(signal.SIGTERM)
        assert await node.finish() == b""
