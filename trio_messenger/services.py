"""Clients for the services that Maelstrom runs beside the nodes: ``lin-kv``, ``seq-kv``, ``lww-kv`` and ``lin-tso``.

They need nothing but something that has an ``rpc`` method, such as a `Node`; a test can give them a few lines of its
own. The services' messages and guarantees are Maelstrom's (its ``doc/services.md``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random
from typing import Any, Final, Protocol, TypeVar, final, overload

import attrs
import msgspec
import trio

from ._protocol.errors import ErrorCode, RemoteProtocolError, RetriesExhausted, RpcError
from ._protocol.messages import Body
from ._rpc.backoff import Backoff

LIN_KV: Final = "lin-kv"
"""Linearizable: every read sees the latest write."""
SEQ_KV: Final = "seq-kv"
"""Sequentially consistent: a client's view never goes back, but reads may be stale as long as it does not write."""
LWW_KV: Final = "lww-kv"
"""Last write wins, eventually: acknowledged writes can vanish, and a compare-and-set can succeed twice."""
LIN_TSO: Final = "lin-tso"
"""A linearizable source of timestamps."""

UPDATE_ATTEMPTS: Final = 20
"""Compare-and-sets that `KeyValue.update` tries by default: of as many writers that contend, the last gets its turn."""

_T = TypeVar("_T")


class Caller(Protocol):
    """Whatever can make an RPC: a `Node`, or a stand-in in a test."""

    async def rpc(self, dest: str, body: object, *, timeout: float | None = None) -> Body:
        """Send *body* to *dest*, wait for the reply and return it; a checkpoint, with the errors of `Node.rpc`."""
        ...


class _Missing:
    """Stands for 'no default given', where None is a value."""


_MISSING: Final = _Missing()


