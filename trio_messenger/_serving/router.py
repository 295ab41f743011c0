"""The router and its rules for messages that arrive.

The rules apply in this order to a message that is well formed and addressed to this node:

1. A reply goes to the pending table, in every phase of the node. The node never answers a reply.
2. An ``error`` that replies to nothing is dropped. Otherwise two nodes could answer each other forever.
3. The node serves ``init`` itself: see `_serving.init`.
4. Before ``init`` is done, the node answers a request with error 11.
5. If a request's type has no handler, the node answers with error 10.
6. The router calls a plain handler directly, so its replies leave in the order of the requests. An async handler runs
   in a task. If too many handlers run already, the node sheds the request: it answers with error 11. The limits, and
   the pauses of the router, are in `_serving.admission`.

The router never waits for a handler, so the reply that a handler waits for always gets through.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TypeAlias, final

import trio

from .._protocol.errors import ErrorCode, RemoteProtocolError, RpcError, unwrapped
from .._protocol.excerpts import excerpt
from .._protocol.messages import MalformedMessage, Message, Request, is_id
from .._protocol.stats import Stats, worth_a_line
from .._rpc.table import PendingTable
from .._sending.envelopes import EnvelopeLog
from .._sending.sender import Sender
from .._user_code.failures import is_only, let_go, split_failure
from .admission import Admission
from .handlers import Handler
from .life import Life
from .workers import Job

_log = logging.getLogger("trio_messenger")

Spawn: TypeAlias = Callable[..., object]
"""Starts a task: ``spawn(job, *args)``."""


@final
class Router:
    """Takes messages, one at a time, and applies the rules to each.

    Args:
      life: Knows the node's id, and whether it serves requests.
      admission: Decides whether another async handler may start.
      sender: Sends the replies.
      table: Receives the replies to RPCs.
      stats: Counts all events.
      log: Keeps the envelopes of received messages.
      strict: Let exceptions of handlers leave the router, instead of answering with error 13.
    """

    def __init__(
        self,
        life: Life,
        admission: Admission,
        sender: Sender,
        table: PendingTable,
        stats: Stats,
        log: EnvelopeLog,
        strict: bool,
    ) -> None:
        self.handlers: dict[str, Handler] = {}
        """Handlers by the type of request."""
        self.spawn: Spawn | None = None
        """Starts the task of an async handler; set while the node serves."""
        self._received_at = 0.0
        self._life = life
        self._admission = admission
        self._sender = sender
        self._outbox = admission.outbox
        self._table = table
        self._stats = stats
        self._log = log
        self._strict = strict
        self._job = Job(self._run, self._interrupted, lambda _, request: f"the handler of {excerpt(request.type)}")

    def check_free(self, message_type: object) -> None:
        """Raise unless *message_type* can have a handler registered for it."""
        if not isinstance(message_type, str):
            raise TypeError(f"on() takes the type of the requests, as in @node.on('echo'), not {message_type!r:.80}")
        if message_type in ("init", "error"):
            remedy = "use on_init to take part in 'init'" if message_type == "init" else "errors reply to RPCs"
            raise ValueError(f"the node handles {message_type!r} messages itself; {remedy}")
        if message_type in self.handlers:
            raise ValueError(f"{message_type!r} has a handler already; a type of request has one handler")

    def begin(self, received_at: float) -> None:
        """Begin to route messages, or the rest of them, that were read at *received_at* on Trio's clock."""
        self._received_at = received_at

    def route(self, message: Message) -> None:
        """Apply the rules to *message*. Never waits. In strict mode, raises the exceptions of plain handlers."""
        body = message.body
        kind = body.get("type")
        if self._log.is_on and isinstance(kind, str):
            self._log.note(self._received_at, "RECV", message.src, message.dest, kind)
        life = self._life
        if message.dest == life.node_id and isinstance(kind, str):
            in_reply_to = body.get("in_reply_to")
            msg_id = body.get("msg_id")
            # This compares types as is_id() does; calling it would double the cost of these lines.
            if type(in_reply_to) is int:
                self._table.settle(in_reply_to, message.src, body)
                return
            if in_reply_to is None and life.is_initialised and (type(msg_id) is int or msg_id is None):
                self._serve(Request(message.src, message.dest, kind, msg_id, body, self._received_at))
                return
        self._route_unusual(message)

    def fail(self, request: Request, error: Exception) -> None:
        """Answer *request* with *error*, which its handler raised; in strict mode, raise all but `RpcError`."""
        told = unwrapped(error)
        if not self.is_end_of_call(told):
            if not isinstance(told, RpcError) or isinstance(told, RemoteProtocolError):
                self._stats.handler_failures += 1
                if self._strict:
                    raise told
                if worth_a_line(self._stats.handler_failures):
                    _log.error("the handler of %s failed", excerpt(request.type), exc_info=told)
            self._answer(request, RpcError.from_exception(told))
        let_go(told)
        let_go(error)

    def is_end_of_call(self, error: Exception) -> bool:
        """Tell whether *error* only means that the node closes, after a call or while waiting for a reply."""
        error = unwrapped(error)
        if not self._life.is_closing or isinstance(error, RpcError):
            return False
        return is_only(error, trio.ClosedResourceError, RpcError)  # RPC errors may be in the same group

    def _serve(self, request: Request) -> None:
        handler = self.handlers.get(request.type)
        if handler is None:
            self._nobody_handles(request)
        elif handler.is_async:
            self._start(handler, request)
        else:
            try:
                result = handler.call(request)
                if result is not None:
                    self._sender.reply(request, result)
            except BaseException as exc:  # noqa: BLE001 - every error is answered and logged
                self._fail_plain(request, exc)

    def _fail_plain(self, request: Request, error: BaseException) -> None:
        failure, rest = split_failure(error, is_plain=True)
        try:
            if failure is not None:
                self.fail(request, failure)
            if rest is not None:
                raise rest
        finally:
            del failure, rest, error  # otherwise the exception and this frame would be in a cycle

    def _start(self, handler: Handler, request: Request) -> None:
        assert self.spawn is not None  # set, because messages are routed only while the node serves
        if self._admission.start_handler():
            self.spawn(self._job, handler, request)
        else:
            self._shed(request)

    async def _run(self, handler: Handler, request: Request) -> None:
        try:
            result = await handler.call(request)
            if result is not None:
                if self._outbox.is_full:
                    await self._outbox.wait_for_room()
                self._sender.reply(request, result)
        except Exception as exc:  # noqa: BLE001 - every error is answered and logged
            self.fail(request, exc)
        finally:
            self._admission.end_handler()

    def _interrupted(self, _: Handler, request: Request, error: BaseException) -> BaseException | None:
        failure, rest = split_failure(error)
        if failure is not None:
            self.fail(request, failure)
        return rest

    def _shed(self, request: Request) -> None:
        self._stats.shed += 1
        text = f"{self._admission.running} handlers are running, which is the limit; try again later"
        self._refuse(request, ErrorCode.TEMPORARILY_UNAVAILABLE, text, self._stats.shed)

    def _nobody_handles(self, request: Request) -> None:
        if request.type == "error":
            self._stats.stray_errors += 1
            self._note(
                self._stats.stray_errors,
                lambda: f"dropped a stray error from {excerpt(request.src)}: {excerpt(request.body)}",
            )
        else:
            self._stats.unsupported += 1
            text = f"this node does not handle {excerpt(request.type)}; it handles {', '.join(sorted(self.handlers))}"
            self._refuse(request, ErrorCode.NOT_SUPPORTED, text, self._stats.unsupported)

    def _route_unusual(self, message: Message) -> None:
        """Route a message that came before ``init``, is for another node, or is malformed."""
        body = message.body
        kind, msg_id, in_reply_to = body.get("type"), body.get("msg_id"), body.get("in_reply_to")
        if isinstance(message, MalformedMessage):
            self._refuse_malformed(message, message.reason, message.excerpt)
        elif not isinstance(kind, str):
            self._refuse_malformed(message, f"its 'type' must be a string, not {excerpt(kind)}")
        elif not (in_reply_to is None or is_id(in_reply_to)):
            self._refuse_malformed(message, f"its 'in_reply_to' must be an integer, not {excerpt(in_reply_to)}")
        elif not (msg_id is None or is_id(msg_id)):
            self._refuse_malformed(message, f"its 'msg_id' must be an integer, not {excerpt(msg_id)}")
        elif self._life.node_id and message.dest != self._life.node_id:
            self._stats.misdirected += 1
            self._note(
                self._stats.misdirected,
                lambda: (
                    f"dropped a {excerpt(kind)} message for {excerpt(message.dest)}: this is {self._life.node_id!r}"
                ),
            )
        else:
            self._route_before_init(
                Request(message.src, message.dest, kind, msg_id, body, self._received_at), in_reply_to
            )

    def _route_before_init(self, request: Request, in_reply_to: int | None) -> None:
        if in_reply_to is not None:
            self._table.settle(in_reply_to, request.src, request.body)
        elif request.type in ("init", "error"):
            self._serve(request)
        else:
            self._stats.early += 1
            text = "this node is not initialised; send 'init' first and wait for init_ok"
            self._refuse(request, ErrorCode.TEMPORARILY_UNAVAILABLE, text, self._stats.early)

    def _refuse_malformed(self, message: Message, reason: str, shown: str = "") -> None:
        """Count and log a malformed message, and answer it if its sender and its number can be read."""
        self._stats.malformed += 1
        self._note(
            self._stats.malformed,
            lambda: f"malformed line from {excerpt(message.src)}: {reason}: {shown or excerpt(message.body)}",
        )
        msg_id = message.body.get("msg_id")
        if message.src and is_id(msg_id) and message.body.get("in_reply_to") is None:
            dest = self._life.node_id or message.dest
            request = Request(message.src, dest, "", msg_id, message.body, self._received_at)
            self._answer(request, RpcError(ErrorCode.MALFORMED_REQUEST, f"malformed message: {reason}"))

    def _refuse(self, request: Request, code: ErrorCode, text: str, count: int) -> None:
        self._note(count, lambda: f"refused {excerpt(request.type)} from {excerpt(request.src)}: {text}")
        self._answer(request, RpcError(code, text))

    def _answer(self, request: Request, error: RpcError) -> None:
        with contextlib.suppress(trio.ClosedResourceError):  # the node is closed and cannot send any more
            self._sender.reply(request, error.to_body())

    def _note(self, count: int, say: Callable[[], str]) -> None:
        if worth_a_line(count):
            _log.warning("%s (%d so far)", say(), count)
