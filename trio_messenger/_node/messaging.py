"""Make RPCs, send messages, and answer requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from .._protocol.errors import RpcError
from .._protocol.messages import Body, Request
from .._rpc.backoff import Backoff
from .._rpc.gather import BodyFor, Gathered, Question, gather, gather_quorum
from .._rpc.retry import ATTEMPTS, Retried, Retry
from .parts import NodeParts

_T = TypeVar("_T")


class Messaging(NodeParts):
    """The part of `Node` that sends messages, and waits for replies."""

    @overload
    async def rpc(self, dest: str, body: object, *, timeout: float | None = None) -> Body: ...
    @overload
    async def rpc(self, dest: str, body: object, *, as_: type[_T], timeout: float | None = None) -> _T: ...

    async def rpc(self, dest: str, body: object, *, as_: type[Any] | None = None, timeout: float | None = None) -> Any:
        """Send *body* to node *dest* and wait for its reply.

        Args:
          dest: The id of a node or service. The node does not check that it exists.
          body: A dict with a ``type``, or a record: an attrs class, a msgspec struct or a dataclass. The ``type`` of a
            record is a field, or its class knows it; see `on`. The node does not change the body, and ignores
            reserved keys in it.
          as_: The class of the reply, for example an attrs class. The reply is validated against it and converted.
          timeout: Seconds on Trio's clock from sending until the reaper gives up. The default is the node's
            ``rpc_timeout``; ``math.inf`` waits forever. The reaper may be up to 1/128 s late, never early.

        Returns:
          The whole body of the reply, or the record if there is *as_*.

        Raises:
          RpcTimeout: if no reply came in time. Indefinite: *dest* may have acted on the request.
          RpcError: if the reply was an ``error`` body; see `RpcError.definite`.
          RemoteProtocolError: if the reply does not fit *as_*; the text names the path and the expected type.
            Indefinite.
          LocalProtocolError: if JSON cannot carry *body*; nothing was sent.
          trio.ClosedResourceError: if the node is closed, before or during the call.
          RuntimeError: if ``init`` has not come yet.
          ValueError: if *timeout* is negative or not a number.

        Always a checkpoint; waits for room in the outbox first. If cancelled, the request may already be on the
        wire, so treat it as indefinite. The node drops its record at once, and counts and discards a late reply.

        Example:
          >>> async def n2(network):  # plays the other node
          ...     await network.reply(await network.receive(), {"type": "pong"})
          >>> async def main():
          ...     node = Node()
          ...     async with running(node) as network, trio.open_nursery() as nursery:
          ...         nursery.start_soon(n2, network)
          ...         print(await node.rpc("n2", {"type": "ping"}))
          >>> trio.run(main)
          {'type': 'pong', 'in_reply_to': 1}
        """
        return await self._service.calls.call(dest, body, timeout, as_)

    @overload
    def rpc_callback(
        self, dest: str, body: object, callback: Callable[[Body | Exception], object], *, timeout: float | None = None
    ) -> None: ...
    @overload
    def rpc_callback(
        self,
        dest: str,
        body: object,
        callback: Callable[[_T | Exception], object],
        *,
        as_: type[_T],
        timeout: float | None = None,
    ) -> None: ...

    def rpc_callback(
        self,
        dest: str,
        body: object,
        callback: Callable[[Any], object],
        *,
        as_: type[Any] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send *body* to node *dest*; the node calls *callback* with the outcome, exactly once.

        The outcome is what `rpc` would return or raise: the reply, a `RpcError`, a `RpcTimeout`, or a
        `trio.ClosedResourceError` if the node closed first. Callbacks run one after another in a task of the node and
        must not block. If a callback raises, the node logs and counts it.

        Args:
          dest, body, as_, timeout: As for `rpc`.
          callback: A plain function of one argument.

        Raises:
          trio.WouldBlock: if the outbox is full; nothing was sent.
          TypeError: if *callback* is async.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.

        Example:
          >>> async def main():
          ...     node = Node()
          ...     async with running(node) as network:
          ...         node.rpc_callback("n2", {"type": "ping"}, print)  # returns at once
          ...         await network.reply(await network.receive(), {"type": "pong"})
          >>> trio.run(main)
          {'type': 'pong', 'in_reply_to': 1}
        """
        self._service.calls.call_back(dest, body, callback, timeout, as_)

    @overload
    async def rpc_retry(
        self,
        dest: str,
        body: object,
        *,
        attempts: float = ATTEMPTS,
        backoff: Backoff | None = None,
        timeout: float | None = None,
    ) -> Retried[Body]: ...
    @overload
    async def rpc_retry(
        self,
        dest: str,
        body: object,
        *,
        as_: type[_T],
        attempts: float = ATTEMPTS,
        backoff: Backoff | None = None,
        timeout: float | None = None,
    ) -> Retried[_T]: ...

    async def rpc_retry(
        self,
        dest: str,
        body: object,
        *,
        as_: type[Any] | None = None,
        attempts: float = ATTEMPTS,
        backoff: Backoff | None = None,
        timeout: float | None = None,
    ) -> Retried[Any]:
        """Send *body* to node *dest* until a reply comes: again after a timeout or error 11, never after another error.

        Each attempt has a new ``msg_id``, so *dest* cannot tell a second attempt from a second request. The request
        must therefore be idempotent, or its body must carry an id that *dest* recognises. While the call lasts, even
        between attempts, it also accepts a late reply to an earlier attempt (to one of the latest 64).

        Args:
          dest, body, as_: As for `rpc`.
          attempts: The largest number of attempts, 1 or more; ``math.inf`` for no limit. To limit the time of the
            whole call, put a cancel scope around it.
          backoff: How long to wait between attempts. The default is `Backoff()`, with jitter from `random`.
          timeout: Seconds for each attempt, as for `rpc`.

        Returns:
          The reply, the number of attempts it took, and the time spent between them.

        Raises:
          RetriesExhausted: if no attempt succeeded; it carries their number and the last error.
          RpcError: if the peer answered with an error other than a timeout or error 11.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.

        Always a checkpoint. If cancelled, treat every attempt so far as indefinite; no record stays behind.

        Example:
          >>> async def n2(network):
          ...     await network.receive()  # no reply to the first attempt
          ...     await network.reply(await network.receive(), {"type": "pong"})
          >>> async def main():
          ...     node = Node()
          ...     async with running(node) as network, trio.open_nursery() as nursery:
          ...         nursery.start_soon(n2, network)
          ...         retried = await node.rpc_retry("n2", {"type": "ping"}, timeout=0.5)
          ...         print(retried.reply, retried.attempts)
          >>> trio.run(main, clock=MockClock(autojump_threshold=0))  # in virtual time
          {'type': 'pong', 'in_reply_to': 2} 2
        """
        delays = iter((backoff or Backoff()).with_random(self.random))
        return await Retry(self._service.calls, attempts, as_).run(dest, body, timeout, delays)

    @overload
    async def rpc_all(
        self, dests: Iterable[str], body: object | BodyFor, *, timeout: float | None = None
    ) -> Gathered[Body]: ...
    @overload
    async def rpc_all(
        self, dests: Iterable[str], body: object | BodyFor, *, as_: type[_T], timeout: float | None = None
    ) -> Gathered[_T]: ...

    async def rpc_all(
        self,
        dests: Iterable[str],
        body: object | BodyFor,
        *,
        as_: type[Any] | None = None,
        timeout: float | None = None,
    ) -> Gathered[Any]:
        """Send *body* to every node of *dests* at once, and wait until each has answered or failed.

        Args:
          dests: Ids of nodes, each once; `peers`, for example.
          body: A body as for `rpc`, the same for all; or a function that takes the id of a node and returns its body.
          as_: The class of the replies, as for `rpc`. A reply that does not fit is an error of its node.
          timeout: Seconds for each, as for `rpc`.

        Returns:
          Replies and errors (`RpcTimeout` included) by node. The call does not raise the errors of single nodes.

        Raises:
          ValueError: if *dests* contains a node twice.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.

        Always a checkpoint. If cancelled, either all requests were sent or none, and no record stays behind.

        Example:
          >>> async def n2(network):  # the third node does not reply
          ...     await network.reply(await network.receive(), {"type": "pong"})
          >>> async def main():
          ...     node = Node()
          ...     async with running(node) as network, trio.open_nursery() as nursery:
          ...         nursery.start_soon(n2, network)
          ...         gathered = await node.rpc_all(["n2", "n3"], {"type": "ping"}, timeout=1)
          ...         print(list(gathered.replies), str(gathered.errors["n3"]))
          >>> trio.run(main, clock=MockClock(autojump_threshold=0))  # in virtual time
          ['n2'] no reply from 'n3' to msg_id 2 within 1 s
        """
        return await gather(self._service.calls, dests, Question(body, timeout, as_))

    @overload
    async def rpc_quorum(
        self,
        dests: Iterable[str],
        body: object | BodyFor,
        *,
        need: int,
        accept: Callable[[Body], object] | None = None,
        timeout: float | None = None,
    ) -> Gathered[Body]: ...
    @overload
    async def rpc_quorum(
        self,
        dests: Iterable[str],
        body: object | BodyFor,
        *,
        need: int,
        as_: type[_T],
        accept: Callable[[_T], object] | None = None,
        timeout: float | None = None,
    ) -> Gathered[_T]: ...

    async def rpc_quorum(
        self,
        dests: Iterable[str],
        body: object | BodyFor,
        *,
        need: int,
        as_: type[Any] | None = None,
        accept: Callable[[Any], object] | None = None,
        timeout: float | None = None,
    ) -> Gathered[Any]:
        """Send *body* to every node of *dests* at once, and return as soon as *need* of them have replied.

        The node then drops the records of the others at once, and counts their replies as late.

        Args:
          dests, body, as_, timeout: As for `rpc_all`.
          need: How many replies are needed. An error does not count as a reply.
          accept: A plain function that tells whether a reply counts, such as ``lambda vote: vote.granted``. What it
            raises ends the call. The default accepts every reply.

        Returns:
          *need* replies, and the errors and refused replies that came before the last of them, by node.

        Raises:
          QuorumNotReached: as soon as too many have failed or refused; it carries what came so far. Indefinite.
          ValueError: if *dests* contains a node twice, or *need* is larger than their number.
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: as for `rpc`.

        Always a checkpoint. If cancelled, either all requests were sent or none, and no record stays behind.

        Example:
          >>> async def n2(network):
          ...     await network.reply(await network.receive(), {"type": "pong"})
          >>> async def main():
          ...     node = Node()
          ...     async with running(node) as network, trio.open_nursery() as nursery:
          ...         nursery.start_soon(n2, network)
          ...         gathered = await node.rpc_quorum(["n2", "n3"], {"type": "ping"}, need=1)
          ...         print(list(gathered.replies))
          >>> trio.run(main)
          ['n2']
        """
        return await gather_quorum(self._service.calls, dests, Question(body, timeout, as_, accept), need)

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

        Example:
          >>> async def main():
          ...     node = Node()
          ...     async with running(node) as network:
          ...         await node.send("n2", {"type": "hello"})
          ...         print(await network.receive())
          >>> trio.run(main)
          Message(src='n1', dest='n2', body={'type': 'hello', 'msg_id': 1})
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
          body: A dict or a record, or a `RpcError` to answer with.

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
