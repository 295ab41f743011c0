"""Background tasks: when they run, how they end, and which functions may be one."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
from support.echo_node import ASK, INIT_BODY, INIT_OK, echo_node, fail_when_cancelled, receive_until_end
from support.lines import INIT, line
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import Body, Node
from trio_messenger.testing import running
from trio_messenger.transports.memory import memory_transport_pair


async def test_background_tasks_live_from_init_to_the_end() -> None:
    """A background task starts after init, not before, may send, and is cancelled when the input ends."""
    node = Node()
    life: list[str] = []

    @node.background
    async def tell() -> None:
        life.append(node.id)
        await node.send("n2", {"type": "hello"})
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            life.append("cancelled")
            raise

    async with running(node, init=False) as network:
        await network.receive_nothing()
        assert life == []
        await network.send("c0", INIT_BODY)
        assert (await network.receive()).body == INIT_OK
        assert (await network.receive()).body == {"type": "hello", "msg_id": 1}
        assert life == ["n1"]
        network.send_eof()
        assert await receive_until_end(network) == []
    assert life == ["n1", "cancelled"]


async def test_background_task_of_a_running_node_starts_at_once() -> None:
    """Registered after init, a background task starts without more ado; registered after the end, it is refused."""
    node = Node()
    runs: list[str] = []

    async def early() -> None:
        runs.append("early")

    async def late() -> None:
        runs.append("late")

    async with running(node) as network:
        node.background(early)
        await network.receive_nothing()
        assert runs == ["early"]
    with pytest.raises(trio.ClosedResourceError, match=r"^the node is closed and starts no more background tasks$"):
        node.background(late)
    assert runs == ["early"]


@pytest.mark.parametrize("how", ["eof", "shutdown", "cancelled", "broken", "before_init"])
async def test_background_raises_the_same_however_the_node_closes(how: str, autojump_clock: MockClock) -> None:
    """From the end of the input on, `background` and `every` raise ClosedResourceError: in handlers that still work,
    in callbacks, and afterwards."""
    node = Node(grace=5)
    told: list[str] = []

    async def late() -> None:
        told.append("runs")

    def try_both(_: object = None) -> None:
        for register in (node.background, partial(node.every, 1)):
            try:
                register(late)
            except Exception as exc:  # noqa: BLE001 - what it is, is compared
                told.append(f"{type(exc).__name__}: {exc}")

    @node.on("work")
    async def work() -> Body:
        await trio.sleep(1)  # a node that is cancelled, or whose output breaks, does not wait for it
        try_both()
        return {}

    there, here = memory_transport_pair()
    with suppress(ExceptionGroup):  # of a broken transport
        async with here, trio.open_nursery() as nursery:
            nursery.start_soon(node.serve, there)
            if how != "before_init":
                await here.send_bytes(INIT + line({"type": "work", "msg_id": 2}))
                await wait_all_tasks_blocked()
                node.rpc_callback("n2", ASK, try_both)
            if how == "shutdown":
                node.shutdown()
            elif how == "cancelled":
                nursery.cancel_scope.cancel()
            elif how == "broken":
                await here.aclose()
            else:
                here.send_eof()
    try_both()
    calls = {"before_init": 2, "cancelled": 4, "broken": 4}.get(how, 6)
    assert told == ["ClosedResourceError: the node is closed and starts no more background tasks"] * calls


async def test_background_task_that_fails_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """What a background task raises is logged with its traceback and counted; the node and the other tasks go on."""
    node = echo_node()

    async def fail() -> None:
        raise ValueError("out of ideas")

    async def tell() -> None:
        await node.send("n2", {"type": "hello"})
        await trio.sleep_forever()

    node.background(fail)
    node.background(tell)
    async with running(node) as network:
        assert (await network.receive()).body["type"] == "hello"
        assert (await network.request("echo", echo=1))["echo"] == 1
    assert node.stats.handler_failures == 1
    assert caplog.messages == [f"background task {fail!r} failed"]
    assert "ValueError: out of ideas" in caplog.text


async def test_background_task_that_fails_when_cancelled_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a background task raises while it is cancelled at the end does not keep the node from its end."""
    node = echo_node()
    node.background(fail_when_cancelled)
    async with running(node) as network:
        await network.receive_nothing()
    assert node.stats.handler_failures == 1
    assert caplog.messages == [f"background task {fail_when_cancelled!r} failed"]


def test_background_takes_async_functions_only() -> None:
    """A plain function as background task is a TypeError at registration."""

    def plain() -> Any: ...

    with pytest.raises(TypeError) as caught:
        Node().background(plain)
    assert str(caught.value) == f"background() takes an async function without arguments, not {plain!r}"


def with_arguments(request: object) -> None: ...


async def async_with_arguments(request: object) -> None: ...


TAKERS: list[tuple[str, Callable[[Node, Any], object]]] = [
    ("on_init", lambda node, it: node.on_init(it)),
    ("background", lambda node, it: node.background(it)),
    ("every", lambda node, it: node.every(1.0, it)),
]


@pytest.mark.parametrize(("taker", "register"), TAKERS, ids=[name for name, _ in TAKERS])
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (None, ""),
        ("hook", ""),
        (with_arguments, ": missing a required argument: 'request'"),
        (async_with_arguments, ": missing a required argument: 'request'"),
    ],
)
def test_what_cannot_be_called_without_arguments_is_refused(
    taker: str, register: Callable[[Node, Any], object], function: Any, reason: str
) -> None:
    """Hooks, background tasks and periodic functions are called without arguments, and what cannot be is a TypeError
    where it is registered."""
    text = f"{taker}() takes a function without arguments, not {function!r:.80}{reason}"
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        register(Node(), function)


async def test_function_that_tells_nothing_of_its_parameters_is_taken() -> None:
    """What is built in may tell nothing of its parameters; it is tried."""
    node = Node()
    assert node.on_init(dict) is dict
    async with running(node):
        pass


async def test_parameters_with_defaults_are_the_authors() -> None:
    """A hook whose parameters all have defaults can be called without arguments."""
    node = Node()
    ran: list[int] = []
    node.on_init(lambda number=7: ran.append(number))
    async with running(node):
        assert ran == [7]
