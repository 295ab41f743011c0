"""`Node`, the public API of a program that speaks the Maelstrom protocol. Its parts are in `_serving.service`."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Final, final

from ._protocol.errors import RpcError
from ._protocol.messages import Body, Identity, Request
from ._protocol.stats import Stats
from ._rpc.backoff import Backoff
from ._rpc.gather import Gathered, gather, gather_quorum
from ._rpc.record import PendingRpc
from ._rpc.retry import ATTEMPTS, Retried, Retry
from ._rpc.table import RPC_TIMEOUT
from ._sending.envelopes import EnvelopeLog
from ._sending.sender import FirstMsgId, check_first_msg_id
from ._serving.admission import MAX_HANDLERS, OUTBOX_LIMIT
from ._serving.process import run_on_stdio
from ._serving.registration import Registration
from ._serving.service import HANDLER_GRACE, NodeOptions, Service
from .transports import Transport


@final
class Node(Registration):
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

    # State

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

    # Sending

    async def rpc(self, dest: str, body: object, *, timeout: float | None = None) -> Body:
        """Send *body* to node *dest* and wait for its reply.

        Args:
          dest: The id of a node or service. The node does not check that it exists.
          body: A dict or an attrs record with a ``type``. The node does not change it, and ignores reserved keys in it.
          timeout: Seconds on Trio's clock from sending until the reaper gives up. The default is the node's
            ``rpc_timeout``; ``math.inf`` waits forever. The reaper may be up to 1/128 s late, never early.

        Returns:
          The whole body of the reply.

        Raises:
          RpcTimeout: if no reply came in time. Indefinite: *dest* may have acted on the request.
          RpcError: if the reply was an ``error`` body; see `RpcError.definite`.
          LocalProtocolError: if JSON cannot carry *body*; nothing was sent.
          trio.ClosedResourceError: if the node is closed, before or during the call.
          RuntimeError: if ``init`` has not come yet.
          ValueError: if *timeout* is negative or not a number.

        Always a checkpoint; waits for room in the outbox first. If cancelled, the request may already be on the
        wire, so treat it as indefinite. The node drops its record at once, and counts and discards a late reply.
        """
        return await self._service.calls.call(dest, body, timeout)

    def rpc_callback(
        self,
        dest: str,
        body: object,
        callback: Callable[[Body | Exception], object],
        *,
        timeout: float | None = None,
    ) -> None:
        """Send *body* to node *dest*; the node calls *callback* with the outcome, exactly once.

        The outcome is the body of the reply, or the exception that `rpc` would raise: a `RpcError`, a
        `RpcTimeout`, or a `trio.ClosedResourceError` if the node closed first. Callbacks run one after
        another in a task of the node and must not block. If a callback raises, the node logs and counts it.

        Args:
          dest, body, timeout: As for `rpc`.
          callback: A plain function of one argument.

        Raises:
          trio.WouldBlock: if the outbox is full; nothing was sent.
          TypeError: if *callback* is async.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.
        """
        self._service.calls.call_back(dest, body, callback, timeout)

    async def rpc_retry(
        self,
        dest: str,
        body: object,
        *,
        attempts: int = ATTEMPTS,
        backoff: Backoff | None = None,
        timeout: float | None = None,
    ) -> Retried:
        """Send *body* to node *dest* until a reply comes: again after a timeout or error 11, never after another error.

        Each attempt has a new ``msg_id``, so *dest* cannot tell a second attempt from a second request. The request
        must therefore be idempotent, or its body must carry an id that *dest* recognises. While the call lasts, even
        between attempts, it also accepts a late reply to an earlier attempt.

        Args:
          dest, body: As for `rpc`.
          attempts: The largest number of attempts, 1 or more. To limit the whole call, put a cancel scope around it.
          backoff: How long to wait between attempts. The default is `Backoff()`, with jitter from `random`.
          timeout: Seconds for each attempt, as for `rpc`.

        Returns:
          The reply, the number of attempts it took, and the time spent between them.

        Raises:
          RetriesExhausted: if no attempt succeeded; it carries their number and the last error.
          RpcError: if the peer answered with an error other than a timeout or error 11.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.

        Always a checkpoint. If cancelled, treat every attempt so far as indefinite; no record stays behind.
        """
        delays = iter((backoff or Backoff()).with_random(self.random))
        return await Retry(self._service.calls, attempts).run(dest, body, timeout, delays)

    async def rpc_all(self, dests: Iterable[str], body: object, *, timeout: float | None = None) -> Gathered:
        """Send *body* to every node of *dests* at once, and wait until each has answered or failed.

        Args:
          dests: Ids of nodes, each once; `peers`, for example.
          body: A dict or an attrs record with a ``type``, the same for all.
          timeout: Seconds for each, as for `rpc`.

        Returns:
          Replies and errors (`RpcTimeout` included) by node. The call does not raise the errors of single nodes.

        Raises:
          ValueError: if *dests* contains a node twice.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.

        Always a checkpoint. If cancelled, either all requests were sent or none, and no record stays behind.
        """
        return await gather(self._service.calls, dests, body, timeout)

    async def rpc_quorum(
        self, dests: Iterable[str], body: object, *, need: int, timeout: float | None = None
    ) -> Gathered:
        """Send *body* to every node of *dests* at once, and return as soon as *need* of them have replied.

        The node then drops the records of the others at once, and counts their replies as late.

        Args:
          dests, body, timeout: As for `rpc_all`.
          need: How many replies are needed. An error does not count as a reply.

        Returns:
          *need* replies, and the errors that came before the last of them, by node.

        Raises:
          QuorumNotReached: as soon as too many have failed; it carries the replies and errors so far. Indefinite.
          ValueError: if *dests* contains a node twice, or *need* is larger than their number.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.

        Always a checkpoint. If cancelled, either all requests were sent or none, and no record stays behind.
        """
        return await gather_quorum(self._service.calls, dests, body, timeout, need)

    async def wait_for_room(self) -> None:
        """Wait until the outbox has room. Use it before a burst of ``_nowait`` calls or callback RPCs.

        Always a checkpoint. A cancelled call leaves nothing behind.
        """
        await self._service.sender.wait_for_room()

    async def send(self, dest: str, body: object) -> None:
        """Send *body* to node *dest* and expect no reply.

        Always a checkpoint; waits for room in the outbox. If cancelled, nothing was sent.

        Raises:
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.
        """
        await self._service.sender.wait_for_room()
        self._service.sender.send(dest, body)

    def send_nowait(self, dest: str, body: object) -> None:
        """Send *body* to node *dest* and expect no reply; for plain handlers.

        Raises:
          trio.WouldBlock: if the outbox is full; nothing was sent.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.
        """
        self._service.sender.require_room()
        self._service.sender.send(dest, body)

    async def reply(self, request: Request, body: object) -> None:
        """Answer *request* now; for handlers that return None, because they answer later or from elsewhere.

        A request without ``msg_id`` wants no answer, and the call then sends nothing. Two calls send two replies.
        Always a checkpoint; waits for room in the outbox. If cancelled, nothing was sent.

        Args:
          request: The request to answer.
          body: A dict or an attrs record, or a `RpcError` to answer with.

        Raises:
          LocalProtocolError: if JSON cannot carry *body*.
          trio.ClosedResourceError: if the node is closed.
        """
        await self._service.sender.wait_for_room()
        self._service.sender.reply(request, body.to_body() if isinstance(body, RpcError) else body)

    def reply_nowait(self, request: Request, body: object) -> None:
        """Answer *request* now, without waiting; otherwise as `reply`.

        Raises:
          trio.WouldBlock: if the outbox is full; nothing was sent.
          LocalProtocolError, trio.ClosedResourceError: as for `reply`.
        """
        self._service.sender.require_room()
        self._service.sender.reply(request, body.to_body() if isinstance(body, RpcError) else body)

    # Running

    def run(self, *, log_level: int | str = logging.WARNING, first_msg_id: FirstMsgId = 0) -> None:
        """Serve stdin and stdout until stdin ends, then return. A node executable calls this.

        SIGTERM and SIGINT also close the node in this way; a second signal ends the process at once. The node catches
        signals from here until the process ends. Stdout carries messages only: logs and the output of ``print`` in
        handlers go to stderr. SIGUSR1 prints the statistics to stderr. At log level ``INFO``, the node also prints
        them when it ends.

        Until this call returns, the node owns stdin and stdout. For all other code and for child processes, stdin is
        empty and stdout is stderr; reading `sys.stdin` raises `RuntimeError`. Until the process ends, writing to stderr
        never waits for its reader.

        Args:
          log_level: The lowest level to log, such as ``"INFO"``, unless logging is configured already.
          first_msg_id: As for `serve`.

        Raises:
          ValueError: if *first_msg_id* is not a valid first number.
          SystemExit: with status 1, after a line on stderr, if stdin or stdout is closed or breaks.
        """
        check_first_msg_id(first_msg_id)
        serve = functools.partial(self.serve, first_msg_id=first_msg_id)
        run_on_stdio(serve, self.shutdown, self.stats.line, log_level)

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
