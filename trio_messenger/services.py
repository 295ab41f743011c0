"""Clients for the services that Maelstrom offers to nodes: ``lin-kv``, ``seq-kv``, ``lww-kv`` and ``lin-tso``.

A client needs an object with an ``rpc`` method, such as a `Node`; a test can use a short stand-in. Maelstrom defines
the services' messages and guarantees (its ``doc/services.md``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final, Protocol, TypeVar, final, overload

import trio

from ._protocol.errors import ErrorCode, RemoteProtocolError, RetriesExhausted, RpcError
from ._protocol.excerpts import excerpt
from ._protocol.messages import Body
from ._protocol.records import as_reply, body_of
from ._rpc.backoff import Backoff
from ._rpc.retry import check_attempts

LIN_KV: Final = "lin-kv"
"""Linearizable: every read sees the latest write."""
SEQ_KV: Final = "seq-kv"
"""Sequentially consistent: a client's view never goes back, but its reads may be stale until it writes."""
LWW_KV: Final = "lww-kv"
"""Eventually consistent, last write wins: acknowledged writes can vanish, and a compare-and-set can succeed twice."""
LIN_TSO: Final = "lin-tso"
"""A linearizable source of timestamps."""

UPDATE_ATTEMPTS: Final = 20
"""Compare-and-sets that `KeyValue.update` tries by default. If 20 writers contend, the last of them also succeeds."""

_T = TypeVar("_T")


class Caller(Protocol):
    """An object that can make an RPC: a `Node`, or a stand-in in a test.

    Example:
      A stand-in for a node and a key-value service, for a test:

      >>> class Stub:
      ...     async def rpc(self, dest, body, *, timeout=None):
      ...         return {"type": "read_ok", "value": f"{body['key']} in {dest}"}
      >>> trio.run(KeyValue(Stub(), LWW_KV).read, "x")
      'x in lww-kv'
      >>> async def main():
      ...     try:
      ...         await KeyValue(Stub()).read("x", as_=int)
      ...     except RemoteProtocolError as error:
      ...         print(error)
      >>> trio.run(main)
      the value of 'x' in 'lin-kv' does not fit: Expected `int`, got `str`
    """

    async def rpc(self, dest: str, body: object, *, timeout: float | None = None) -> Body:
        """Send *body* to *dest*, wait for the reply and return it; a checkpoint. Raises the errors of `Node.rpc`."""
        ...


class _Missing:
    """Means 'no default given'; None would be a value."""


_MISSING: Final = _Missing()


