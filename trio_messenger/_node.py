"""Node: a program that speaks the Maelstrom protocol.

A node is made, given its handlers, and then serves one transport until that ends. The tasks of a node that serves:

    reader -> [batches] -> router -> handlers (a task for each async one)
                                  -> pending table <- reaper -> callbacks
    outbox -> writer

Closing goes the way of the messages. First nothing more is read and the router ends what it has; then pending RPCs
are closed, since no reply can come; then background tasks are cancelled and handlers get a time of grace; and when
nobody is left to send, the writer writes what there is.
"""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar, final

import trio

from ._calls import Calls
from ._errors import FIRST_USER_CODE, RpcError
from ._handlers import HandlerFunction, is_async_callable, make_handler
from ._init import InitHook, Initialiser
from ._message import Body, Identity, Message, Request
from ._outbox import OUTBOX_LIMIT, Outbox
from ._pending import PendingRpc, PendingTable
from ._process import run_on_stdio
from ._reaper import Reaper
from ._router import Router
from ._sender import Sender
from ._stats import Stats
from .transports import Transport

_log = logging.getLogger("trio_messenger")

RPC_TIMEOUT: Final = 2.0
"""Seconds an RPC waits for its reply by default."""

MAX_HANDLERS: Final = 1000
"""Async handlers that run at once, about 5 kB each; past it requests are refused, so that replies get through."""

GRACE: Final = 1.0
"""Seconds that handlers have to end after the last message came in."""

_F = TypeVar("_F", bound=HandlerFunction)
_H = TypeVar("_H", bound=InitHook)
_B = TypeVar("_B", bound=Callable[[], Awaitable[object]])


