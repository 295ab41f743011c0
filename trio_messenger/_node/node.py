"""`Node` itself: its options, its state, and how it runs."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Final, final

from .._protocol.messages import Identity
from .._protocol.stats import Stats
from .._rpc.record import PendingRpc
from .._rpc.table import RPC_TIMEOUT
from .._sending.envelopes import EnvelopeLog
from .._sending.sender import check_first_msg_id
from .._serving.admission import MAX_HANDLERS, OUTBOX_LIMIT
from .._serving.process import LogFormat, OpenTransport, run_service
from .._serving.service import HANDLER_GRACE, NodeOptions, Service
from ..transports import FirstMsgId, Transport
from .messaging import Messaging
from .registration import Registration


@final
class Node(Registration, Messaging):
    """A node: it serves requests with handlers, and makes RPCs to other nodes. No RPC ever leaks.

    Args:
      rpc_timeout: Seconds that an RPC waits for its reply, unless the call sets its own timeout.
      max_handlers: How many async handlers may run at once. The node answers further requests with error 11, which is
        definite: the sender may try again.
      outbox_limit: Bytes of output that may wait for a slow receiver. Above a quarter of this limit, the node takes
        no new requests.
      grace: Seconds that running handlers have to end once no more messages can arrive.
      definite_codes: The application's own error codes (`FIRST_USER_CODE` and up) that are definite.
      envelope_log: How many of the latest messages `envelopes` remembers, without their bodies. The default is none.
      wrap_transport: A function such as `MessageLoss.wrap`, which puts another transport around the node's own. The
        node calls it with its transport when it begins to serve.
      first_msg_id: The number of the first message, below 2**53; or ``"clock"``, for the microseconds since 1970 when
        the node begins to serve. A restarted process needs numbers that its former lives have not used. Otherwise it
        takes replies to their requests for its own. The simulator takes care of this: there the value is a lower bound.
      seed: Seed of `random`. The default comes from the operating system.
      strict: For tests and simulations. If a handler, a callback or a background task raises an exception (other than
        `RpcError`), it leaves `serve` in an exception group. Otherwise the node logs it, and answers a request whose
        handler raised it with error 13.

    Example:
      >>> node = Node()
      >>> @node.on("echo")
      ... def echo(request):
      ...     return {"echo": request.body["echo"]}
      >>> async def main():
      ...     async with running(node) as network:  # plays a client
      ...         print(await network.request("echo", echo="hi"))
      >>> trio.run(main)
      {'type': 'echo_ok', 'echo': 'hi', 'in_reply_to': 1, 'msg_id': 1}
    """

    def __init__(
        self,
        *,
        rpc_timeout: float = RPC_TIMEOUT,
        max_handlers: int = MAX_HANDLERS,
        outbox_limit: int = OUTBOX_LIMIT,
        grace: float = HANDLER_GRACE,
        definite_codes: Collection[int] = (),
        envelope_log: int = 0,
        wrap_transport: Callable[[Transport], Transport] | None = None,
        first_msg_id: FirstMsgId = 0,
        seed: int | None = None,
        strict: bool = False,
    ) -> None:
        self.stats: Final[Stats] = Stats()
        """This node's counters."""
        options = NodeOptions(
            rpc_timeout=rpc_timeout,
            max_handlers=max_handlers,
            outbox_limit=outbox_limit,
            grace=grace,
            definite_codes=definite_codes,
            envelope_log=envelope_log,
            wrap_transport=wrap_transport,
            first_msg_id=first_msg_id,
            strict=strict,
        )
        super().__init__(seed)
        self._service = Service(self.stats, options)

    @property
    def identity(self) -> Identity:
        """The ids from the ``init`` message. Raises RuntimeError before ``init``."""
        identity = self._service.life.identity
        if identity is None:
            raise RuntimeError("the node has no id before 'init'; use on_init to act as soon as it has one")
        return identity

    @property
    def id(self) -> str:
        """The node's own id. Raises RuntimeError before ``init``."""
        return self.identity.node_id

    @property
    def peers(self) -> tuple[str, ...]:
        """The ids of all other nodes, in the order of ``init``. Raises RuntimeError before ``init``."""
        return tuple(node_id for node_id in self.identity.node_ids if node_id != self.id)

    @property
    def obstacle(self) -> str:
        """Why the node serves no requests at the moment, in a few words; empty if it does.

        It does when it is initialised, its transport is connected, and it is not closing.

        Example:
          >>> node = Node()
          >>> node.obstacle
          'the node is not initialised'
          >>> async def main():
          ...     async with running(node):
          ...         print(repr(node.obstacle))
          >>> trio.run(main)
          ''
        """
        return self._service.obstacle

    @property
    def next_msg_id(self) -> int:
        """The ``msg_id`` of the next message. A restarted node may begin with it."""
        return self._service.sender.next_msg_id

    def wall_time(self) -> float:
        """Return the time of day where the node runs, in seconds since the epoch; before it serves, this machine's.

        This clock is not monotonic: it jumps when somebody sets it. Two nodes rarely agree on it, least of all in a
        simulator with skewed clocks. To measure how long something takes, use Trio's clock.
        """
        return self._service.wall_time()

    @property
    def pending(self) -> Collection[PendingRpc]:
        """The RPCs that wait for their replies, oldest first; ``len(node.pending)`` counts them."""
        return self._service.table

    @property
    def envelopes(self) -> EnvelopeLog:
        """The latest messages, received and sent, without their bodies; ``envelope_log`` says how many."""
        return self._service.log

    def run(
        self,
        *,
        log_level: int | str = logging.WARNING,
        first_msg_id: FirstMsgId = 0,
        transport: OpenTransport | None = None,
        log_format: LogFormat = "text",
        within: Callable[[], AbstractAsyncContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        """Serve stdin and stdout until stdin ends, then return. A node executable calls this.

        SIGTERM and SIGINT also close the node in this way; a second signal ends the process at once. The node catches
        signals from here until the process ends. Stdout carries messages only: logs and the output of ``print`` in
        handlers go to stderr. SIGUSR1 prints the statistics to stderr. At log level ``INFO``, the node also prints
        them when it ends.

        Until this call returns, the node owns stdin and stdout. For all other code and for child processes, stdin is
        empty and stdout is stderr; reading `sys.stdin` raises `RuntimeError`. Until the process ends, writing to stderr
        never waits for its reader. If a handler calls `os.fork`, the child must end with `os._exit` or run another
        program: it would serve the same messages again. If it reads or writes one, it ends with an error.

        Args:
          log_level: The lowest level to log, such as ``"INFO"``, unless logging is configured already.
          first_msg_id: As for `serve`.
          transport: Opens the transport to serve instead of stdin and stdout, such as a `functools.partial` of
            ``open_nats``. It is called in Trio, and returns an async context manager.
          log_format: ``"json"`` for one JSON object per line on stderr, unless logging is configured already.
          within: Opens something that is there before the transport and as long, such as a `functools.partial` of
            ``open_metrics``. It is called in Trio, and returns an async context manager.

        Raises:
          RuntimeError: in another thread than the main one, or in a run of Trio.
          ValueError: if *first_msg_id* is not a valid first number.
          SystemExit: with status 1, after a line on stderr, if stdin or stdout, or *transport*, is closed or breaks, or
            if *within* raises `trio.BrokenResourceError`.
        """
        check_first_msg_id(first_msg_id)
        serve = functools.partial(self.serve, first_msg_id=first_msg_id)
        run_service(serve, self.shutdown, self.stats.line, log_level, transport, log_format, within)

    async def serve(self, transport: Transport, *, first_msg_id: FirstMsgId = 0) -> None:
        """Serve *transport* until no more messages come, and close it.

        Args:
          transport: Carries the messages.
          first_msg_id: As for `Node`; the node uses the larger of the two numbers.

        Returns when the node has answered and sent everything. If cancelled, the node loses the messages that wait in
        the outbox. In both cases pending RPCs end with `trio.ClosedResourceError`, and their callbacks have run.

        Raises:
          RuntimeError: if the node has served before; a node has one life.
          ValueError: if *first_msg_id* is not a valid first number.
          trio.BrokenResourceError: if the transport broke; the text says how.
          ExceptionGroup: in strict mode, with the exceptions of handlers, callbacks and background tasks.
        """
        await self._service.serve(transport, first_msg_id)

    def shutdown(self) -> None:
        """Take no more messages, answer those already taken, and let `serve` return. Any thread may call this."""
        self._service.shutdown()
