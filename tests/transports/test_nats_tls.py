"""TLS and credentials of the transport over NATS: whom it trusts, and who it is."""

from __future__ import annotations

import ssl
import time
from functools import partial
from pathlib import Path

import pytest
import trio
from support.certificates import Certificates, certificates
from support.nats_accounts import Accounts
from support.nats_server import fake_server, nats_server, needs_nats_server

from trio_messenger import Message
from trio_messenger.nodes import echo
from trio_messenger.transports._nats_refusals import explained
from trio_messenger.transports.nats import Credentials, open_nats

__all__ = ["certificates"]


async def connects(url: str, credentials: Credentials) -> None:
    """Connect to *url*, and send a message to the node itself."""
    async with open_nats(url, "demo", "n1", ["n1"], credentials=credentials, heartbeat=20) as transport:
        await transport.receive()
        await transport.send([b'{"src": "n1", "dest": "n1", "body": {"type": "ping"}}'])
        assert await transport.receive() == [Message("n1", "n1", {"type": "ping"})]


def refused(url: str, reason: str) -> pytest.RaisesExc[trio.BrokenResourceError]:
    """Expect that the connection is refused with *reason*."""
    return pytest.raises(trio.BrokenResourceError, match=f"^{reason.format(url=url)}$")


async def test_a_server_with_the_right_certificate_is_trusted(certificates: Certificates) -> None:
    """And it learns who the client is, if it wants to."""
    async with fake_server(tls=certificates.server_context(wants_client=True)) as server:
        await connects(server.url, Credentials(tls=certificates.client_context(shows_itself=True)))


async def test_the_end_of_a_connection_with_tls_is_no_warning(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio would warn of the protocol that reads the messages, if it did not know that it is over TLS."""
    async with fake_server(tls=certificates.server_context()) as server:
        await connects(server.url, Credentials(tls=certificates.client_context()))
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError()
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "has_tls", "text"),
    [
        (
            ssl_error("BAD_CERTIFICATE"),
            True,
            "URL refuses the certificate of this node, or demands one: BAD_CERTIFICATE",
        ),
        (BrokenPipeError(32, "Broken pipe"), False, "URL cannot be reached: broken pipe"),
        (
            ConnectionResetError(104, "Connection reset"),
            True,
            "URL cannot be reached: connection reset; the server may demand a certificate of this node",
        ),
    ],
)
def test_a_server_that_wants_a_certificate(error: Exception, has_tls: bool, text: str) -> None:
    """It depends on timing whether its refusal can be read, or only the connection breaks."""
    assert f"{explained(error, 'URL', [], has_tls=has_tls)}" == text


async def test_a_server_with_another_certificate_is_not_told_anything(certificates: Certificates) -> None:
    """Neither with an authority of the user's, nor with the system's for ``tls://``."""
    for_all = Credentials(tls=certificates.client_context(trusts=certificates.other_authority), user="u", password="p")
    async with fake_server(tls=certificates.server_context()) as server:
        reason = "the certificate of {url} is not trusted: (unable to get local issuer certificate|self.signed.*)"
        with refused(server.url, reason):
            await connects(server.url, for_all)
        url = server.url.replace("nats", "tls")
        with refused(url, reason):
            await connects(url, Credentials())
        assert server.connects == []


async def test_no_password_goes_over_a_connection_without_tls(certificates: Certificates) -> None:
    """Not even if the server, or somebody before it, says that it needs no TLS."""
    async with fake_server() as server:
        with refused(server.url, "{url} does not use TLS, and this node demands it; turn TLS on in the server"):
            await connects(server.url, Credentials(tls=certificates.client_context(), user="n1", password="secret"))
        assert server.connects == []


async def test_what_is_no_tls_is_named(certificates: Certificates) -> None:
    """As when a proxy answers."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.send_all(b'INFO {"tls_required": true}\r\n')
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        url = f"nats://127.0.0.1:{listener.socket.getsockname()[1]}"
        with refused(url, "no TLS connection to {url}: .*WRONG_VERSION_NUMBER.*"):
            await connects(url, Credentials(tls=certificates.client_context()))
        nursery.cancel_scope.cancel()


@needs_nats_server
async def test_a_real_server_with_tls(certificates: Certificates) -> None:
    """Client certificates included."""
    arguments = ("--tls", "--tlscert", certificates.server, "--tlskey", certificates.server_key)
    with nats_server(*arguments, "--tlscacert", certificates.authority, "--tlsverify") as (url, _):
        await connects(url, Credentials(tls=certificates.client_context(shows_itself=True)))
        with refused(url, "the certificate of {url} is not trusted: .*"):
            await connects(url, Credentials(tls=certificates.client_context(trusts=certificates.other_authority)))
        with refused(url, "{url} (refuses the|cannot be reached: .* a) certificate of this node.*"):
            await connects(url, Credentials(tls=certificates.client_context()))


@needs_nats_server
async def test_a_real_server_with_passwords() -> None:
    """One line says that the password is wrong."""
    with nats_server("--user", "n1", "--pass", "right") as (url, _):
        await connects(url, Credentials(user="n1", password="right"))
        for credentials in (Credentials(user="n1", password="wrong"), Credentials()):
            with refused(url, "{url} refuses the credentials: authorization violation"):
                await connects(url, credentials)


@needs_nats_server
async def test_a_real_server_with_credentials_that_expire(tmp_path: Path) -> None:
    """Those that have expired are refused; a node whose credentials expire while it runs ends with that reason."""
    accounts = Accounts(tmp_path)
    with nats_server("-c", accounts.configuration) as (url, _):
        await connects(url, Credentials(creds=accounts.user("n1")))
        with refused(url, "{url} refuses the credentials: .*auth.*"):
            await connects(url, Credentials(creds=accounts.user("late", expires_at=int(time.time()) - 10)))
        brief = accounts.user("brief", expires_at=int(time.time()) + 2)
        reason = f"^{url} refuses the credentials: .*auth.*$"
        with pytest.raises(trio.BrokenResourceError, match=reason):
            async with open_nats(url, "demo", "n1", ["n1"], credentials=Credentials(creds=brief)) as transport:
                await echo.build().serve(transport)