@final
class Node:
    """A node: handlers for the requests it serves, and RPCs to other nodes, none of which is ever leaked.

    Args:
      rpc_timeout: Seconds an RPC waits for its reply, where the call does not say otherwise.
      max_handlers: Async handlers that may run at once. Requests beyond are answered with error 11, which is
        definite: the sender may try again.
      outbox_limit: Bytes of output that may wait for a slow receiver before requests are no longer taken up.
      grace: Seconds that handlers at work have to end once no more messages can come.
      definite_codes: The application's own error codes (`FIRST_USER_CODE` and up) that are definite.
      seed: Seed of `random`; by default from the operating system.
      strict: For tests and simulations: what a handler, callback or background task raises (other than
        `RpcError`) leaves `serve` as an exception group, instead of being answered with error 13 and logged.
    """

    def __init__(
        self,
        *,
        rpc_timeout: float = RPC_TIMEOUT,
        max_handlers: int = MAX_HANDLERS,
        outbox_limit: int = OUTBOX_LIMIT,
        grace: float = GRACE,
        definite_codes: Collection[int] = (),
        seed: int | None = None,
        strict: bool = False,
    ) -> None:
        wrong = [code for code in definite_codes if code < FIRST_USER_CODE]
        if wrong:
            raise ValueError(
                f"definite_codes has {wrong[0]}; codes below {FIRST_USER_CODE} are defined by the protocol"
            )
        self.random: Final = random.Random(seed)
        """The node's own source of random numbers: use it, and a simulated run can be repeated."""
        self.stats: Final = Stats()
        """What this node has counted so far."""
        self._rpc_timeout = rpc_timeout
        self._grace = grace
        self._definite_codes = frozenset(definite_codes)
        self._strict = strict
        self._outbox = Outbox(outbox_limit)
        self._sender = Sender(self._outbox, self.stats)
        self._table = PendingTable(self.stats)
        self._reaper = Reaper(self._table)
        self._calls = Calls(self._sender, self._outbox, self._table, self.stats, self._definite_codes, strict)
        self._router = Router(self._sender, self._outbox, self._table, self.stats, max_handlers, strict)
        self._init = Initialiser(self._sender, self._router, self._start_background)
        self._background: list[Callable[[], Awaitable[object]]] = []  # waiting for init
        self._background_nursery: trio.Nursery | None = None  # set while the node serves
        self._reading = trio.CancelScope()  # what shutdown cancels
        self._broken: trio.BrokenResourceError | None = None  # how the transport ended, if not well
        self._served = False

    # What an author registers

    def on(self, message_type: str) -> Callable[[_F], _F]:
        """Register the decorated function as the handler of requests of *message_type*.

        The function takes the `Request`; or the body in the form of an attrs class, if its parameter is annotated
        with one; or both; or nothing. What it returns, a dict or an attrs record, is the body of the reply, whose
        ``type`` is by default *message_type* with ``_ok`` behind it; ``{}`` is a bare acknowledgement, and None means
        no reply now (see `reply`). A `RpcError` that it raises is answered as that error, anything else as error 13.

        A plain function is called in place and answered in the order of the requests; it must not block. An async
        function gets a task of its own, so that it may wait; the order among tasks is not promised.

        Raises:
          ValueError: if the type has a handler already, or is one that the node handles itself.
          TypeError: if the function cannot be a handler; the text says why.
        """
        local_names = sys._getframe(1).f_locals  # where a class that is local to the caller has its name

        def register(function: _F) -> _F:
            if message_type in ("init", "error"):
                remedy = "use on_init to take part in 'init'" if message_type == "init" else "errors reply to RPCs"
                raise ValueError(f"the node handles {message_type!r} messages itself; {remedy}")
            if message_type in self._router.handlers:
                raise ValueError(f"{message_type!r} has a handler already; a type of request has one handler")
            self._router.handlers[message_type] = make_handler(function, local_names)
            return function

        return register

    def on_init(self, hook: _H) -> _H:
        """Register *hook*, plain or async, to be called without arguments while ``init`` is served.

        It may use `id`, `peers` and RPCs. ``init_ok`` leaves when all hooks have ended, in the order they were
        registered; requests that come before are answered with error 11. If one raises, ``init`` is, with that error.
        """
        self._init.hooks.append(hook)
        return hook

    def background(self, async_fn: _B) -> _B:
        """Run *async_fn* in a task from ``init`` on (from now on, if that is past) until the node closes.

        Cancelled when the last message has come in. What it raises is logged and counted; the node stays up.
        """
        if not is_async_callable(async_fn):
            raise TypeError(f"background() takes an async function without arguments, not {async_fn!r}")
        self._background.append(async_fn)
        if self._router.ready:
            self._start_background()
        return async_fn

    # What the node knows

    @property
    def identity(self) -> Identity:
        """The ids that ``init`` told. Raises RuntimeError before that."""
        if self._init.identity is None:
            raise RuntimeError("the node has no id before 'init' came; use on_init to act as soon as it has")
        return self._init.identity

    @property
    def id(self) -> str:
        """The node's own id. Raises RuntimeError before ``init``."""
        return self.identity.node_id

    @property
    def peers(self) -> tuple[str, ...]:
        """The ids of all other nodes, in the order of ``init``. Raises RuntimeError before ``init``."""
        return tuple(node_id for node_id in self.identity.node_ids if node_id != self.id)

    @property
    def pending(self) -> Collection[PendingRpc]:
        """The RPCs that wait for their replies, oldest first; ``len(node.pending)`` counts them."""
        return self._table

    # What a node sends

    async def rpc(self, dest: str, body: object, *, timeout: float | None = None) -> Body:
        """Send *body* to node *dest* and wait for its reply.

        Args:
          dest: The id of a node or service. Whether it exists is for the network to know.
          body: A dict or an attrs record with a ``type``. It is not changed, and reserved keys in it are left out.
          timeout: Seconds on Trio's clock from sending until the reaper gives up, by default the node's
            ``rpc_timeout``; ``math.inf`` waits for ever. The reaper may be up to 1/128 s late, never early.

        Returns:
          The whole body of the reply.

        Raises:
          RpcTimeout: if no reply came in time. Indefinite: *dest* may have acted on the request.
          RpcError: if the reply was an ``error`` body; see `RpcError.definite`.
          LocalProtocolError: if JSON cannot carry *body*; nothing was sent.
          trio.ClosedResourceError: if the node is closed, before or during the call.
          RuntimeError: if ``init`` has not come yet.

        Always a checkpoint; waits for room in the outbox first. If cancelled, the request may already be on the
        wire and must be treated as indefinite; its record is dropped at once and a late reply counted and discarded.
        """
        return await self._calls.call(dest, body, self._rpc_timeout if timeout is None else timeout)

    def rpc_callback(
        self,
        dest: str,
        body: object,
        callback: Callable[[Body | Exception], object],
        *,
        timeout: float | None = None,
    ) -> None:
        """Send *body* to node *dest* and have *callback* called with the outcome, exactly once.

        The outcome is the body of the reply, or the exception that `rpc` would raise: a `RpcError`, a
        `RpcTimeout`, or a `trio.ClosedResourceError` if the node closed first. Callbacks run one after
        another in a task of the node and must not block; what one raises is logged and counted.

        Args:
          dest: The id of a node or service.
          body: A dict or an attrs record with a ``type``.
          callback: A plain function of one argument.
          timeout: Seconds, as for `rpc`.

        Raises:
          trio.WouldBlock: if the outbox is full; nothing was sent.
          TypeError: if *callback* is async.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError: as for `rpc`.
        """
        self._calls.call_back(dest, body, callback, self._rpc_timeout if timeout is None else timeout)

    async def send(self, dest: str, body: object) -> None:
        """Send *body* to node *dest* and expect no reply.

        Always a checkpoint; waits for room in the outbox. If cancelled, nothing was sent.

        Raises:
          LocalProtocolError, trio.ClosedResourceError, RuntimeError: as for `rpc`.
        """
        await self._outbox.wait_for_room()
        self._sender.send(dest, body)

    def send_nowait(self, dest: str, body: object) -> None:
        """Send *body* to node *dest* and expect no reply; for plain handlers.

        Raises:
          trio.WouldBlock: if the outbox is full; nothing was sent.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError: as for `rpc`.
        """
        self._sender.require_room()
        self._sender.send(dest, body)

    async def reply(self, request: Request, body: object) -> None:
        """Answer *request* now; for handlers that return None, because they answer later or from elsewhere.

        A request without ``msg_id`` wants no answer, and gets none. Answering twice sends two replies.
        Always a checkpoint; waits for room in the outbox. If cancelled, nothing was sent.

        Args:
          request: What is answered.
          body: A dict or an attrs record, or a `RpcError` to answer with.

        Raises:
          LocalProtocolError: if JSON cannot carry *body*.
          trio.ClosedResourceError: if the node is closed.
        """
        await self._outbox.wait_for_room()
        self._sender.reply(request, body.to_body() if isinstance(body, RpcError) else body)

    def reply_nowait(self, request: Request, body: object) -> None:
        """Answer *request* now, without waiting; else as `reply`.

        Raises:
          trio.WouldBlock: if the outbox is full; nothing was sent.
          LocalProtocolError, trio.ClosedResourceError: as for `reply`.
        """
        self._sender.require_room()
        self._sender.reply(request, body.to_body() if isinstance(body, RpcError) else body)

    # Its life

    def run(self, *, log_level: int | str = logging.WARNING) -> None:
        """Serve stdin and stdout until stdin ends, then return; what a node executable calls.

        SIGTERM and SIGINT close the node in the same way, and a second signal ends the process at once. Logs go to
        stderr, and so does what handlers print: stdout is for messages.

        Args:
          log_level: The least level to log, such as ``"INFO"``, where logging is not configured otherwise.

        Raises:
          SystemExit: with status 1, after a line on stderr, if stdin or stdout is closed or breaks.
        """
        run_on_stdio(self.serve, self.shutdown, log_level)

    async def serve(self, transport: Transport) -> None:
        """Serve *transport* until no more messages come, and close it.

        Returns when everything has been answered and sent. If cancelled, what waits in the outbox is lost; pending
        RPCs end with `trio.ClosedResourceError` in either case, and their callbacks have been called.

        Raises:
          RuntimeError: if the node has served before; a node has one life.
          trio.BrokenResourceError: if the transport broke; the text says how.
          ExceptionGroup: in strict mode, with what handlers, callbacks or background tasks raised.
        """
        if self._served:
            raise RuntimeError("this node has served already; make a new one, as a restarted process would")
        self._served = True
        async with transport:
            try:
                async with trio.open_nursery() as services:
                    services.start_soon(self._reaper.run)
                    services.start_soon(self._calls.run_callbacks)
                    async with trio.open_nursery() as writing:
                        writing.start_soon(self._write, transport, services.cancel_scope)
                        await self._serve_requests(transport)
                        self._outbox.close()
                    services.cancel_scope.cancel()
            finally:
                self._table.close()
                self._calls.close()
                self._outbox.close()
        if self._broken is not None:
            raise self._broken

    def shutdown(self) -> None:
        """Take no more messages; answer those that were taken, and let `serve` return."""
        self._reading.cancel()

    async def _serve_requests(self, transport: Transport) -> None:
        async with trio.open_nursery() as handlers:
            self._router.spawn = handlers.start_soon
            async with trio.open_nursery() as background:
                self._background_nursery = background
                await self._route(transport)
                self._router.draining = True
                self._table.close()
                self._calls.run_ended_callbacks()  # now, while they can still send
                self._background_nursery = None
                background.cancel_scope.cancel()
            handlers.cancel_scope.deadline = trio.current_time() + self._grace
        if handlers.cancel_scope.cancelled_caught:
            _log.warning("cancelled the handlers that had not ended %g s after the last message", self._grace)

    async def _route(self, transport: Transport) -> None:
        send_channel, receive_channel = trio.open_memory_channel[list[Message]](1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, transport, send_channel)
            async with receive_channel:
                async for batch in receive_channel:
                    self._router.received_at = trio.current_time()
                    for message in batch:
                        if self._outbox.is_full:
                            await self._outbox.wait_for_room()
                        self._router.route(message)

    async def _read(self, transport: Transport, send_channel: trio.MemorySendChannel[list[Message]]) -> None:
        with self._reading:
            async with send_channel:
                try:
                    async for batch in transport:
                        await send_channel.send(batch)
                except trio.BrokenResourceError as exc:
                    self._broken = exc  # what came before it is still answered

    async def _write(self, transport: Transport, services: trio.CancelScope) -> None:
        try:
            while lines := await self._outbox.take():
                await transport.send(lines)
        except trio.BrokenResourceError as exc:
            self._broken = exc
            services.cancel()

    def _start_background(self) -> None:
        waiting, self._background = self._background, []
        if self._background_nursery is not None:
            for async_fn in waiting:
                self._background_nursery.start_soon(self._run_background, async_fn)

    async def _run_background(self, async_fn: Callable[[], Awaitable[object]]) -> None:
        try:
            await async_fn()
        except Exception:
            self.stats.handler_failures += 1
            if self._strict:
                raise
            _log.exception("background task %r failed", async_fn)
