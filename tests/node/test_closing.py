"""Every way in which a node closes: whoever calls it meanwhile gets an outcome, and no failure gets lost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

import attrs
import pytest
import trio
from support.lines import INIT, line
from support.processes import INIT_OK, child, own_node
from support.slow_reader import fill_outbox
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_messenger import KeyValue, Message, Node, Request, TimestampOracle
from trio_messenger.sim import simulate
from trio_messenger.sim._determinism.scheduler import run_virtual
from trio_messenger.sim._faults.faults import Kill
from trio_messenger.testing import assert_no_rpc_leaked, running
from trio_messenger.transports import Transport
from trio_messenger.transports.memory import MemoryTransport, memory_transport_pair

ASK: Final = {"type": "ask"}
LIMIT: Final = 1000.0
"""Seconds on the virtual clock after which a call counts as one that never ends."""

Call: TypeAlias = Callable[[Node], Awaitable[object]]
End: TypeAlias = Callable[["Scene"], Awaitable[None]]
"""Makes a node close."""


async def call_back(node: Node) -> None:
    """Wait for the callback of an RPC."""
    called = trio.Event()
    node.rpc_callback("n2", ASK, lambda _: called.set(), timeout=math.inf)
    await called.wait()


async def send_now(node: Node) -> None:
    node.send_nowait("n2", ASK)


REQUEST: Final = Request("c1", "n1", "ask", 7, {"type": "ask", "msg_id": 7}, 0.0)

RPCS: Final[dict[str, Call]] = {
    "rpc": lambda node: node.rpc("n2", ASK, timeout=math.inf),
    "rpc_retry": lambda node: node.rpc_retry("n2", ASK, timeout=math.inf),
    "rpc_all": lambda node: node.rpc_all(["n2", "n3"], ASK, timeout=math.inf),
    "rpc_quorum": lambda node: node.rpc_quorum(["n2", "n3"], ASK, need=1, timeout=math.inf),
    "rpc_callback": call_back,
    "read": lambda node: KeyValue(node, timeout=math.inf).read("k"),
    "update": lambda node: KeyValue(node, timeout=math.inf).update("k", lambda value: value),
    "ts": lambda node: TimestampOracle(node, timeout=math.inf).ts(),
}
OTHERS: Final[dict[str, Call]] = {
    "send": lambda node: node.send("n2", ASK),
    "reply": lambda node: node.reply(REQUEST, {}),
    "wait_for_room": lambda node: node.wait_for_room(),
    "send_nowait": send_now,
}
CALLS: Final = RPCS | OTHERS


@attrs.frozen
class Outcome:
    """How a call in a ``finally`` clause ended."""

    name: str
    seconds: float
    error: Exception | None
    never: bool


class BreakableTransport(Transport):
    """A transport in memory whose way out breaks when told to."""

    def __init__(self, inner: MemoryTransport) -> None:
        self._inner = inner
        self._is_broken = False
        self._breaking: trio.CancelScope | None = None

    def break_out(self) -> None:
        """Let the `send` that is under way fail, or the next one."""
        self._is_broken = True
        if self._breaking is not None:
            self._breaking.cancel()

    async def receive(self) -> list[Message]:
        return await self._inner.receive()

    async def send(self, value: list[bytes]) -> None:
        with trio.CancelScope() as self._breaking:
            if not self._is_broken:
                await self._inner.send(value)
        if self._is_broken:
            raise trio.BrokenResourceError("the way out is broken")

    async def aclose(self) -> None:
        await self._inner.aclose()


class Scene:
    """A strict node whose handlers and background tasks call it once more, whatever ends them.

    Args:
      slow: Nobody reads what the node sends, from when it is busy until two seconds after it is to close.
    """

    def __init__(self, *, slow: bool) -> None:
        self.node = Node(outbox_limit=1 if slow else 1 << 20, strict=True)
        self.outcomes: list[Outcome] = []
        self.scope = trio.CancelScope()
        """Around `Node.serve`."""
        there, self.here = memory_transport_pair(batches=0 if slow else math.inf)
        self.transport = BreakableTransport(there)
        self.handler_may_fail, self.background_may_fail = trio.Event(), trio.Event()
        self._slow = slow
        for name in CALLS:
            self.node.on(name)(self._cleaning_up(name))
            self.node.background(self._cleaning_up(name))
        self.node.on("fail")(self._failing(self.handler_may_fail))
        self.node.background(self._failing(self.background_may_fail))

    def _failing(self, may_fail: trio.Event) -> Callable[[], Awaitable[None]]:
        async def fail() -> NoReturn:
            await may_fail.wait()
            raise ValueError("told to")

        return fail

    def _cleaning_up(self, name: str) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            try:
                await trio.sleep_forever()
            finally:
                began = trio.current_time()
                error = None
                with trio.CancelScope(shield=True, deadline=began + LIMIT) as limit:
                    try:
                        await CALLS[name](self.node)
                    except (trio.ClosedResourceError, trio.WouldBlock) as exc:
                        error = exc
                self.outcomes.append(Outcome(name, trio.current_time() - began, error, limit.cancelled_caught))

        return work

    async def play(self, end: End) -> None:
        """Serve, and when all handlers and background tasks wait, close the node by *end*."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve)
            try:
                await self._make_busy()
                await end(self)
                await trio.sleep(2)
                async for _ in self.here:
                    pass
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                assert self.scope.cancel_called  # before it was busy

    async def _serve(self) -> None:
        try:
            with self.scope:
                await self.node.serve(self.transport)
        except* (ValueError, trio.BrokenResourceError):
            pass

    async def _make_busy(self) -> None:
        await self.here.send_bytes(INIT)
        await self._receive()
        for msg_id, name in enumerate([*CALLS, "fail"]):
            await self.here.send_bytes(line({"type": name, "msg_id": msg_id}))
        await wait_all_tasks_blocked()
        if self._slow and not self.scope.cancel_called:
            await fill_outbox(self.node)

    async def _receive(self) -> None:
        try:
            await self.here.receive()
        except trio.EndOfChannel:
            assert self.scope.cancel_called  # before it was busy


