"""The server of metrics, whose clients may be anybody: what it answers, and what they cannot do to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from trio_messenger.metrics import _http
from trio_messenger.metrics._http import HttpReply, HttpServer

GET = b"GET /page HTTP/1.1\r\nHost: n1\r\n\r\n"


def fail() -> HttpReply:
    raise ZeroDivisionError("no such luck")


def server() -> HttpServer:
    return HttpServer({"/page": lambda: HttpReply(200, b"hello\n"), "/bad": fail})


@asynccontextmanager
async def served(server: HttpServer, *, lockstep: bool = False) -> AsyncIterator[trio.abc.HalfCloseableStream]:
    """Connect to *server*; at the end, the connection has ended."""
    client, stream = lockstep_stream_pair() if lockstep else memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_connection, stream)
        yield client
        await client.aclose()


async def ask(*parts: bytes) -> str:
    """Send *parts* one after another; return the whole answer."""
    async with served(server()) as client:
        for part in parts:
            await client.send_all(part)
            await wait_all_tasks_blocked()
        with trio.fail_after(1):
            return b"".join([bytes(chunk) async for chunk in client]).decode()


HEADERS = "Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n"

HELLO = "HTTP/1.1 200 OK\r\n" + HEADERS.format(6) + "hello\n"


@pytest.mark.parametrize(
    "parts",
    [
        [GET],
        [bytes([byte]) for byte in GET],
        [b"GET /page?x=1 HTTP/1.0\r\n\r\n"],
        [b"GET http://n1:9464/page HTTP/1.1\r\nHost: n1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"],
        [GET + GET],
    ],
)
async def test_a_page_is_served_once_to_a_connection(autojump_clock: object, parts: list[bytes]) -> None:
    """However the request is cut, or written, and whatever follows."""
    assert await ask(*parts) == HELLO


async def test_a_head_has_no_body(autojump_clock: object) -> None:
    """Only its length."""
    assert await ask(GET.replace(b"GET", b"HEAD")) == HELLO.removesuffix("hello\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /other HTTP/1.0\r\n\r\n", "404 Not Found; there are: /page, /bad"),
        (b"GET http://[ HTTP/1.0\r\n\r\n", "404 Not Found; there are: /page, /bad"),
        (b"OPTIONS * HTTP/1.0\r\n\r\n", "404 Not Found; there are: /page, /bad"),
        (b"POST /page HTTP/1.1\r\nHost: n1\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed"),
        (b"GET /bad HTTP/1.0\r\n\r\n", "500 Internal Server Error"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "400 Bad Request"),
        (b"GET /page HTTP/1.1\r\n\r\n", "400 Bad Request"),
        (b"GET /p\xc3\xa4ge HTTP/1.0\r\n\r\n", "400 Bad Request"),
        (b"GET /page HTTP/1.0\r\nA: " + b"a" * _http.LONGEST_HEAD, "431 Request Header Fields Too Large"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(autojump_clock: object, request_: bytes, status: str) -> None:
    """And the node goes on."""
    head, _, body = (await ask(request_)).partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status.partition(';')[0]}\r\n")
    assert body == f"{status}\n"
    assert ("Allow: GET, HEAD" in head) == status.startswith("405")


async def test_a_page_that_fails_is_logged(autojump_clock: object, caplog: pytest.LogCaptureFixture) -> None:
    """With the reason."""
    await ask(b"GET /bad HTTP/1.0\r\n\r\n")
    [record] = caplog.records
    assert record.getMessage() == "the page /bad failed"
    assert "no such luck" in caplog.text


async def test_a_client_that_goes_away_is_forgotten(autojump_clock: object) -> None:
    """Before, in and after its request."""
    for sent in (b"", GET[:10], GET):
        async with served(server()) as client:
            if sent:
                await client.send_all(sent)
            await wait_all_tasks_blocked()
    for sent, answer in ((b"", ""), (GET[:10], "HTTP/1.1 400 ")):
        async with served(server()) as client:
            if sent:
                await client.send_all(sent)
            await client.send_eof()
            assert bytes(await client.receive_some()).decode().startswith(answer)


async def test_a_slow_client_has_five_seconds(autojump_clock: object) -> None:
    """To ask, to take the answer, and to close the connection."""
    async with served(server()) as client:
        for byte in GET[:5]:
            await client.send_all(bytes([byte]))
            await trio.sleep(1)
        assert await client.receive_some() == b""
    assert trio.current_time() == 5
    async with served(server(), lockstep=True) as client:
        await client.send_all(GET)
        await trio.sleep_until(12)
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"more")
    async with served(server()) as client:
        await client.send_all(GET)
        assert b"".join([bytes(chunk) async for chunk in client]).decode() == HELLO
        await trio.sleep_until(20)
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"more")


async def test_what_follows_a_request_is_bounded(autojump_clock: object) -> None:
    """A client that never stops sending is cut off."""
    async with served(server()) as client:
        await client.send_all(GET)
        await client.send_all(b"x" * 2 * _http._UNREAD)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"x")
    assert trio.current_time() == 0


async def test_many_connections_do_not_keep_others_out(autojump_clock: object) -> None:
    """The oldest has to go; there are never more than the limit, and nothing is left of them."""
    flooded = server()
    async with trio.open_nursery() as nursery:
        clients = []
        for _ in range(_http.MOST_CONNECTIONS + 10):
            client, stream = memory_stream_pair()
            nursery.start_soon(flooded.serve_connection, stream)
            clients.append(client)
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) <= _http.MOST_CONNECTIONS
        assert [await each.receive_some() for each in clients[:10]] == [b""] * 10
        async with served(flooded) as last:
            await last.send_all(GET)
            assert b"".join([bytes(chunk) async for chunk in last]).decode() == HELLO
        assert trio.current_time() == 0
    assert trio.current_time() == _http.CONNECTION_TIME
    assert not flooded._open