@final
class KeyValue:
    """A client for a key-value service.

    Every method makes RPCs as `Node.rpc` does. Each method is a checkpoint, and may raise `RpcTimeout` (indefinite: the
    service may have done the write) and `trio.ClosedResourceError`. If cancelled, the service may or may not have
    acted.

    Args:
      caller: Makes the RPCs; a `Node`.
      service: The id of the service: `LIN_KV`, `SEQ_KV` or `LWW_KV`.
      timeout: Seconds for each RPC; by default the caller's own.
      backoff: How long `update` waits between attempts. The default delays are a twentieth of those of `Backoff()`,
        each with up to 100 % of jitter. If the backoff has no generator, jitter comes from the caller's ``random``,
        if the caller has one.

    Example:
      >>> def build():
      ...     node = Node()
      ...     kv = KeyValue(node, LIN_KV)
      ...
      ...     @node.on_init
      ...     async def use():
      ...         await kv.write("x", 1)
      ...         await kv.cas("x", 1, 2)
      ...         print(await kv.update("x", lambda value: value + 1))
      ...         print(await kv.read("y", default="no such key"))
      ...         print(await kv.read("x", as_=int))
      ...
      ...     return node
      >>> report = simulate("echo", build, nodes=["n1"], time_limit=0)
      >>> report.logs["n1"]  # what the node printed
      ['3', 'no such key', '3']
    """

    def __init__(
        self, caller: Caller, service: str = LIN_KV, *, timeout: float | None = None, backoff: Backoff | None = None
    ) -> None:
        self.service = service
        """The id of the service."""
        random = getattr(caller, "random", None)
        self._random: Random = random if isinstance(random, Random) else Random()
        self._caller = caller
        self._timeout = timeout
        self._backoff = (backoff or Backoff(base=0.005, cap=0.1, jitter=1.0)).with_random(self._random)
        self._probes = itertools.count()

    @overload
    async def read(self, key: Any, *, fresh: bool = False) -> Any: ...
    @overload
    async def read(self, key: Any, *, as_: type[_T], fresh: bool = False) -> _T: ...
    @overload
    async def read(self, key: Any, *, default: Any, fresh: bool = False) -> Any: ...
    @overload
    async def read(self, key: Any, *, default: _T, as_: type[_T], fresh: bool = False) -> _T: ...

    async def read(
        self, key: Any, *, default: Any = _MISSING, as_: type[Any] | None = None, fresh: bool = False
    ) -> Any:
        """Return the value of *key*.

        Args:
          key: Any JSON value; ``1`` and ``"1"`` are different keys.
          default: The value to return if there is no such key. Without a default, a missing key is an error.
          as_: The expected type, such as ``int``, ``list[int]`` or an attrs class. The value is validated against it
            and converted to it.
          fresh: Read the latest state from a service that is only sequentially consistent. The client first writes to
            a separate key (``_fresh``), which brings the reader up to date. This costs a second RPC.

        Raises:
          RpcError: with `ErrorCode.KEY_DOES_NOT_EXIST`, if there is no such key and no default.
          RemoteProtocolError: if the value does not fit *as_*; the text names the path and the expected type.
        """
        if fresh:
            # Only a write that changes the value brings the reader up to date. A random number with a count never
            # repeats. Nodes that run the same program may have the same seed, so their ids are part of the value.
            writer = getattr(self._caller, "id", "")
            await self.write("_fresh", f"{writer}{self._random.getrandbits(64):x}-{next(self._probes)}")
        try:
            reply = await self._rpc({"type": "read", "key": key})
        except RpcError as exc:
            if exc.code != ErrorCode.KEY_DOES_NOT_EXIST or default is _MISSING:
                raise
            return default
        value = _field(reply, "value", self.service)
        return value if as_ is None else as_reply(value, as_, f"the value of {key!r} in {self.service!r}")

    async def write(self, key: Any, value: object) -> None:
        """Set *key* to *value*, a JSON value or a record.

        After a timeout or a cancellation, the service may have set the key, or may still set it later.
        """
        await self._rpc({"type": "write", "key": key, "value": _plain(value)})

    async def cas(self, key: Any, expected: object, value: object, *, create: bool = False) -> None:
        """Compare and set: set *key* to *value* if its current value is *expected*.

        Args:
          key: Any JSON value.
          expected: The value that the key must have, compared as JSON.
          value: The new value.
          create: If there is no such key, set it anyway, whatever *expected* is. `LWW_KV` does not support this.

        Raises:
          RpcError: with `ErrorCode.PRECONDITION_FAILED` if the key has another value, and with
            `ErrorCode.KEY_DOES_NOT_EXIST` if there is no such key.

        After a timeout or a cancellation, the service may have set the key, or may still set it later.
        """
        body = {"type": "cas", "key": key, "from": _plain(expected), "to": _plain(value)}
        if create:
            body["create_if_not_exists"] = True
        await self._rpc(body)

    async def update(
        self,
        key: Any,
        function: Callable[[Any], object],
        *,
        default: object = None,
        attempts: float = UPDATE_ATTEMPTS,
        total_timeout: float = math.inf,
    ) -> Any:
        """Set *key* to ``function(value)`` by compare-and-set; try again if another writer changed the value meanwhile.

        Args:
          key: Any JSON value.
          function: A plain function without side effects; it may be called several times.
          default: The argument of *function* if there is no such key yet.
          attempts: The largest number of attempts, 1 or more; ``math.inf`` for no limit.
          total_timeout: Seconds for the whole call. When they are over, no attempt begins, and an RPC under way ends
            with a timeout.

        A missing key is created. `LWW_KV` cannot do that: write the key first.

        Returns:
          The new value.

        Raises:
          RetriesExhausted: if other writers changed the value each time, as often as *attempts* or as long as
            *total_timeout* permit. Definite: nothing was set.
          RpcError: with `ErrorCode.TIMEOUT` (`RpcTimeout` unless the total timeout ended it), if the value may or may
            not have been set. There is no other attempt, since it could apply *function* twice.
          ValueError: if *attempts* is less than 1, or *total_timeout* is negative or not a number.

        If cancelled, the last compare-and-set may or may not have happened; those before it had failed.
        """
        check_attempts(attempts)
        if not total_timeout >= 0:
            raise ValueError(f"total_timeout is {total_timeout} s; give 0 or more, or math.inf for no limit")
        update = _Update(self, key, function, default, iter(self._backoff))
        with trio.move_on_after(total_timeout):
            while update.attempts < attempts:
                if await update.attempt():
                    return update.value
        if update.conflict is not None and not update.is_open:
            raise RetriesExhausted(update.attempts, update.conflict, definite=True) from update.conflict
        text = f"the update of {excerpt(key)} in {self.service!r} took longer than {total_timeout:g} s"
        raise RpcError(ErrorCode.TIMEOUT, text)

    async def _rpc(self, body: Body) -> Body:
        return await self._caller.rpc(self.service, body, timeout=self._timeout)


