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
    """A plain function as background task is a TypeError at registration, also in a partial."""

    def plain() -> Any: ...

    for function in (plain, partial(plain)):
        with pytest.raises(TypeError) as caught:
            Node().background(function)
        text = f"background() takes an async function, not {function!r}; to repeat a plain one, use every()"
        assert str(caught.value) == text


async def test_background_function_that_turns_out_to_be_plain_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    """What a lambda returns shows only when it is called."""
    node = Node()
    node.background(lambda: 3)  # type: ignore[type-var]
    async with running(node) as network:
        await network.receive_nothing()
    assert node.stats.handler_failures == 1
    assert re.search(r"TypeError: background\(\) runs async functions, and <.*> returned 3$", caplog.text, re.MULTILINE)


async def test_background_tasks_and_periodic_functions_take_arguments(autojump_clock: MockClock) -> None:
    """As start_soon() does; lambdas and partials of async functions will do."""
    node, calls = Node(), list[str]()

    async def note(word: str, other: str = "") -> None:
        calls.append(word + other)

    assert node.background(note, "a") is note
    node.background(note, "b", "c")
    node.background(partial(note, "d"), "e")
    node.background(lambda word: note(word, "g"), "f")
    node.every(1, note, "g")
    node.every(1, lambda word: calls.append(f"{word}i"), "h")
    async with running(node):
        await trio.sleep(1.5)
    assert sorted(calls) == ["a", "bc", "de", "fg", "g", "hi"]


@pytest.mark.parametrize("when", ["before init", "while it runs"])
async def test_background_tasks_and_periodic_functions_can_be_stopped(when: str, autojump_clock: MockClock) -> None:
    """By the scope that they were given; nothing else ends, and nothing has failed."""
    node, ticks = Node(), list[str]()
    scopes = [trio.CancelScope(), trio.CancelScope()]

    @node.background
    async def other() -> None:
        await trio.sleep(5)
        ticks.append("other")

    async def forever(name: str) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ticks.append(name)

    node.background(forever, "stopped", scope=scopes[0])
    node.every(1, ticks.append, "tick", scope=scopes[1])
    if when == "before init":
        for scope in scopes:
            scope.cancel()
    async with running(node):
        await trio.sleep(2.5)
        for scope in scopes:
            scope.cancel()
        await trio.sleep(3.5)
    expected = ["stopped", "other"] if when == "before init" else ["tick", "tick", "stopped", "other"]
    assert ticks == expected
    assert all(scope.cancelled_caught for scope in scopes)
    assert node.stats.handler_failures == 0


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
        (with_arguments, " with no arguments: missing a required argument: 'request'"),
        (async_with_arguments, " with no arguments: missing a required argument: 'request'"),
    ],
)
def test_what_cannot_be_called_without_arguments_is_refused(
    taker: str, register: Callable[[Node, Any], object], function: Any, reason: str
) -> None:
    """Hooks, background tasks and periodic functions are called with what they were given, and what cannot be is a
    TypeError where it is registered."""
    text = f"{taker}() {'cannot call' if reason else 'takes a function, not'} {function!r:.80}{reason}"
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        register(Node(), function)


@pytest.mark.parametrize("register", [lambda it: it.background, lambda it: partial(it.every, 1)])
def test_what_cannot_be_called_with_its_arguments_is_refused(register: Callable[[Node], Callable[..., object]]) -> None:
    """The text shows the arguments."""
    text = r"cannot call <function .*> with the arguments \(1, 2\): too many positional arguments$"
    with pytest.raises(TypeError, match=text):
        register(Node())(async_with_arguments, 1, 2)


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
