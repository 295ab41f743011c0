"""Nodes and clients that the server refuses, or that refuse the server: one line, status 1, and no second attempt."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from support.certificates import Certificates, certificates
from support.command_line import Outcome, outcome
from support.nats_accounts import Accounts
from support.nats_server import fake_server, nats_server, needs_nats_server

__all__ = ["certificates"]

CALL = ("call", "n1", '{"type": "read"}', "--cluster", "demo", "--timeout", "20")
NODE = ("node", "echo", "--cluster", "demo", "--id", "n1", "--peers", "n1")


async def call(url: str, *arguments: str | Path) -> Outcome:
    """Run ``call`` in a thread, while the server of the test serves."""
    return await trio.to_thread.run_sync(lambda: outcome(*CALL, "--nats", url, *arguments))


@pytest.mark.parametrize("reason", ["Authorization Violation", "User Authentication Expired"])
async def test_a_client_that_is_refused_says_so_once(tmp_path: Path, reason: str) -> None:
    """For a wrong password, and for credentials that have expired."""
    password = tmp_path / "password"
    password.write_text("wrong\n", encoding="utf-8")
    async with fake_server(refuses=reason) as server:
        found = await call(server.url, "--user", "c1", "--password-file", password)
        assert (found.status, found.output) == (1, "")
        assert found.errors == f"trio-messenger call: {server.url} refuses the credentials: {reason.lower()}\n"
        assert len(server.connects) == 1


async def test_a_client_that_does_not_trust_the_server_says_so_once(certificates: Certificates) -> None:
    """It tells the server nothing."""
    async with fake_server(tls=certificates.server_context()) as server:
        found = await call(server.url, "--tls-ca", certificates.other_authority)
        assert (found.status, found.output) == (1, "")
        assert found.errors.startswith(f"trio-messenger call: the certificate of {server.url} is not trusted: ")
        assert found.errors.count("\n") == 1
        assert server.connects == []


@contextmanager
def refusing(kind: str, folder: Path, certificates: Certificates) -> Iterator[tuple[str, tuple[str | Path, ...], str]]:
    """Run a real server that refuses; give its URL, the options that it refuses, and the beginning of the reason."""
    if kind == "password":
        (folder / "password").write_text("wrong\n", encoding="utf-8")
        with nats_server("--user", "n1", "--pass", "right") as (url, _):
            yield url, ("--user", "n1", "--password-file", folder / "password"), f"{url} refuses the credentials: "
    elif kind == "credentials":
        accounts = Accounts(folder)
        expired = accounts.user("late", expires_at=int(time.time()) - 10)
        with nats_server("-c", accounts.configuration) as (url, _):
            yield url, ("--creds", expired), f"{url} refuses the credentials: "
    else:
        with nats_server("--tls", "--tlscert", certificates.server, "--tlskey", certificates.server_key) as (url, _):
            yield url, ("--tls-ca", certificates.other_authority), f"the certificate of {url} is not trusted: "


@needs_nats_server
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["password", "credentials", "certificate"])
def test_a_real_server_refuses(kind: str, tmp_path: Path, certificates: Certificates) -> None:
    """A node, which is a process, and a client."""
    with refusing(kind, tmp_path, certificates) as (url, options, reason):
        words = [sys.executable, "-m", "trio_messenger", *NODE, "--nats", url, *map(str, options)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        client = outcome(*CALL, "--nats", url, *options)
    for found, text in (
        ((done.returncode, done.stdout, done.stderr), f"error: {reason}"),
        ((client.status, client.output, client.errors), f"trio-messenger call: {reason}"),
    ):
        assert found[:2] == (1, "")
        assert found[2].startswith(text)
        assert found[2].count("\n") == 1
