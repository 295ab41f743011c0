"""Clusters of processes over NATS: their answers are those on stdin and stdout, and a cut does not make them wrong."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from support.machines import why_not
from support.nats_server import PROGRAM, nats_server, needs_nats_server
from support.real_cluster import judged, ok_by_node, real_cluster

from trio_messenger import Body, Node, RpcError
from trio_messenger.sim import Options
from trio_messenger.sim._runs.run import Run
from trio_messenger.transports.nats import open_nats

COMMAND = (sys.executable, "-m", "trio_messenger", "node")
NAMES = ("n1", "n2", "n3")

REQUESTS: dict[str, list[Body]] = {
    "messenger": [{"type": "echo", "echo": "hé"}, {"type": "pending_count"}, {"type": "nonsense"}],
    "broadcast": [
        {"type": "topology", "topology": {}},
        {"type": "broadcast", "message": 7},
        {"type": "broadcast"},
        {"type": "read"},
    ],
    "raft": [
        {"type": "write", "key": 1, "value": 5},
        {"type": "read", "key": 1},
        {"type": "cas", "key": 1, "from": 5, "to": 6},
        {"type": "cas", "key": 1, "from": 5, "to": 7},
        {"type": "read", "key": 2},
        {"type": "cas", "key": 2, "from": 0, "to": 1},
    ],
}


def comparable(body: Body) -> Body:
    return {name: value for name, value in body.items() if name not in ("msg_id", "in_reply_to")}


def on_stdio(node: str) -> list[Body]:
    """Ask a node on stdin and stdout, one request after another."""
    with subprocess.Popen([*COMMAND, node], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        replies = []
        init = {"type": "init", "node_id": "n1", "node_ids": ["n1"]}
        for number, body in enumerate([init, *REQUESTS[node]]):
            message = {"src": "c1", "dest": "n1", "body": {**body, "msg_id": number}}
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            replies.append(comparable(json.loads(process.stdout.readline())["body"]))
        process.stdin.close()
    return replies[1:]


async def on_nats(url: str, node: str) -> list[Body]:
    """Ask the node ``n2`` of three on NATS."""
    client = Node()
    replies: list[Body] = []

    @client.background
    async def ask() -> None:
        for body in REQUESTS[node]:
            try:
                reply: Any = (await client.rpc_retry("n2", body, timeout=1, attempts=60)).reply
            except RpcError as exc:
                reply = exc.to_body()
            replies.append(comparable(reply))
        client.shutdown()

    async with open_nats(url, node, "c1", ["c1"]) as transport:
        await client.serve(transport)
    return replies


@contextlib.contextmanager
def nodes_on_nats(url: str) -> Iterator[None]:
    """Run three processes of each node, each in a cluster of its name."""
    with contextlib.ExitStack() as stack:
        for node in REQUESTS:
            for name in NAMES:
                nats = ("--nats", url, "--cluster", node, "--id", name, "--peers", ",".join(NAMES))
                process = stack.enter_context(subprocess.Popen([*COMMAND, node, *nats], stderr=subprocess.DEVNULL))
                stack.callback(process.kill)
        yield


@needs_nats_server
@pytest.mark.slow
async def test_answers_are_those_on_stdin_and_stdout() -> None:
    """The same node, three times on NATS, answers the same requests in the same way, errors included."""
    with nats_server() as (url, _), nodes_on_nats(url):
        for node in REQUESTS:
            assert await on_nats(url, node) == await trio.to_thread.run_sync(on_stdio, node)


@pytest.mark.slow
async def test_raft_stays_linearizable_while_a_server_is_cut_off(tmp_path: Path) -> None:
    """On three machines with a server each: the majority goes on, the minority times out, and both recover."""
    reason = "nats-server is not installed" if PROGRAM is None else why_not()
    if reason is not None:
        pytest.skip(reason)
    times: list[float] = []
    with real_cluster(3, tmp_path) as cluster:
        for number in cluster.machines.numbers:
            cluster.start_node(number, "raft")

        async def cut(run: Run) -> None:
            for act in (cluster.machines.cut, cluster.machines.join):
                await trio.sleep(2)
                times.append(run.network.now() / 1e9)
                act(3)

        options = Options(workload="lin-kv", nodes=cluster.node_ids, rate=40, time_limit=8)
        report = await judged(cluster, options, cut)
    assert report.valid is True, f"{report}"
    meanwhile, later = ok_by_node(report, *times), ok_by_node(report, times[1])
    assert meanwhile["n1"] + meanwhile["n2"] > 0
    assert meanwhile["n3"] == 0
    assert later["n3"] > 0