@final
class _Update:
    """One call of `KeyValue.update`, and how far it has come."""

    def __init__(
        self, client: KeyValue, key: Any, function: Callable[[Any], object], default: object, delays: Iterator[float]
    ) -> None:
        self.attempts = 0
        self.value: Any = None
        """The value that the last attempt wanted to set."""
        self.conflict: RpcError | None = None
        """Why the last attempt set nothing."""
        self.is_open = False
        """Whether a compare-and-set has been sent, and its outcome is not known."""
        self._client, self._key, self._function, self._default, self._delays = client, key, function, default, delays

    async def attempt(self) -> bool:
        """Try once, after a delay if this is not the first attempt. Return True if the value was set."""
        if self.attempts:
            await trio.sleep(next(self._delays))
        self.attempts += 1
        current = await self._client.read(self._key, default=self._default)
        self.value = _plain(self._function(current))
        self.is_open = True
        try:
            await self._client.cas(self._key, current, self.value, create=True)
        except RpcError as exc:
            if exc.code not in (ErrorCode.PRECONDITION_FAILED, ErrorCode.KEY_DOES_NOT_EXIST):
                raise
            self.conflict = exc.with_traceback(None)  # otherwise this frame and the error would be in a cycle
            self.is_open = False
            return False
        return True


@final
class TimestampOracle:
    """A client for a timestamp service.

    Args:
      caller: Makes the RPCs; a `Node`.
      service: The id of the service.
      timeout: Seconds for each RPC; by default the caller's own.

    Example:
      >>> def build():
      ...     node = Node()
      ...     oracle = TimestampOracle(node)
      ...
      ...     @node.on_init
      ...     async def use():
      ...         first, second = await oracle.ts(), await oracle.ts()
      ...         print(first < second)
      ...
      ...     return node
      >>> simulate("echo", build, nodes=["n1"], time_limit=0).logs["n1"]
      ['True']
    """

    def __init__(self, caller: Caller, service: str = LIN_TSO, *, timeout: float | None = None) -> None:
        self.service = service
        """The id of the service."""
        self._caller = caller
        self._timeout = timeout

    async def ts(self) -> int:
        """Return a timestamp: an integer larger than every one that the service gave before this call began.

        Makes one RPC, as `Node.rpc` does. If cancelled, a timestamp may be skipped.
        """
        reply = await self._caller.rpc(self.service, {"type": "ts"}, timeout=self._timeout)
        return as_reply(_field(reply, "ts", self.service), int, f"the timestamp from {self.service!r}")


def _field(reply: Body, name: str, service: str) -> Any:
    if name not in reply:
        raise RemoteProtocolError(f"the reply of {service!r} has no {name!r}: {reply!r:.80}")
    return reply[name]


def _plain(value: Any) -> Any:
    """Return a record as a dict of its fields, and anything else unchanged."""
    body = body_of(value)
    return value if body is None else dict(body)
