"""``trio-messenger node --nats``, and the configuration that ``nats-config`` prints."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from support.certificates import Certificates, certificates
from support.command_line import outcome
from support.nats_server import PROGRAM, fake_server, free_port, nats_server, needs_nats_server, until

from trio_messenger import Message, Node
from trio_messenger._cli import node as node_command
from trio_messenger.transports.nats import Credentials, NatsTransport, open_nats

__all__ = ["certificates"]

COMMAND = (sys.executable, "-m", "trio_messenger", "node", "echo", "--cluster", "demo", "--id", "n1")

PING = b'{"src": "%b", "dest": "%b", "body": {"type": "ping"}}'


def refusal(*argv: str | Path) -> str:
    """Run a command with wrong arguments; return what is said of them."""
    found = outcome(*argv)
    assert (found.status, found.output) == (2, "")
    return found.errors.rpartition("error: ")[2].removesuffix("\n")


async def test_a_node_serves_on_nats_until_it_is_refused() -> None:
    """It needs no stdin; when the server refuses it, it ends with status 1 and one line, and does not try again."""
    async with fake_server() as server:
        process = await trio.lowlevel.open_process(
            [*COMMAND, "--peers", "n1,n2", "--nats", server.url], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        client = Node()
        echoed: list[Any] = []

        @client.background
        async def ask() -> None:
            await until(lambda: server.connects)
            request = {"type": "echo", "echo": 1}
            echoed.append((await client.rpc_retry("n1", request, timeout=0.5, attempts=60)).reply)
            client.shutdown()

        async with open_nats(server.url, "demo", "c1", ["c1"]) as transport:
            await client.serve(transport)
        assert echoed[0]["echo"] == 1
        attempts = len(server.connects)
        server.refuses = "User Authentication Expired"
        await server.drop_clients()
        assert process.stderr is not None
        log = b"".join([bytes(chunk) async for chunk in process.stderr]).decode()
        assert await process.wait() == 1
        assert len(server.connects) == attempts + 1
        assert log.splitlines()[-1] == f"error: {server.url} refuses the credentials: user authentication expired"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--id", "n1"], "--id is for NATS; give --nats, too, or leave it out"),
        (["--peers", "n1"], "--peers is for NATS; give --nats, too, or leave it out"),
        (["--nats", "h", "--cluster", "c", "--peers", "n1"], "--id is missing: on NATS, no 'init' message says it"),
        (["--nats", "h", "--cluster", "c", "--id", "n1"], "--peers is missing: on NATS, no 'init' message says it"),
        (["--nats", "h", "--id", "n1", "--peers", "n1"], "--cluster is missing: give the name of the cluster of nodes"),
        (
            ["--nats", "h", "--cluster", "c", "--id", "n1", "--peers", "n2"],
            "'n1' is not among the nodes n2; add it to them",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], reason: str) -> None:
    """Each with the remedy."""
    assert refusal("node", "echo", *arguments) == reason


def test_numbers_are_unique_across_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They begin with the clock, or, with a store, with the number of the life."""
    ran: list[tuple[object, object]] = []

    def run(_: Node, *, first_msg_id: object, transport: Any, **__: object) -> None:
        ran.append((first_msg_id, transport().gen.ag_frame.f_locals["transport"].first_msg_id))

    monkeypatch.setattr(Node, "run", run)
    nats = ("node", "g-set", "--nats", "h", "--cluster", "c", "--id", "n1", "--peers", "n1,n2")
    for _ in range(2):
        assert outcome(*nats, "--store", tmp_path).status == 0
    assert outcome(*nats).status == 0
    assert ran == [(0, 0), (1 << node_command.MSG_ID_BITS, 0), (0, "clock")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


CONFIG = ("nats-config", "--cluster", "demo", "--peers", "n1,n2", "--passwords", "secrets")


def test_a_configuration_keeps_passwords(folder: Path) -> None:
    """They are made once, in files that only their owner can read, so several servers get the same."""
    first = outcome(*CONFIG)
    assert (first.status, first.errors) == (0, "")
    assert outcome(*CONFIG).output == first.output
    assert sorted(path.name for path in (folder / "secrets").iterdir()) == ["c1", "n1", "n2"]
    for path in (folder / "secrets").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert json.dumps(path.read_text().strip()) in first.output
    assert 'publish: { allow: ["messenger.demo.*.n1"] }' in first.output
    assert 'subscribe: { allow: ["messenger.demo.n1.*"] }' in first.output


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--tls-cert", "c"], "--tls-cert and --tls-key belong together, and --tls-ca needs them; give both"),
        (["--tls-ca", "c"], "--tls-cert and --tls-key belong together, and --tls-ca needs them; give both"),
        (["--routes", "h:1"], "several servers need --name, --routes-listen and --routes; give all of them"),
        (["--clients", "c1,n1"], "'n1' is there twice; give each node and each client one id"),
        (["--clients", "server"], "'server' is the user of the servers among each other; give the node another id"),
        (
            ["--jetstream", "j", "--clients", "services"],
            "'services' is the user of 'trio-messenger services'; give the node another id",
        ),
        (["--clients", ""], "an id is empty, which no subject can hold; give it at least one character"),
        (["--passwords", "file"], "--passwords 'file/n1': File exists; give a folder that can be written"),
        (["--passwords", "empty"], "--passwords 'empty/n1': its first line is empty; write the password there"),
    ],
)
def test_wrong_configurations_are_named(arguments: list[str], reason: str) -> None:
    """And nothing is printed."""
    Path("file").touch()
    Path("empty").mkdir()
    Path("empty/n1").touch()
    assert refusal(*CONFIG, *arguments) == reason