# Each way to close


async def cancel(scene: Scene) -> None:
    scene.scope.cancel()


async def end_input(scene: Scene) -> None:
    scene.here.send_eof()


async def shut_down(scene: Scene) -> None:
    scene.node.shutdown()


async def break_output(scene: Scene) -> None:
    scene.transport.break_out()
    await scene.here.send_bytes(line({"type": "unknown", "msg_id": 99}))


async def fail_in_handler(scene: Scene) -> None:
    scene.handler_may_fail.set()


async def fail_in_background(scene: Scene) -> None:
    scene.background_may_fail.set()


async def fail_in_callback(scene: Scene) -> None:
    def fail(_: object) -> NoReturn:
        raise ValueError("in a callback")

    scene.node._service.table.open_callback(10_000, "n2", 0.0, fail)  # with a full outbox, too


GENTLE: Final = (end_input, shut_down)
VIOLENT: Final = (cancel, break_output, fail_in_handler, fail_in_background, fail_in_callback)
every_end = pytest.mark.parametrize("end", [*GENTLE, *VIOLENT], ids=lambda end: end.__name__)


@pytest.mark.parametrize("slow", [False, True], ids=["", "full outbox"])
@every_end
async def test_no_call_outlives_the_node(end: End, slow: bool, autojump_clock: MockClock) -> None:
    """However a node closes, each of its methods, called in a finally clause with a shield and without a timeout, ends:
    RPCs with ClosedResourceError at once, and the others as soon as the output is read, or cannot be written."""
    scene = Scene(slow=slow)
    await scene.play(end)
    assert len(scene.outcomes) == 2 * len(CALLS)
    assert [outcome for outcome in scene.outcomes if outcome.never] == []
    for outcome in scene.outcomes:
        if outcome.name in RPCS or end in VIOLENT or not slow:
            assert outcome.seconds == 0, outcome
        if outcome.name in RPCS and outcome.name != "rpc_callback":  # a callback may have been called at once
            assert type(outcome.error) is trio.ClosedResourceError
        elif end in GENTLE and not slow:
            assert outcome.error is None or outcome.name == "rpc_callback"
    assert_no_rpc_leaked(scene.node)


@pytest.mark.every_python
@pytest.mark.slow
@pytest.mark.parametrize("slow", [False, True], ids=["", "full outbox"])
def test_node_cancelled_at_any_step_ends(slow: bool) -> None:
    """Cancelled at any step of any task, from its start to its end, the node ends, and so do all who call it then."""

    async def cancelled_at(number: int) -> bool:
        scene = Scene(slow=slow)
        canceller = CancelAtStep(number, scene.scope)
        trio.lowlevel.add_instrument(canceller)
        await scene.play(end_input)
        trio.lowlevel.remove_instrument(canceller)
        assert [outcome for outcome in scene.outcomes if outcome.never] == []
        assert_no_rpc_leaked(scene.node)
        return canceller.has_cancelled

    numbers = itertools.count(1)
    while run_virtual(cancelled_at, number := next(numbers), seed=number):
        pass
    assert number > 100


