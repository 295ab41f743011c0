"""The service: the parts of a node, and the nurseries that run them.

The tasks of a node that serves:

    reader -> (router) -> handlers (a task for each async one)
                       -> pending table <- reaper -> callbacks
    outbox -> writer

The reader's task routes the messages that it reads. If a message has to wait, the reader passes it and all following
messages to the router's task. `_serving.admission` decides which messages have to wait.

A node closes in the order in which messages pass through it: the input, the router, RPCs, background tasks and
handlers, the writer, the transport. `_serving.life` has the phases, and closes the parts.

A failure in strict mode or a broken output ends the node at once: it cancels all tasks, the writer included. In every
case, two rules hold. When the router ends, every RPC ends and no more can begin, since no reply could come. When the
writer ends, nothing more can be sent. Callers then get a `trio.ClosedResourceError` at once, so no ``finally`` clause
waits for a task of the node that has already ended.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from random import Random
from typing import Any, Final, TypeAlias, final

import attrs
import trio

from .._protocol.errors import FIRST_USER_CODE
from .._protocol.messages import Message
from .._protocol.stats import Stats
from .._protocol.validators import at_least
from .._rpc.calls import Calls
from .._rpc.reaper import Reaper
from .._rpc.record import PendingRpc
from .._rpc.table import PendingTable, check_timeout
from .._sending.envelopes import EnvelopeLog
from .._sending.sender import Sender, check_first_msg_id, first_number
from .._user_code.enclosure import Enclosure
from .._user_code.failures import OnFailure, let_go, split_failure
from ..transports import FirstMsgId, Transport
from .admission import Admission
from .at_most_once import AtMostOnce
from .handlers import HandlerFunction, make_handler
from .init import Initialiser
from .life import Life, Phase
from .periodic import every
from .router import Router
from .workers import Workers

_log = logging.getLogger("trio_messenger")

HANDLER_GRACE: Final = 1.0
"""Seconds that handlers have to end after the last message has come in."""

_Background: TypeAlias = tuple[Callable[[], Awaitable[object]], object, trio.CancelScope]
"""What a background task runs, its function for the log, and the scope in which it runs."""

_Batch: TypeAlias = tuple[list[Message], float]
"""Messages that were read together, and the time of reading, in seconds on Trio's clock."""


def _are_user_codes(_: object, field: attrs.Attribute[Collection[int]], codes: Collection[int]) -> None:
    wrong = [code for code in codes if code < FIRST_USER_CODE]
    if wrong:
        raise ValueError(f"{field.name} contains {wrong[0]}; give codes from {FIRST_USER_CODE} up")


@final
@attrs.frozen(kw_only=True)
class NodeOptions:
    """The arguments of `Node`, which describes them."""

    rpc_timeout: float = attrs.field(validator=lambda _, __, seconds: check_timeout(seconds))
    max_handlers: int = attrs.field(validator=at_least(1))
    outbox_limit: int = attrs.field(validator=at_least(1))
    grace: float = attrs.field(validator=at_least(0))
    definite_codes: Collection[int] = attrs.field(validator=_are_user_codes)
    envelope_log: int
    wrap_transport: Callable[[Transport], Transport] | None = attrs.field(
        validator=attrs.validators.optional(attrs.validators.is_callable())
    )
    strict: bool
    first_msg_id: FirstMsgId = attrs.field(validator=lambda _, __, value: check_first_msg_id(value))