ROUTES = ("--name", "s1", "--routes-listen", "127.0.0.1:6222", "--routes", "127.0.0.1:6222,10.0.0.2:6222")


@pytest.mark.usefixtures("folder")
def test_a_configuration_for_one_of_several_servers(certificates: Certificates) -> None:
    """With TLS for nodes and for servers; the server itself checks it, where it is installed."""
    tls = ("--tls-cert", certificates.server, "--tls-key", certificates.server_key)
    assert "tls {" in outcome(*CONFIG, *tls).output
    found = outcome(*CONFIG, *tls, "--tls-ca", certificates.authority, *ROUTES)
    assert (found.status, found.errors) == (0, "")
    password = Path("secrets/server").read_text().strip()
    assert f'"nats-route://server:{password}@10.0.0.2:6222"' in found.output
    assert found.output.count("verify: true") == 2
    if PROGRAM is not None:
        Path("nats.conf").write_text(found.output)
        checked = subprocess.run([PROGRAM, "-t", "-c", "nats.conf"], capture_output=True, text=True, check=False)
        assert "is valid" in checked.stderr


@pytest.mark.usefixtures("folder")
def test_a_configuration_for_services() -> None:
    """Their user may read and write their buckets, and nobody else may."""
    found = outcome(*CONFIG, "--jetstream", "state").output
    assert 'jetstream { store_dir: "state" }' in found
    assert found.count('"$KV.messenger__demo__lin-kv.>"') == 1
    assert found.count('"$JS.API.STREAM.MSG.GET.KV_messenger__demo__lin-tso"') == 1
    assert '"messenger.demo.seq-kv.*"' in found
    assert "jetstream" not in outcome(*CONFIG).output


@contextlib.contextmanager
def configured_server(folder: Path) -> Iterator[str]:
    """Run a server with the generated configuration."""
    port = free_port()
    (folder / "nats.conf").write_text(outcome(*CONFIG, "--listen", f"127.0.0.1:{port}").output)
    with nats_server("-c", folder / "nats.conf", port=port) as (url, _):
        yield url


def as_user(folder: Path, user: str) -> Credentials:
    return Credentials(user=user, password=(folder / "secrets" / user).read_text().strip())


@needs_nats_server
async def test_a_node_can_neither_pose_as_another_nor_listen_for_it(folder: Path) -> None:
    """The server refuses both with the generated configuration, and carries what is true."""

    async def send(transport: NatsTransport, src: bytes, dest: bytes) -> None:
        await transport.send([PING % (src, dest)])

    with configured_server(folder) as url:
        one = as_user(folder, "n1")
        async with (
            open_nats(url, "demo", "n1", ["n1"], credentials=one) as transport,
            open_nats(url, "demo", "n2", ["n2"], credentials=as_user(folder, "n2")) as other,
        ):
            await transport.receive()
            await other.receive()
            with pytest.raises(
                trio.BrokenResourceError,
                match=rf'^{url} refuses this node: permissions violation for subscription to "messenger.demo.n2.\*"$',
            ):
                await open_nats(url, "demo", "n2", ["n2"], credentials=one).__aenter__()
            await send(transport, b"n1", b"n2")
            assert await other.receive() == [Message("n1", "n2", {"type": "ping"})]
            transport._own_part = "n2"  # from here on, it poses as n2
            await send(transport, b"n2", b"n2")
            await until(lambda: transport.counters["nats_denied"] == 1)
            transport._own_part = "n1"
            await send(transport, b"n2", b"n2")  # and here only in the line, which the server does not read
            await send(transport, b"n1", b"n2")
            assert await other.receive() == [Message("n1", "n2", {"type": "ping"})]
            assert other.counters["nats_forged"] == 1


@needs_nats_server
@pytest.mark.slow
async def test_three_processes_and_a_client(folder: Path) -> None:
    """As in the how-to: nodes that ask each other, a request by the command line, and a signal that ends them."""
    with configured_server(folder) as url:

        def arguments(user: str) -> list[str]:
            return ["--nats", url, "--cluster", "demo", "--user", user, "--password-file", f"secrets/{user}"]

        processes = [
            await trio.lowlevel.open_process(
                [*COMMAND[:-5], "messenger", *arguments(name), "--id", name, "--peers", "n1,n2"],
                stderr=subprocess.PIPE,
            )
            for name in ("n1", "n2")
        ]
        proxy = {"type": "proxy", "target": "n2", "inner": {"type": "echo", "echo": "hi"}}
        for _ in range(30):
            command = ["call", "n1", json.dumps(proxy), *arguments("c1"), "--timeout", "3"]
            found = await trio.to_thread.run_sync(functools.partial(outcome, *command))
            if found.status == 0:
                break
        assert re.search(r'"echo": "hi"', found.output)
        for process in processes:
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            log = b"".join([bytes(chunk) async for chunk in process.stderr])
            assert (await process.wait(), log) == (0, b"")