class CancelAtStep(trio.abc.Instrument):
    """Cancels *scope* after the *number*-th step of any task."""

    def __init__(self, number: int, scope: trio.CancelScope) -> None:
        self.has_cancelled = False
        self._left = number
        self._scope = scope

    def after_task_step(self, _: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self.has_cancelled = True
            self._scope.cancel()


# Failures


def leaves(error: BaseException) -> list[BaseException]:
    """Return all that is in *error*, whatever groups it is in."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in leaves(each)]
    return [error]


def failing_callback(_: object) -> NoReturn:
    raise ValueError("in a callback")


async def serve_failing(node: Node, kind: str, *, callbacks: int) -> list[BaseException]:
    """Serve *node* with so many callbacks pending that will fail, send it a request; return all that leaves `serve`."""
    try:
        async with running(node) as network:
            for _ in range(callbacks):
                node.rpc_callback("n2", ASK, failing_callback)
            await network.send("c1", {"type": kind, "msg_id": 1})
            await trio.sleep(1)
    except BaseExceptionGroup as group:
        return leaves(group)
    return []


@pytest.mark.parametrize("error", [KeyError("bug"), KeyboardInterrupt(), SystemExit(3)], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("where", ["plain", "async", "background", "callback"])
async def test_strict_mode_loses_no_failure(where: str, error: BaseException, autojump_clock: MockClock) -> None:
    """What ends the node is in the group that leaves serve(), and so is what each of the callbacks raises that it
    closes, and each failure that is counted."""
    node = Node(strict=True)
    go = trio.Event()

    def fail(*_: object) -> NoReturn:
        raise error

    async def fail_when_told() -> NoReturn:
        await go.wait()
        fail()

    def begin() -> None:
        go.set()
        if where == "plain":
            fail()
        elif where == "callback":
            node.rpc_callback("n2", ASK, fail, timeout=0)

    node.on("go")(fail_when_told if where == "async" else begin)
    if where == "async":
        go.set()
    elif where == "background":
        node.background(fail_when_told)
    raised = await serve_failing(node, "go", callbacks=3)
    assert raised.count(error) == 1
    assert [str(one) for one in raised if one is not error] == ["in a callback"] * 3
    assert node.stats.handler_failures == 3 + isinstance(error, Exception)


@pytest.mark.parametrize("where", ["handler", "background", "callback"])
async def test_strict_mode_loses_no_failure_when_it_is_cancelled(where: str, autojump_clock: MockClock) -> None:
    """What fails as serve() is cancelled leaves it beside the cancellation, though its transport closes under that."""
    node, error = Node(strict=True), KeyError("on the way out")

    async def fail_on_the_way_out() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise error

    def fail(_: object) -> NoReturn:
        raise error

    node.on("go")(fail_on_the_way_out)
    there, here = memory_transport_pair()

    async def serve_and_cancel() -> None:
        async with here, trio.open_nursery() as nursery:
            nursery.start_soon(node.serve, there)
            await here.send_bytes(INIT + (line({"type": "go", "msg_id": 2}) if where == "handler" else b""))
            await wait_all_tasks_blocked()
            if where == "background":
                node.background(fail_on_the_way_out)
            elif where == "callback":
                node.rpc_callback("n2", ASK, fail)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    with pytest.raises(BaseExceptionGroup) as caught:
        await serve_and_cancel()
    assert leaves(caught.value) == [error]
    assert node.stats.handler_failures == 1


async def test_failures_of_several_handlers_all_leave(autojump_clock: MockClock) -> None:
    """What handlers raise as another one's failure cancels them is in the group as well, as often as it is counted."""
    node = Node(strict=True)

    @node.on("wait")
    async def wait() -> NoReturn:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("on the way out")

    async def fail_on_the_way_out() -> NoReturn:
        await wait()

    node.background(fail_on_the_way_out)

    @node.on("go")
    async def go() -> NoReturn:
        raise KeyError("bug")

    caught: list[BaseException] = []
    try:
        async with running(node) as network:
            await network.send("c1", {"type": "wait", "msg_id": 1})
            await network.send("c1", {"type": "wait", "msg_id": 2})
            await network.send("c1", {"type": "go", "msg_id": 3})
            await trio.sleep_forever()
    except BaseExceptionGroup as group:
        caught = leaves(group)
    assert sorted(type(one).__name__ for one in caught) == ["KeyError"] + ["ValueError"] * 3
    assert node.stats.handler_failures == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_callback_that_interrupts_keeps_no_other_from_being_called(
    error: type[BaseException], autojump_clock: MockClock
) -> None:
    """At the end each callback is called, though one of them raises more than an exception, which leaves serve()."""
    node = Node()
    called: list[int] = []

    def callback_of(number: int) -> Callable[[object], None]:
        def callback(_: object) -> None:
            called.append(number)
            if number == 1:
                raise error

        return callback

    with pytest.RaisesGroup(error, flatten_subgroups=True):
        async with running(node):
            for number in range(4):
                node.rpc_callback("n2", ASK, callback_of(number))
    assert sorted(called) == [0, 1, 2, 3]


# The grace


@pytest.mark.parametrize("works", [False, True], ids=["idle", "handler at work"])
async def test_grace_begins_with_the_end_of_the_input(
    works: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A background task that takes its time to end does not prolong the grace, and is no handler that was cancelled."""
    node = Node(grace=0.5)
    cancelled: list[float] = []

    @node.background
    async def slow() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(14)

    @node.on("work")
    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(trio.current_time())

    async with running(node) as network:
        if works:
            await network.send("c1", {"type": "work", "msg_id": 1})
        await network.receive_nothing()
        end = trio.current_time()
    assert trio.current_time() == end + 14
    assert cancelled == [end + 0.5] * works
    assert caplog.messages == ["cancelled the handlers that had not ended 0.5 s after the last message"] * works


async def test_background_task_that_the_end_keeps_from_asking_is_no_failure(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A background task that waits for a reply at the end, or asks once more, ends as quietly as a handler does."""
    node = Node(strict=True)

    async def ask() -> None:
        await node.rpc("n2", ASK)

    async def ask_at_last() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await node.rpc("n2", ASK)

    node.background(ask)
    node.background(ask_at_last)
    async with running(node) as network:
        await network.receive()
    assert node.stats.handler_failures == 0
    assert caplog.messages == []


# As an executable, and in a simulation


async def test_executable_whose_stdout_breaks_ends_though_its_tasks_ask_at_last(tmp_path: Path) -> None:
    """When nobody reads stdout any more, the process ends, whatever its background tasks and handlers try then."""
    source = """
async def ask_at_last():
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await node.rpc("n2", {"type": "void"})

node.background(ask_at_last)
node.on("work")(ask_at_last)
"""
    async with child(*own_node(tmp_path, source), cwd=tmp_path) as node:
        await node.send(INIT + line({"type": "work", "msg_id": 2}))
        assert await node.read_line() == INIT_OK
        assert node.process.stdout is not None
        await node.process.stdout.aclose()
        await node.send(line({"type": "unknown", "msg_id": 3}))
        assert await node.wait() == 1
        assert b"error: stdout is broken: Broken pipe" in node.errors


def test_node_that_calls_at_its_death_ends_with_it() -> None:
    """In a simulation, a background task that asks a peer as its node is killed is refused at that moment."""
    outcomes: list[tuple[float, str]] = []

    def build() -> Node:
        node = Node()
        node.on("echo")(lambda request: {"echo": request.body["echo"]})

        @node.background
        async def say_good_bye() -> None:
            try:
                await trio.sleep_forever()
            finally:
                began = trio.current_time()
                with trio.CancelScope(shield=True):
                    try:
                        await node.rpc("n2", ASK, timeout=math.inf)
                    except BaseException as exc:
                        outcomes.append((trio.current_time() - began, type(exc).__name__))
                        raise

        return node

    report = simulate("echo", build, nodes=2, time_limit=5, faults=[Kill(at=1, until=2, nodes=["n1"])])
    assert report.valid
    assert outcomes == [(0.0, "ClosedResourceError")] * 3


def test_interrupted_strict_node_interrupts_its_simulation() -> None:
    """Ctrl-C that hits a handler ends the run, though callbacks are pending that fail when the node closes."""

    def build() -> Node:
        node = Node(strict=True)

        @node.on("echo")
        async def echo() -> NoReturn:
            node.rpc_callback("n2", ASK, failing_callback)
            raise KeyboardInterrupt

        return node

    with pytest.raises(KeyboardInterrupt):
        simulate("echo", build, nodes=2, time_limit=5)