@final
class KeyValue:
    """A client for a key-value service.

    Every method makes RPCs as `Node.rpc` does: each is a checkpoint, may raise `RpcTimeout` (indefinite: a write may
    have been done) and `trio.ClosedResourceError`, and when cancelled leaves open whether the service acted.

    Args:
      caller: Makes the RPCs; a `Node`.
      service: The id of the service: `LIN_KV`, `SEQ_KV` or `LWW_KV`.
      timeout: Seconds for each RPC; by default the caller's own.
      backoff: How long `update` waits between attempts; by default a twentieth of `Backoff()`'s delays. Without a
        generator of its own, its jitter comes from the caller's ``random``, where it has one.
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
          default: What to return if there is no such key. Without it, that is an error.
          as_: What the value is to be, such as ``int``, ``list[int]`` or an attrs class; it is validated and converted.
          fresh: See the latest state, on a service that is only sequentially consistent: something is written first,
            to a key of its own (``_fresh``), which brings the reader up to date. Costs a second RPC.

        Raises:
          RpcError: with `ErrorCode.KEY_DOES_NOT_EXIST`, if there is no such key and no default.
          RemoteProtocolError: if the value is not what *as_* says; the text names the path and what was expected.
        """
        if fresh:
            # Only a write that changes something moves the reader; a random number and a count never repeat.
            writer = getattr(self._caller, "id", "")  # nodes that run one program may well have one seed
            await self.write("_fresh", f"{writer}{self._random.getrandbits(64):x}-{next(self._probes)}")
        try:
            reply = await self._rpc({"type": "read", "key": key})
        except RpcError as exc:
            if exc.code != ErrorCode.KEY_DOES_NOT_EXIST or default is _MISSING:
                raise
            return default
        value = _field(reply, "value", self.service)
        return value if as_ is None else _convert(value, as_, f"the value of {key!r} in {self.service!r}")

    async def write(self, key: Any, value: object) -> None:
        """Set *key* to *value*, a JSON value or an attrs record.

        After a timeout or a cancellation it may have been set, and may be set later.
        """
        await self._rpc({"type": "write", "key": key, "value": _plain(value)})

    async def cas(self, key: Any, expected: object, value: object, *, create: bool = False) -> None:
        """Compare and set: set *key* to *value* if it is *expected* now.

        Args:
          key: Any JSON value.
          expected: What it must be, compared as JSON.
          value: What it becomes.
          create: Also set it if there is no such key, whatever *expected* is. `LWW_KV` does not know this.

        Raises:
          RpcError: with `ErrorCode.PRECONDITION_FAILED` if it is something else, and with
            `ErrorCode.KEY_DOES_NOT_EXIST` if it is not there.

        After a timeout or a cancellation it may have been set, and may be set later.
        """
        body = {"type": "cas", "key": key, "from": _plain(expected), "to": _plain(value)}
        if create:
            body["create_if_not_exists"] = True
        await self._rpc(body)

    async def update(
        self, key: Any, function: Callable[[Any], object], *, default: object = None, attempts: int = UPDATE_ATTEMPTS
    ) -> Any:
        """Set *key* to ``function(value)`` by compare-and-set, again until nobody came in between.

        Args:
          key: Any JSON value.
          function: Plain, and without side effects, for it may be called several times.
          default: What *function* is given if there is no such key yet.
          attempts: How often to try at the most, 1 or more.

        A key that is not there is created, which `LWW_KV` cannot do: write it first.

        Returns:
          The value that was set.

        Raises:
          RetriesExhausted: if others came in between each time. Definite: nothing was set.
          RpcTimeout: if it is open whether the value was set. Not tried again: it could be done twice.
          ValueError: if *attempts* is less than 1.

        If cancelled, it is open whether the last compare-and-set was done; those before it had failed.
        """
        if attempts < 1:
            raise ValueError(f"attempts is {attempts}; give 1 or more")
        delays = iter(self._backoff)
        conflict: RpcError | None = None
        for attempt in range(attempts):
            if attempt:
                await trio.sleep(next(delays))
            current = await self.read(key, default=default)
            value = _plain(function(current))
            try:
                await self.cas(key, current, value, create=True)
            except RpcError as exc:
                if exc.code not in (ErrorCode.PRECONDITION_FAILED, ErrorCode.KEY_DOES_NOT_EXIST):
                    raise
                conflict = exc.with_traceback(None)  # this frame would be in it, and it in this frame
            else:
                return value
        assert conflict is not None  # every attempt met one, or it would have returned
        raise RetriesExhausted(attempts, conflict, definite=True) from conflict

    async def _rpc(self, body: Body) -> Body:
        return await self._caller.rpc(self.service, body, timeout=self._timeout)


@final
class TimestampOracle:
    """A client for a timestamp service.

    Args:
      caller: Makes the RPCs; a `Node`.
      service: The id of the service.
      timeout: Seconds for each RPC; by default the caller's own.
    """

    def __init__(self, caller: Caller, service: str = LIN_TSO, *, timeout: float | None = None) -> None:
        self.service = service
        """The id of the service."""
        self._caller = caller
        self._timeout = timeout

    async def ts(self) -> int:
        """Return a timestamp: an integer larger than any that the service gave before this call began.

        Makes one RPC, as `Node.rpc` does. If cancelled, a timestamp may be skipped.
        """
        reply = await self._caller.rpc(self.service, {"type": "ts"}, timeout=self._timeout)
        return _convert(_field(reply, "ts", self.service), int, f"the timestamp from {self.service!r}")


def _field(reply: Body, name: str, service: str) -> Any:
    if name not in reply:
        raise RemoteProtocolError(f"the reply of {service!r} has no {name!r}: {reply!r:.80}")
    return reply[name]


def _convert(value: Any, as_: type[_T], what: str) -> _T:
    try:
        return msgspec.convert(value, as_)
    except msgspec.ValidationError as exc:
        raise RemoteProtocolError(f"{what} does not fit: {exc}") from None


def _plain(value: Any) -> Any:
    """Return an attrs record as a dict of its fields, anything else as it is."""
    return attrs.asdict(value, recurse=False) if attrs.has(type(value)) else value
