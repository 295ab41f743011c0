"""Node: a program that speaks the Maelstrom protocol; the API of a `_service.Service`."""

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
from ._sending.outbox import OUTBOX_LIMIT
from ._sending.sender import FirstMsgId, check_first_msg_id
from ._serving.process import run_on_stdio
from ._serving.registration import Registration
from ._serving.router import MAX_HANDLERS
from ._serving.service import GRACE, Options, Service
from .transports import Transport


@final
class Node(Registration):
    """A node: handlers for the requests it serves, and RPCs to other nodes, none of which is ever leaked.

    Args:
      rpc_timeout: Seconds an RPC waits for its reply, where the call does not say otherwise.
      max_handlers: Async handlers that may run at once. Requests beyond are answered with error 11, which is
        definite: the sender may try again.
      outbox_limit: Bytes of output that may wait for a slow receiver; from a quarter on no requests are taken up.
      grace: Seconds that handlers at work have to end once no more messages can come.
      definite_codes: The application's own error codes (`FIRST_USER_CODE` and up) that are definite.
      envelope_log: How many of the latest messages `envelopes` keeps the heads of; by default it is off.
      wrap_transport: Called with the transport when the node begins to serve, to put another around it, such as
        `MessageLoss.wrap`.
      first_msg_id: The number of the first message, below 2**53; or ``"clock"``, for the microseconds since 1970 when
        the node begins to serve. A process that is killed and started again needs numbers that its former lives have
        not used, or it takes replies to them for its own. The simulator sees to that: there it is a lower bound.
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
        envelope_log: int = 0,
        wrap_transport: Callable[[Transport], Transport] | None = None,
        first_msg_id: FirstMsgId = 0,
        seed: int | None = None,
        strict: bool = False,
    ) -> None:
        self.stats: Final[Stats] = Stats()
        """What this node has counted so far."""
        options = Options(
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

    # What the node knows

    @property
    def identity(self) -> Identity:
        """The ids that ``init`` told. Raises RuntimeError before that."""
        if self._service.init.identity is None:
            raise RuntimeError("the node has no id before 'init' came; use on_init to act as soon as it has")
        return self._service.init.identity

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
        """The number that its next message will have; another life of the node may begin with it."""
        return self._service.sender.next_msg_id

    def wall_time(self) -> float:
        """Return the time of day where the node runs, in seconds since the epoch; before it serves, this machine's.

        Not monotonic: it jumps when somebody sets the clock, and two nodes hardly ever agree on it, in a simulator
        with skewed clocks least of all. To tell how long something took, use Trio's clock.
        """
        return self._service.wall_time()

    @property
    def pending(self) -> Collection[PendingRpc]:
        """The RPCs that wait for their replies, oldest first; ``len(node.pending)`` counts them."""
        return self._service.table

    @property
    def envelopes(self) -> EnvelopeLog:
        """The heads of the latest messages, received and sent; kept if ``envelope_log`` says how many."""
        return self._service.log

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
          ValueError: if *timeout* is negative or not a number.

        Always a checkpoint; waits for room in the outbox first. If cancelled, the request may already be on the
        wire and must be treated as indefinite; its record is dropped at once and a late reply counted and discarded.
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
        """Send *body* to node *dest* and have *callback* called with the outcome, exactly once.

        The outcome is the body of the reply, or the exception that `rpc` would raise: a `RpcError`, a
        `RpcTimeout`, or a `trio.ClosedResourceError` if the node closed first. Callbacks run one after
        another in a task of the node and must not block; what one raises is logged and counted.

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

        Each attempt has a fresh ``msg_id``, so *dest* cannot tell a second attempt from a second request: what is
        asked must be idempotent, or carry an id of the caller's in the body for *dest* to know it by. A reply that is
        late for its attempt is taken as the answer while the call lasts, between attempts too.

        Args:
          dest, body: As for `rpc`.
          attempts: How often to send it at the most, 1 or more. An enclosing cancel scope bounds the whole.
          backoff: How long to wait between attempts; by default `Backoff()`, with jitter from `random`.
          timeout: Seconds for each attempt, as for `rpc`.

        Returns:
          The reply, the number of attempts it took, and the time spent between them.

        Raises:
          RetriesExhausted: if no attempt succeeded; carries their number and the last error.
          RpcError: if the peer answered with an error that is not worth another attempt.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.

        Always a checkpoint. If cancelled, every attempt so far must be treated as indefinite; no record stays behind.
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
          Replies and errors (`RpcTimeout` among them) by node. Errors of nodes are not raised.

        Raises:
          ValueError: if a node is named twice.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.

        Always a checkpoint. If cancelled, all requests were sent or none, and no record stays behind.
        """
        return await gather(self._service.calls, dests, body, timeout)

    async def rpc_quorum(
        self, dests: Iterable[str], body: object, *, need: int, timeout: float | None = None
    ) -> Gathered:
        """Send *body* to every node of *dests* at once, and return as soon as *need* of them have replied.

        The records of the others are dropped at once; their replies, if they come, are counted as late.

        Args:
          dests, body, timeout: As for `rpc_all`.
          need: How many replies are needed; an error is none.

        Returns:
          *need* replies, and the errors that came before the last of them, by node.

        Raises:
          QuorumNotReached: as soon as too many have failed; carries the replies and errors so far. Indefinite.
          ValueError: if a node is named twice, or *need* is more than there are.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.

        Always a checkpoint. If cancelled, all requests were sent or none, and no record stays behind.
        """
        return await gather_quorum(self._service.calls, dests, body, timeout, need)

    async def wait_for_room(self) -> None:
        """Wait until the outbox has room, as before a burst of ``_nowait`` calls or callback RPCs.

        Always a checkpoint. Cancelling it leaves nothing behind.
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

        A request without ``msg_id`` wants no answer, and gets none. Answering twice sends two replies.
        Always a checkpoint; waits for room in the outbox. If cancelled, nothing was sent.

        Args:
          request: What is answered.
          body: A dict or an attrs record, or a `RpcError` to answer with.

        Raises:
          LocalProtocolError: if JSON cannot carry *body*.
          trio.ClosedResourceError: if the node is closed.
        """
        await self._service.sender.wait_for_room()
        self._service.sender.reply(request, body.to_body() if isinstance(body, RpcError) else body)

    def reply_nowait(self, request: Request, body: object) -> None:
        """Answer *request* now, without waiting; else as `reply`.

        Raises:
          trio.WouldBlock: if the outbox is full; nothing was sent.
          LocalProtocolError, trio.ClosedResourceError: as for `reply`.
        """
        self._service.sender.require_room()
        self._service.sender.reply(request, body.to_body() if isinstance(body, RpcError) else body)

    # Its life

    def run(self, *, log_level: int | str = logging.WARNING, first_msg_id: FirstMsgId = 0) -> None:
        """Serve stdin and stdout until stdin ends, then return; what a node executable calls.

        SIGTERM and SIGINT close the node in the same way, and a second signal ends the process at once. Logs go to
        stderr, and so does what handlers print: stdout is for messages. SIGUSR1 prints the statistics there, and so
        does the end, at log level ``INFO``. Signals are caught from here until the process ends.

        Until it returns, stdin and stdout are the node's alone. For everybody else, child processes included, stdin is
        empty and stdout is stderr; reading `sys.stdin` raises `RuntimeError`. Writing to stderr never waits for its
        reader, up to the end of the process.

        Args:
          log_level: The least level to log, such as ``"INFO"``, where logging is not configured otherwise.
          first_msg_id: As for `serve`.

        Raises:
          ValueError: if *first_msg_id* is none.
          SystemExit: with status 1, after a line on stderr, if stdin or stdout is closed or breaks.
        """
        check_first_msg_id(first_msg_id)
        serve = functools.partial(self.serve, first_msg_id=first_msg_id)
        run_on_stdio(serve, self.shutdown, self.stats.line, log_level)

    async def serve(self, transport: Transport, *, first_msg_id: FirstMsgId = 0) -> None:
        """Serve *transport* until no more messages come, and close it.

        Args:
          transport: Carries the messages.
          first_msg_id: As for `Node`; of the two, the larger number counts.

        Returns when everything has been answered and sent. If cancelled, what waits in the outbox is lost; pending
        RPCs end with `trio.ClosedResourceError` in either case, and their callbacks have been called.

        Raises:
          RuntimeError: if the node has served before; a node has one life.
          ValueError: if *first_msg_id* is none.
          trio.BrokenResourceError: if the transport broke; the text says how.
          ExceptionGroup: in strict mode, with what handlers, callbacks or background tasks raised.
        """
        await self._service.serve(transport, first_msg_id)

    def shutdown(self) -> None:
        """Take no more messages; answer those that were taken, and let `serve` return. May be called in any thread."""
        self._service.shutdown()
