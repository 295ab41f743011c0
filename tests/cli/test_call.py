"""``trio-messenger call``: one request to an executable or to a node on NATS, and its reply."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import trio
from support.certificates import Certificates, certificates
from support.command_line import Outcome, outcome
from support.nats_server import FakeServer, fake_server

from trio_messenger import ErrorCode, Node, Request, RpcError
from trio_messenger._cli import call, nats_options
from trio_messenger._cli.parsing import UsageError
from trio_messenger.transports.nats import open_nats

__all__ = ["certificates"]

ECHO = '{"type": "echo", "echo": "hé"}'

ANSWER = r"""sed -u -e 's/"src": "c1", "dest": "n1"/"src": "n1", "dest": "c1"/' -e 's/"msg_id"/"in_reply_to"/'"""
"""A shell command that sends each message back as its own reply."""


def executable(folder: Path, script: str) -> Path:
    path = folder / "node.sh"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def wrong(*argv: str | Path) -> str:
    """Run a command with wrong arguments; return what is said of them."""
    found = outcome("call", *argv)
    assert (found.status, found.output) == (2, "")
    return found.errors.rpartition("error: ")[2].removesuffix("\n")


def test_an_executable_is_initialised_asked_and_ended(tmp_path: Path) -> None:
    """The reply is on stdout, as JSON."""
    found = outcome(
        "call", "--bin", executable(tmp_path, f"tee log | {ANSWER}".replace("log", str(tmp_path / "log"))), "n1", ECHO
    )
    assert (found.status, found.errors) == (0, "")
    reply = json.loads(found.output)
    assert (reply["type"], reply["echo"], "in_reply_to" in reply) == ("echo", "hé", True)
    init, request = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (init["body"]["type"], init["body"]["node_id"], init["body"]["node_ids"]) == ("init", "n1", ["n1"])
    assert request["body"] == {"type": "echo", "echo": "hé", "msg_id": init["body"]["msg_id"] + 1}


def test_the_words_behind_the_dashes_are_arguments(tmp_path: Path) -> None:
    """As for ``test --bin``."""
    found = outcome(
        "call", "--bin", executable(tmp_path, f'echo "$@" > {tmp_path}/words\n{ANSWER}'), "n1", ECHO, "--", "a", "--b"
    )
    assert found.status == 0
    assert (tmp_path / "words").read_text() == "a --b\n"


def test_an_executable_that_ends_early_is_named() -> None:
    """With what to do."""
    found = outcome("call", "--bin", "/bin/true", "n1", ECHO)
    assert (found.status, found.output, found.errors) == (
        1,
        "",
        "trio-messenger call: the executable ended before 'n1' replied; run it by itself to see why\n",
    )


def test_what_is_no_executable_is_named() -> None:
    """With the reason of the system."""
    found = outcome("call", "--bin", "/no/such", "n1", ECHO)
    assert (found.status, found.errors) == (
        1,
        "trio-messenger call: --bin '/no/such': No such file or directory; give an executable file\n",
    )


def test_an_executable_that_says_nothing_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the timeout, and without a warning of the reaper."""
    monkeypatch.setattr(call, "_TIME_TO_END", 0.01)
    found = outcome("call", "--bin", executable(tmp_path, "exec sleep 1000"), "n1", ECHO, "--timeout", "0.01")
    assert found.status == 1
    assert found.errors.startswith("trio-messenger call: no reply from 'n1' to msg_id ")
    assert found.errors.count("\n") == 1


def test_an_interrupt_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the status that shells use."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trio, "run", interrupt)
    assert outcome("call", "--bin", "/bin/true", "n1", ECHO) == Outcome(130, "", "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["n1", ECHO], "where is the node? give --nats for one on NATS, or --bin for an executable"),
        (["n1", ECHO, "--nats", "h", "--bin", "x"], "where is the node? give --nats"),
        (["n1", "{"], "argument BODY: '{' is not JSON: "),
        (
            ["n1", "[1]"],
            "argument BODY: '[1]' is not a body; give an object with a type, such as '{\"type\": \"read\"}'",
        ),
        (["n1", '{"type": 1}'], "argument BODY: '{\"type\": 1}' is not a body; give"),
        (["n1", ECHO, "--timeout", "0"], "argument --timeout: '0' is not a time to wait; give seconds, such as 5"),
        (["n1", ECHO, "--nats", "h", "--", "x"], "'x' after -- is for the executable of --bin; leave it out"),
        (["n1", ECHO, "--bin", "x", "--user", "u"], "--user is for NATS; give --nats, too, or leave it out"),
        (["n1", ECHO, "--nats", "h"], "--cluster is missing: give the name of the cluster of nodes"),
        (["n1", ECHO, "--nats", "http://h", "--cluster", "c"], "'http://h' is not the URL of a server; give one such"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], reason: str) -> None:
    """Each with the remedy."""
    assert wrong(*arguments).startswith(reason)


