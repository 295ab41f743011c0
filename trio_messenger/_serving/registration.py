"""What the author of a node registers: handlers, hooks, background tasks and periodic work."""

from __future__ import annotations

import random
import sys
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from .._user_code.callables import check_no_arguments, is_async_callable
from .at_most_once import AtMostOnce
from .handlers import HandlerFunction
from .init import InitHook
from .periodic import check_period
from .service import Service

_F = TypeVar("_F", bound=HandlerFunction)
_H = TypeVar("_H", bound=InitHook)
_B = TypeVar("_B", bound=Callable[[], Awaitable[object]])


class Registration:
    """The part of `Node` with which its author registers what it does.

    Args:
      seed: Seed of `random`.
    """

    _service: Service
    # What is registered with; `Node` sets it. A parameter would make all of Service part of the typed public API.

    def __init__(self, seed: int | None) -> None:
        self.random: Final[random.Random] = random.Random(seed)
        """The node's own source of random numbers: use it, and a simulated run can be repeated."""

    def on(self, message_type: str, *, at_most_once: AtMostOnce | None = None) -> Callable[[_F], _F]:
        """Register the decorated function as the handler of requests of *message_type*.

        The function takes the `Request`; or the body in the form of an attrs class, if its parameter is annotated
        with one; or both; or nothing. It returns the body of the reply, a dict or an attrs record, whose ``type`` is
        by default *message_type* with ``_ok`` behind it; ``{}`` is a bare acknowledgement, None is no reply now (see
        `Node.reply`). A `RpcError` is answered as it is, a group of them as the least definite, any other error as 13.

        A plain function is called in place and answered in the order of the requests; it must not block. An async
        function gets a task of its own, so that it may wait; the order among tasks is not promised.

        Args:
          message_type: The ``type`` of the requests.
          at_most_once: Where to remember answers, so that duplicates of a request are answered and not served again.

        Raises:
          ValueError: if the type has a handler already, or is one that the node handles itself.
          TypeError: if the type is no string, or the function cannot be a handler; the text says why.
        """
        self._service.router.check_free(message_type)
        local_names = sys._getframe(1).f_locals  # where a class that is local to the caller has its name

        def register(function: _F) -> _F:
            self._service.add_handler(message_type, function, at_most_once, local_names)
            return function

        return register

    def on_init(self, hook: _H) -> _H:
        """Register *hook*, plain or async, to be called without arguments while ``init`` is served.

        It may use `id`, `peers` and RPCs. ``init_ok`` leaves when all hooks have ended, in the order they were
        registered; requests that come before are answered with error 11. If one raises, ``init`` is, with that error.
        """
        check_no_arguments(hook, "on_init")
        self._service.init.hooks.append(hook)
        return hook

    def background(self, async_fn: _B) -> _B:
        """Run *async_fn* in a task from ``init`` on (from now on, if that is past) until the node closes.

        Cancelled when the last message has come in. What it raises is logged and counted; the node stays up.

        Raises:
          TypeError: if it is no async function without arguments.
          trio.ClosedResourceError: if the last message has come in.
        """
        check_no_arguments(async_fn, "background")
        if not is_async_callable(async_fn):
            raise TypeError(f"background() takes an async function without arguments, not {async_fn!r}")
        self._service.add_background(async_fn, async_fn)
        return async_fn

    def every(self, seconds: float, function: Callable[[], Awaitable[object] | object], *, jitter: float = 0.0) -> None:
        """Call *function*, plain or async, every so many *seconds* from ``init`` on, until the node closes.

        Times are counted from the start, so that they do not drift, and a call never overlaps the one before: times
        that pass while it still runs are skipped. A call that raises ends the series, as with `background`.

        Args:
          seconds: The period, on Trio's clock.
          function: Called without arguments.
          jitter: Up to how many seconds later each call begins, at random (from `random`); less than the period.

        Raises:
          ValueError: if the period or the jitter makes no sense.
          trio.ClosedResourceError: if the last message has come in.
        """
        check_period(seconds, jitter)
        check_no_arguments(function, "every")
        self._service.add_periodic(function, seconds, jitter, self.random)
