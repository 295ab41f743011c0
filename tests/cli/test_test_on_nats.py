"""``trio-messenger test --nats``: clients and checkers for nodes that run elsewhere."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from support.command_line import Outcome, in_folder, outcome, wrong
from support.nats_server import fake_server

from trio_messenger import Node
from trio_messenger._cli import subject
from trio_messenger._cli.parsing import UsageError
from trio_messenger.nodes import echo
from trio_messenger.transports.nats import open_nats

NATS = ("--nats", "127.0.0.1:9", "--cluster", "demo")

EMPTY = ("--nodes", "n1,n2", "--time-limit", "0.3", "--rate", "50")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The store is in a folder of the test, and no connection is tried twice."""
    assert open_nats.__kwdefaults__ is not None
    monkeypatch.setitem(open_nats.__kwdefaults__, "connect_timeout", 0)
    yield from in_folder(tmp_path, monkeypatch)


@asynccontextmanager
async def on_nats(url: str, build: Callable[[], Node]) -> AsyncIterator[None]:
    """Run two nodes in this process."""

    async def serve(node_id: str) -> None:
        async with open_nats(url, "demo", node_id, ["n1", "n2"]) as transport:
            await build().serve(transport)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, "n1")
        nursery.start_soon(serve, "n2")
        yield
        nursery.cancel_scope.cancel()


async def command(*argv: str | Path) -> Outcome:
    """Run a command in another thread, while this one serves it."""
    return await trio.to_thread.run_sync(functools.partial(outcome, *argv))


def parrot() -> Node:
    """Return an echo node that says something else."""
    node = Node()
    node.on("echo")(lambda _: {"echo": "hello"})
    return node


async def test_a_cluster_elsewhere_gets_a_verdict() -> None:
    """With the files of any other run; the same command and `replay` run it again, with the same options."""
    async with fake_server() as server:
        words = ("--nats", server.url, "--cluster", "demo", "--id", "c7")
        async with on_nats(server.url, echo.build):
            found = await command("test", "-w", "echo", *words, *EMPTY)
            assert (found.status, found.errors) == (0, "")
            folder = Path(found.line("files")).parent
            assert (folder / "history.jsonl").stat().st_size
            again = await command("replay", folder)
            assert again.status == 0
            assert "it ran in real time, which cannot be repeated" in again.output
        assert {subject for subject, _ in server.published} >= {"messenger.demo.n1.c7", "messenger.demo.c7.n2"}
        async with on_nats(server.url, parrot):
            found = await command("test", "-w", "echo", *words, *EMPTY, "--no-store")
        assert found.status == 1
        assert found.line("command").startswith(
            f"trio-messenger test -w echo --nats {server.url} --cluster demo --id c7"
        )


async def test_a_server_that_is_away_or_refuses_leaves_no_verdict() -> None:
    """One clear line each, and status 255."""
    found = await command("test", "-w", "echo", *NATS, *EMPTY)
    assert (found.status, found.output) == (255, "")
    assert found.errors == "trio-messenger test: error: nats://127.0.0.1:9 cannot be reached: connection refused\n"
    async with fake_server(refuses="Authorization Violation") as server:
        found = await command("test", "-w", "echo", "--nats", server.url, "--cluster", "demo", *EMPTY)
        assert (found.status, found.output) == (255, "")
        assert found.errors == (
            f"trio-messenger test: error: {server.url} refuses the credentials: authorization violation\n"
        )
        assert len(server.connects) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([*NATS, "--node", "echo"], "--node does not go with --nats: there are nodes elsewhere; leave it out"),
        ([*NATS, "--bin", "x"], "--bin does not go with --nats: there are nodes elsewhere; leave it out"),
        ([*NATS, "--", "x"], "'x' after -- does not go with --nats: there is no executable to take it; leave it out"),
        (
            [*NATS, "--max-seconds", "2"],
            "--max-seconds does not go with --nats: each run needs a fresh cluster; leave it out",
        ),
        ([*NATS, "--seeds", "2"], "--seeds does not go with --nats: each run needs a fresh cluster; leave it out"),
        (
            [*NATS, "--check-determinism"],
            "--check-determinism does not go with --nats: two runs in real time always differ; leave it out",
        ),
        ([*NATS, "--log-stderr"], "--log-stderr does not go with --nats: the nodes log where they run; leave it out"),
        (
            [*NATS, "--nemesis", "kill"],
            "--nemesis is for a simulated network; break the real one yourself while the test runs; leave it out",
        ),
        (
            [*NATS, "--invariant", "a:b"],
            "--invariant looks at the objects of nodes, which are elsewhere; leave it out",
        ),
        ([*NATS, "--id", "n2"], "--id 'n2' is the id of a node; give the clients another one"),
        (["--nats", "h"], "--cluster is missing: give the name of the cluster of nodes"),
        (["--id", "c1"], "--id is for NATS; give --nats, too, or leave it out"),
    ],
)
def test_what_has_no_meaning_is_refused(arguments: list[str], reason: str) -> None:
    """With the reason."""
    assert wrong("test", "-w", "echo", *arguments) == reason


@pytest.mark.parametrize("words", [["--nats", "h", "--colour", "red"], ["--nats", "h", "--cluster"]])
def test_a_file_with_wrong_words_is_refused(words: list[str]) -> None:
    """They come from the file of a run, which somebody may have changed."""
    with pytest.raises(UsageError, match=rf"^'{words[2]}' is not an option for nodes on NATS, or has no value$"):
        subject.find_subject(words)