NATS = ("n1", ECHO, "--nats", "h", "--cluster", "c")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--user", "u"], "--user and --password-file belong together; give both"),
        (["--user", "u", "--password-file", "p", "--creds", "c"], "--creds and --user both say who this is; give one"),
        (["--tls-key", "k"], "--tls-key is the key of --tls-cert; give --tls-cert, too"),
        (["--tls-ca", "missing.pem"], "--tls-ca: 'missing.pem': No such file or directory; give a PEM file"),
        (["--tls-ca", "empty"], "--tls-ca: 'empty': no certificate or crl found; give a PEM file"),
        (["--tls-cert", "empty"], "--tls-cert: 'empty': it is not a certificate with its key; give a PEM file"),
        (["--creds", "empty"], "'empty' has no credentials; give a file that 'nsc generate creds' made"),
        (["--user", "u", "--password-file", "empty"], "--password-file 'empty': its first line is empty; write"),
        (["--user", "u", "--password-file", "."], "--password-file '.': Is a directory; give a file with the password"),
        (["--prefix", "a..b"], "an id is empty, which no subject can hold; give it at least one character"),
    ],
)
def test_wrong_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    """Before anything is connected."""
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    assert wrong(*NATS, *arguments).startswith(reason)


@pytest.mark.parametrize("missing", ["nats", "something"])
def test_the_extra_is_named_if_it_is_missing(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Any other missing module is a mistake of the installation."""

    def fail(_: str) -> None:
        raise ModuleNotFoundError(name=missing)

    monkeypatch.setattr("trio_messenger._cli.parsing.importlib.import_module", fail)
    if missing == "nats":
        assert nats_refusal() == "--nats needs more packages; install trio-messenger[nats]"
    else:
        with pytest.raises(ModuleNotFoundError):
            nats_refusal()


def nats_refusal() -> str:
    """Return why a call over NATS is refused; without the command line, which imports modules itself."""
    arguments: Any = type("Arguments", (), {"cluster": "c", "user": None, "password_file": None, "creds": None})
    with pytest.raises(UsageError) as caught:
        nats_options.open_transport(arguments, "c1", ["c1"])
    return f"{caught.value}"


async def in_thread(server: FakeServer, *argv: str | Path) -> Outcome:
    """Run a command for *server*, which runs in this thread."""
    command = functools.partial(outcome, argv[0], "--nats", server.url, "--cluster", "demo", *argv[1:])
    return await trio.to_thread.run_sync(command)


async def test_a_node_on_nats_is_asked(tmp_path: Path) -> None:
    """With a password, and as a client whose id may be chosen; an error reply is printed, too."""
    (tmp_path / "password").write_text("secret\n")
    node = Node()

    @node.on("echo")
    def echo(request: Request) -> dict[str, object]:
        return {"echo": request.body["echo"], "from": request.src}

    @node.on("fail")
    def fail() -> None:
        raise RpcError(ErrorCode.ABORT, "no luck")

    async with (
        fake_server() as server,
        open_nats(server.url, "demo", "n1", ["n1"]) as transport,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(node.serve, transport)
        user = ("--user", "u", "--password-file", tmp_path / "password", "--prefix", "messenger")
        found = await in_thread(server, "call", "n1", ECHO, *user, "--id", "c9")
        assert (found.status, found.errors) == (0, "")
        assert (found.json["echo"], found.json["from"]) == ("hé", "c9")
        assert (server.connects[-1]["user"], server.connects[-1]["pass"]) == ("u", "secret")
        failed = await in_thread(server, "call", "n1", '{"type": "fail"}')
        assert (failed.status, failed.errors) == (1, "")
        assert failed.json == {"type": "error", "code": 14, "text": "no luck"}
        server.refuses = "Authorization Violation"
        refused = await in_thread(server, "call", "n1", ECHO)
        assert (refused.status, refused.output) == (1, "")
        assert refused.errors == (
            f"trio-messenger call: {server.url} refuses the credentials: authorization violation\n"
        )
        nursery.cancel_scope.cancel()


async def test_tls_by_the_files_of_the_command_line(certificates: Certificates) -> None:
    """The server is trusted, and sees the client's certificate."""
    async with fake_server(
        tls=certificates.server_context(wants_client=True), refuses="Authorization Violation"
    ) as server:
        tls = (
            "--tls-ca",
            certificates.authority,
            "--tls-cert",
            certificates.client,
            "--tls-key",
            certificates.client_key,
        )
        found = await in_thread(server, "call", "n1", ECHO, *tls)
        assert (found.status, found.output) == (1, "")
        assert found.errors.endswith("refuses the credentials: authorization violation\n")
    async with fake_server(tls=certificates.server_context(), refuses="Authorization Violation") as server:
        found = await in_thread(server, "call", "n1", ECHO, *tls[:2])
        assert found.errors.endswith("refuses the credentials: authorization violation\n")
