"""Register handlers, hooks, background tasks and periodic work."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, cast

import trio

from .._protocol.records import is_record_class, required_type_of
from .._serving.at_most_once import AtMostOnce
from .._serving.handlers import HandlerFunction
from .._serving.init import InitHook
from .._serving.periodic import check_period
from .._serving.timer import Timer
from .._user_code.callables import check_arguments, is_async_callable, is_function, is_plain_function
from .parts import NodeParts

_F = TypeVar("_F", bound=HandlerFunction)
_H = TypeVar("_H", bound=InitHook)
_S = TypeVar("_S")
_B = TypeVar("_B", bound=Callable[..., Awaitable[object]])


class Registration(NodeParts):
    """The part of `Node` that registers the author's functions."""

    def on(self, message_type: str | type[Any], *, at_most_once: AtMostOnce | None = None) -> Callable[[_F], _F]:
        """Register the decorated function as the handler of requests of *message_type*.

        The function takes the `Request`, or the body as a record class if its parameter has such an annotation, or
        both, or nothing. A record class is an attrs class, a msgspec struct, a dataclass or a TypedDict. The function
        returns the body of the reply: a dict or a record. The reply's default ``type`` is
        *message_type* followed by ``_ok``. ``{}`` is a reply without further fields. None means no reply now (see
        `Node.reply`). If the function raises a `RpcError`, the node answers with this error; after a group of such
        errors, with the least definite one; after any other exception, with error 13.

        The node calls a plain function directly and answers requests in their order; the function must not block. An
        async function runs in its own task, so it may wait. The order of replies from different tasks is not defined.

        Args:
          message_type: The ``type`` of the requests, or a record class that knows it: by a class variable,
            ``type: ClassVar[str] = "append"``, by a field with one possible value,
            ``type: Literal["append"] = "append"``, or by the tag of a msgspec struct.
          at_most_once: Remembers answers, so that the node answers duplicates of a request without serving them again.

        Raises:
          ValueError: if the type has a handler already, or the node handles it itself.
          TypeError: if the type is not a string, the class does not know it, or the function cannot be a handler; the
            text says why.

        Example:
          >>> @attrs.frozen
          ... class Add:
          ...     delta: int
          >>> node, values = Node(), []
          >>> @node.on("add")
          ... def add(body: Add):
          ...     values.append(body.delta)
          ...     return {"sum": sum(values)}
          >>> async def main():
          ...     async with running(node) as network:
          ...         print((await network.request("add", delta=2))["sum"])
          ...         print((await network.request("add", delta="two"))["text"])
          >>> trio.run(main)
          2
          malformed 'add' request: Expected `int`, got `str` - at `body.delta`
        """
        kind = required_type_of(message_type) if is_record_class(message_type) else message_type
        self._service.router.check_free(kind)
        local_names = sys._getframe(1).f_locals  # contains the names of classes that are local to the caller

        def register(function: _F) -> _F:
            self._service.add_handler(cast("str", kind), function, at_most_once, local_names)
            return function

        return register

    def on_init(self, hook: _H) -> _H:
        """Register *hook*, a plain or async function without arguments, which the node calls while it serves ``init``.

        The hook may use `id`, `peers` and RPCs. Hooks run one after another, in the order of registration. When all
        have ended, the node sends ``init_ok``; it answers earlier requests with error 11. If a hook raises, the node
        answers ``init`` with that error.

        Example:
          >>> node = Node()
          >>> @node.on_init
          ... def begin():
          ...     print(f"{node.id} has the peers {', '.join(node.peers)}")
          >>> async def main():
          ...     async with running(node):
          ...         pass
          >>> trio.run(main)
          n1 has the peers n2, n3
        """
        check_arguments(hook, (), "on_init")
        self._service.init.hooks.append(hook)
        return hook

    def background(self, async_fn: _B, *args: object, scope: trio.CancelScope | None = None) -> _B:
        """Run *async_fn* in a task from ``init`` (or from now, if ``init`` is done) until the node closes.

        The node cancels it when the last message has come in. If it raises, the node logs and counts that, and goes on.

        Args:
          async_fn: An async function, or a lambda or partial that returns what one returns.
          args: Its positional arguments.
          scope: A new cancel scope, in which the task runs. Cancel it to stop the task, or give it a deadline.

        Returns:
          *async_fn*, so that this method can be a decorator.

        Raises:
          TypeError: if *async_fn* is not async, or cannot be called with *args*.
          trio.ClosedResourceError: if the last message has come in.

        Example:
          >>> node = Node()
          >>> @node.background
          ... async def greet():
          ...     await node.send("n2", {"type": "hello"})
          >>> async def main():
          ...     async with running(node) as network:
          ...         print(await network.receive())
          >>> trio.run(main)
          Message(src='n1', dest='n2', body={'type': 'hello', 'msg_id': 1})
        """
        check_arguments(async_fn, args, "background")
        if is_plain_function(async_fn):
            raise TypeError(
                f"background() takes an async function, not {async_fn!r}; to repeat a plain one, use every()"
            )
        self._service.add_background(partial(_start, async_fn, args), async_fn, scope)
        return async_fn

    def every(
        self,
        seconds: float,
        function: Callable[..., Awaitable[object] | object],
        *args: object,
        jitter: float = 0.0,
        scope: trio.CancelScope | None = None,
    ) -> None:
        """Call *function*, plain or async, every *seconds* from ``init`` until the node closes.

        The times count from the start, so they do not drift. Calls never overlap: if a call is still running at the
        next time, that time is skipped. If a call raises, the series ends, as with `background`.

        Args:
          seconds: The period, on Trio's clock.
          function: Called each time.
          args: Its positional arguments.
          jitter: The largest random delay of each call, in seconds (from `random`); less than the period.
          scope: A new cancel scope, in which the calls run. Cancel it to end the series.

        Raises:
          ValueError: if the period or the jitter is out of range; the text says what to give.
          TypeError: if *function* cannot be called with *args*.
          trio.ClosedResourceError: if the last message has come in.

        Example:
          >>> node = Node()
          >>> node.every(0.5, lambda: print(trio.current_time()))
          >>> async def main():
          ...     async with running(node):
          ...         await trio.sleep(1.25)
          >>> trio.run(main, clock=MockClock(autojump_threshold=0))  # in virtual time
          0.5
          1.0
        """
        check_period(seconds, jitter)
        check_arguments(function, args, "every")
        self._service.add_periodic(partial(function, *args), function, seconds, jitter, self.random, scope)

    def expose(self, state: _S) -> _S:
        """Let the invariants of a simulation see *state* instead of this node; see `trio_messenger.sim.simulate`.

        Outside a simulation nobody reads it. A later call replaces it.

        Args:
          state: The object to see, or a function without arguments that returns it. The function is called for each
            check, so it should be quick. It must change nothing.

        Returns:
          *state*, so that this method can be a decorator.

        Raises:
          TypeError: if *state* is an async function, or one that cannot be called without arguments.

        Example:
          >>> def build():
          ...     node, count = Node(), 0
          ...
          ...     @node.expose
          ...     def state():
          ...         return {"count": count}
          ...
          ...     @node.on("echo")
          ...     def echo(request):
          ...         nonlocal count
          ...         count += 1
          ...         return request.body
          ...
          ...     return node
          >>> def few_requests(nodes):
          ...     total = sum(state["count"] for state in nodes.values())
          ...     assert total < 5, f"{total} requests, and at most 4 are allowed"
          >>> report = simulate("echo", build, nodes=2, invariants=[few_requests], time_limit=2)
          >>> report.reasons()[0].partition(": ")[2]
          '5 requests, and at most 4 are allowed'
        """
        if is_function(state):
            check_arguments(state, (), "expose")
            if is_async_callable(state):
                raise TypeError(f"expose() takes an object or a plain function, not the async function {state!r:.80}")
        self._exposed, self._show = state, cast("Callable[[], object]", state) if is_function(state) else None
        return state

    @property
    def exposed(self) -> object:
        """The object that invariants see: what `expose` was given, or what that function returns, or this node."""
        if self._show is not None:
            return self._show()
        return self if self._exposed is None else self._exposed

    def timer(self, seconds: float, *, jitter: float = 0.0) -> Timer:
        """Return a timer that draws its jitter from `random`; see `Timer`.

        Args:
          seconds: The time after `Timer.reset` when it expires, on Trio's clock.
          jitter: The largest random addition to that time, in seconds, drawn anew by each reset.

        Raises:
          ValueError: if one of them is negative, infinite or not a number.

        Example:
          >>> heartbeat_missed = Node(seed=7).timer(0.15, jitter=0.15)
          >>> heartbeat_missed.deadline  # it does not run before the first reset
          inf
        """
        return Timer(seconds, jitter=jitter, random=self.random)


async def _start(async_fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
    result: object = async_fn(*args)
    if not inspect.isawaitable(result):
        raise TypeError(f"background() runs async functions, and {async_fn!r} returned {result!r:.80}")
    await result
