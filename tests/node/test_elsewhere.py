"""A node that is called from where it does not run: another thread, outside of Trio, before it serves or after."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_messenger import Node, Request
from trio_messenger.testing import assert_no_rpc_leaked, running
from trio_messenger.transports.memory import memory_transport_pair

ASK = {"type": "ask"}
REQUEST = Request("c1", "n1", "ask", 1, {"type": "ask", "msg_id": 1}, 0.0)
ELSEWHERE = "the node runs in another thread; call this there, with trio.from_thread.run() or run_sync()"


def outcome_of(call: Callable[[], object]) -> str:
    """Return what *call* raises."""
    try:
        call()
    except Exception as exc:  # noqa: BLE001 - what it is, the test compares
        return f"{type(exc).__name__}: {exc}"
    return "nothing"


def kinds(told: dict[str, str]) -> set[str]:
    """Return the types of exceptions that were raised."""
    return {text.partition(":")[0] for text in told.values()}


def calls_of(node: Node) -> dict[str, Callable[[], object]]:
    """Return everything that begins something on *node* and is called, by name."""

    async def task() -> None:
        """Do nothing."""

    return {
        "send_nowait": lambda: node.send_nowait("n2", ASK),
        "reply_nowait": lambda: node.reply_nowait(REQUEST, {}),
        "rpc_callback": lambda: node.rpc_callback("n2", ASK, print),
        "background": lambda: node.background(task),
        "every": lambda: node.every(1, print),
    }


def awaits_of(node: Node) -> dict[str, Callable[[], Any]]:
    """Return everything that begins something on *node* and is awaited, by name."""
    return {
        "send": lambda: node.send("n2", ASK),
        "reply": lambda: node.reply(REQUEST, {}),
        "rpc": lambda: node.rpc("n2", ASK),
        "rpc_retry": lambda: node.rpc_retry("n2", ASK),
        "rpc_all": lambda: node.rpc_all(["n2"], ASK),
        "rpc_quorum": lambda: node.rpc_quorum(["n2"], ASK, need=1),
    }


async def serve_shortly(node: Node) -> None:
    """Let *node* live and end."""
    async with running(node):
        pass


async def test_another_thread_is_refused_and_leaves_nothing() -> None:
    """Whatever a thread calls that is not the node's raises and counts nothing, and the node goes on as before."""
    node = Node()
    node.on("echo")(lambda: {})
    awaits = {**awaits_of(node), "wait_for_room": node.wait_for_room}
    calls = {**calls_of(node), **{name: functools.partial(trio.run, call) for name, call in awaits.items()}}
    async with running(node) as network:
        await network.receive_nothing()
        before = node.stats.counters()
        for name, call in calls.items():
            told = await trio.to_thread.run_sync(functools.partial(outcome_of, cast("Callable[[], object]", call)))
            assert (name, told) == (name, f"RuntimeError: {ELSEWHERE}")
        assert node.stats.counters() == before
        assert_no_rpc_leaked(node)
        await network.receive_nothing()
        assert (await network.request("echo"))["type"] == "echo_ok"
        await trio.to_thread.run_sync(lambda: trio.from_thread.run_sync(node.send_nowait, "n2", ASK))
        assert (await network.receive()).body["type"] == "ask"


def test_outside_of_trio_nothing_is_counted() -> None:
    """Before a node serves and after it has closed, a call from outside of Trio is refused and leaves no count."""
    node = Node()
    told = {name: outcome_of(calls_of(node)[name]) for name in ("send_nowait", "rpc_callback")}
    assert kinds(told) == {"RuntimeError"}
    assert (node.stats.counters(), len(node.pending)) == ({}, 0)
    trio.run(serve_shortly, node)
    before = node.stats.counters()
    assert kinds({name: outcome_of(call) for name, call in calls_of(node).items()}) == {"ClosedResourceError"}
    assert (node.stats.counters(), len(node.pending)) == (before, 0)


async def test_before_init_an_rpc_is_counted_as_one_that_was_not_sent() -> None:
    """Where Trio runs, but the node has no id yet, the counts of an RPC still add up, and a reply finds no record."""
    node = Node()
    told = {name: outcome_of(calls_of(node)[name]) for name in ("send_nowait", "rpc_callback")}
    assert kinds(told) == {"RuntimeError"}
    for name, call in awaits_of(node).items():
        if name != "reply":  # a refusal before init is one
            with pytest.raises(RuntimeError, match=r"^the node has no id before 'init'"):
                await call()
    assert node.stats.rpcs == node.stats.abandoned
    assert_no_rpc_leaked(node)


async def test_after_closing_every_call_raises_the_same_and_leaves_nothing() -> None:
    """Whatever begins something on a closed node raises ClosedResourceError and moves no counter."""
    node = Node()
    await serve_shortly(node)
    before = node.stats.counters()
    assert kinds({name: outcome_of(call) for name, call in calls_of(node).items()}) == {"ClosedResourceError"}
    for call in awaits_of(node).values():
        with pytest.raises(trio.ClosedResourceError):
            await call()
    assert node.stats.counters() == before


async def test_another_thread_may_shut_the_node_down() -> None:
    """`shutdown` ends a node from any thread, and does nothing once it has ended."""
    node = Node()
    there, here = memory_transport_pair()
    with trio.fail_after(30):
        async with here, trio.open_nursery() as nursery:
            nursery.start_soon(node.serve, there)
            await wait_all_tasks_blocked()
            await trio.to_thread.run_sync(node.shutdown)
    await trio.to_thread.run_sync(node.shutdown)


def test_another_thread_may_shut_down_what_has_ended() -> None:
    """When not even Trio runs any more, `shutdown` still does nothing."""
    node = Node()
    trio.run(serve_shortly, node)
    raised: list[str] = []
    thread = threading.Thread(target=lambda: raised.append(outcome_of(node.shutdown)))
    thread.start()
    thread.join()
    assert raised == ["nothing"]


def test_another_thread_cannot_run_a_process() -> None:
    """Signals come to the main thread, so `run` works there only; it says what works elsewhere."""
    raised: list[str] = []
    thread = threading.Thread(target=lambda: raised.append(outcome_of(Node().run)))
    thread.start()
    thread.join()
    assert raised == [
        "RuntimeError: run() catches signals, which only the main thread can; call it there, or use"
        " trio.run(node.serve, ...)"
    ]