@final
class Service:
    """The parts of one node, connected to each other."""

    def __init__(self, stats: Stats, options: NodeOptions) -> None:
        self.log = EnvelopeLog(options.envelope_log, self.wall_time)
        self.admission = Admission(options.outbox_limit, options.max_handlers)
        self.outbox = self.admission.outbox
        self.sender = Sender(self.outbox, stats, self.log)
        ended_send, ended_receive = trio.open_memory_channel[PendingRpc](math.inf)
        self.table = PendingTable(stats, ended_send)
        self._reaper = Reaper(self.table, lambda: self.sender.src)
        self.life = Life(self.sender, self.outbox, self.table, self._reaper)
        self.calls = Calls(
            self.sender,
            self.outbox,
            self.table,
            ended_receive,
            stats,
            options.rpc_timeout,
            options.definite_codes,
            options.strict,
        )
        self.router = Router(self.life, self.admission, self.sender, self.table, stats, self.log, options.strict)
        self.init = Initialiser(self.life, self.sender, self.router, self._start_background)
        self._stats = stats
        self._options = options
        self._background: list[_Background] = []  # waiting for init
        self._background_nursery: trio.Nursery  # the nursery of background tasks; set while the node serves
        self._reading = trio.CancelScope()  # shutdown cancels it
        self._cancel_all: Callable[[], object]  # ends the node at once; set while it serves
        self._batches_with_router = 0  # how many batches the router's task routes or has yet to receive
        self._broken: trio.BrokenResourceError | None = None  # the error, if the transport broke
        self._wall_time: Callable[[], float] = time.time  # the transport's, when the node serves
        self._is_connected: Callable[[], bool]  # the transport's; set when the node serves
        self._token: trio.lowlevel.TrioToken | None = None  # of the Trio run in which the node serves

    def add_handler(
        self,
        message_type: str,
        function: HandlerFunction,
        at_most_once: AtMostOnce | None,
        local_names: Mapping[str, Any],
    ) -> None:
        """Serve requests of *message_type* with *function*; its annotations may use *local_names*."""
        self.router.check_free(message_type)
        handler = make_handler(function, local_names)
        self.router.handlers[message_type] = handler if at_most_once is None else at_most_once.wrap(handler)

    def add_background(
        self, async_fn: Callable[[], Awaitable[object]], function: object, scope: trio.CancelScope | None
    ) -> None:
        """Run *async_fn* in a task, in *scope*, from ``init`` until the node closes; the log names it *function*."""
        if self.life.is_closing:
            raise trio.ClosedResourceError("the node is closed and starts no more background tasks")
        self.sender.require_home()
        self._background.append((async_fn, function, scope or trio.CancelScope()))
        if self.life.phase is Phase.SERVING:
            self._start_background()

    def add_periodic(
        self,
        call: Callable[[], Awaitable[object] | object],
        function: object,
        seconds: float,
        jitter: float,
        random: Random,
        scope: trio.CancelScope | None,
    ) -> None:
        """Call *call* every *seconds* in a background task; see `Node.every`."""
        self.add_background(partial(every, seconds, call, function, jitter, random, self._stats), function, scope)

    async def serve(self, transport: Transport, first_msg_id: FirstMsgId) -> None:
        """Run the node on *transport*; see `Node.serve`."""
        if self.life.phase is not Phase.NEW:
            raise RuntimeError("this node has served already; make a new node, as a restarted process does")
        self.sender.home = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()
        self._wall_time = transport.wall_time
        self._is_connected = lambda: transport.is_connected
        self._stats.transport = transport.counters
        self.sender.size_limit = transport.size_limit
        try:
            async with self.life.on(transport, self._options.wrap_transport) as wrapped:
                self._wall_time = wrapped.wall_time
                self.sender.admits = wrapped.admits
                firsts = (self._options.first_msg_id, first_msg_id, transport.first_msg_id)
                self.sender.next_msg_id = max(first_number(first, self.wall_time) for first in firsts)
                await self._serve(wrapped)
        finally:
            self.calls.close()
        if self._broken is not None:
            raise self._broken

    def wall_time(self) -> float:
        """Return the time of day; see `Node.wall_time`."""
        return self._wall_time()

    @property
    def obstacle(self) -> str:
        """Why the node serves no requests at the moment; empty if it does."""
        if self.life.is_closing:
            return "the node is closing"
        if self.life.phase is not Phase.SERVING:
            return "the node is not initialised"
        return "" if self._is_connected() else "the node is not connected"

    def shutdown(self) -> None:
        """Take no more messages, and let `serve` return when those already taken are answered. Thread-safe."""
        if self._token is None or self.sender.home == threading.get_ident():
            self._reading.cancel()
        else:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._reading.cancel)

    async def _serve(self, transport: Transport) -> None:
        async with trio.open_nursery() as services:
            self._cancel_all = services.cancel_scope.cancel
            services.start_soon(self._reaper.run)
            services.start_soon(self.calls.run_callbacks)
            async with trio.open_nursery() as writing:
                writing.start_soon(self._write, transport)
                await self._serve_requests(transport)
                self.life.end_output()
            services.cancel_scope.cancel()

    async def _serve_requests(self, transport: Transport) -> None:
        async with trio.open_nursery() as handlers:
            workers = Workers(handlers, self._stats, self._cancel_all)
            self.router.spawn = workers.start_soon
            async with trio.open_nursery() as background:
                self._background_nursery = background
                with OnFailure(self._cancel_all):
                    await self._route(transport, background)
                workers.close()
                handlers.cancel_scope.deadline = trio.current_time() + self._options.grace
                background.cancel_scope.cancel()
        if workers.cancelled:
            _log.warning("cancelled the handlers that had not ended %g s after the last message", self._options.grace)

    async def _route(self, transport: Transport, background: trio.Nursery) -> None:
        send_channel, receive_channel = trio.open_memory_channel[_Batch](1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, transport, send_channel)
            try:
                with receive_channel, Enclosure(self._stats, _describe_plain) as enclosure:
                    async for batch in receive_channel:
                        await self._route_batch(batch, transport, enclosure)
                        self._batches_with_router -= 1
                        del batch
            finally:  # now, so that no handler or background task waits for a reply that cannot come
                self.life.end_input()
                background.start_soon(self.calls.run_last_callbacks)  # callbacks may still send there

    async def _route_batch(self, batch: _Batch, transport: Transport, enclosure: Enclosure) -> None:
        messages, received_at = batch
        while messages := self._route_now(messages, received_at, transport, enclosure):
            await self.admission.pause()

    def _route_now(
        self, messages: list[Message], received_at: float, transport: Transport, enclosure: Enclosure
    ) -> list[Message]:
        """Route messages up to the first that has to wait; see `Admission`.

        Returns:
          The messages that were not routed.
        """
        outbox, router = self.outbox, self.router
        router.begin(received_at)
        outbox.cork()
        try:
            return self.admission.route_until_pause(messages, router.route)
        finally:
            outbox.uncork(transport.send_now)  # without the writer, which would take another pass of the scheduler
            enclosure.mend()

    async def _read(self, transport: Transport, send_channel: trio.MemorySendChannel[_Batch]) -> None:
        with self._reading, send_channel:
            try:
                with Enclosure(self._stats, _describe_plain) as enclosure:
                    async for messages in transport:
                        await self._take_in(messages, transport, send_channel, enclosure)
                        del messages  # an idle node must not keep its last messages in memory
            except trio.BrokenResourceError as exc:
                self._broken = exc  # the node still answers earlier messages

    async def _take_in(
        self,
        messages: list[Message],
        transport: Transport,
        send_channel: trio.MemorySendChannel[_Batch],
        enclosure: Enclosure,
    ) -> None:
        """Route *messages*, immediately if the router's task is idle, since waking it takes another pass."""
        self._stats.received += len(messages)
        received_at = trio.current_time()
        if not self._batches_with_router:
            messages = self._route_now(messages, received_at, transport, enclosure)
        if messages:
            self._batches_with_router += 1
            await _pass_on((messages, received_at), send_channel)

    async def _write(self, transport: Transport) -> None:
        try:
            while lines := await self.outbox.take():
                await transport.send(lines)
                del lines  # they may be as large as a full outbox
        except trio.BrokenResourceError as exc:
            self._broken = exc
            self._cancel_all()
        finally:
            self.life.end_output()

    def _start_background(self) -> None:
        waiting, self._background = self._background, []
        for background in waiting:
            self._background_nursery.start_soon(self._run_background, *background)

    async def _run_background(
        self, async_fn: Callable[[], Awaitable[object]], function: object, scope: trio.CancelScope
    ) -> None:
        try:
            with scope, Enclosure(self._stats, lambda: f"background task {function!r}"):
                await async_fn()
        except BaseException as exc:  # noqa: BLE001 - what is not a failure is raised again
            failure, rest = split_failure(exc)
            try:
                with OnFailure(self._cancel_all):
                    if failure is not None and not self.router.is_end_of_call(failure):
                        self._stats.handler_failures += 1
                        if self._options.strict:
                            raise failure
                        _log.error("background task %r failed", function, exc_info=failure)
                        let_go(failure)
                    if rest is not None:
                        raise rest
            finally:
                del failure, rest  # otherwise their tracebacks and this frame would be in a cycle


def _describe_plain() -> str:
    return "a plain handler, or a plain hook of on_init,"


async def _pass_on(batch: _Batch, send_channel: trio.MemorySendChannel[_Batch]) -> None:
    """Send *batch*, which was taken from the transport, to the router, even if reading is cancelled meanwhile."""
    try:
        send_channel.send_nowait(batch)
    except trio.WouldBlock:
        with trio.CancelScope(shield=True), contextlib.suppress(trio.BrokenResourceError):
            await send_channel.send(batch)  # it is broken if the router, and the whole node, has ended
