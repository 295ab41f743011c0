"""Make RPCs: await them in a task, or give them a callback.

An awaited RPC has its own memory channel. All callback RPCs share one channel. A task drains it, so all callbacks run
in this task, one after another.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator
from typing import Any, Final, NoReturn, TypeAlias, final

import trio

from .._protocol.errors import RemoteProtocolError, RpcError
from .._protocol.messages import Body
from .._protocol.records import as_reply
from .._protocol.stats import Stats, worth_a_line
from .._sending.outbox import Outbox
from .._sending.sender import Sender
from .._user_code.callables import is_async_callable
from .._user_code.enclosure import Enclosure
from .._user_code.failures import let_go, split_failure
from .record import Callback, PendingRpc
from .table import PendingTable

_log = logging.getLogger("trio_messenger")

_Channels: TypeAlias = tuple[trio.MemorySendChannel[PendingRpc], trio.MemoryReceiveChannel[PendingRpc]]

_CALLBACKS_IN_A_ROW: Final = 1024
"""Callbacks that run between two checkpoints; one costs about as much as expiring a record."""

_SPARE_CHANNELS: Final = 256
"""Channels kept for future awaited RPCs, 2 kB each: most nodes await no more than this at once."""


@final
class Calls:
    """The RPCs of one node.

    Args:
      sender: Sends the requests.
      outbox: Before sending, calls wait here for room.
      table: Holds the records.
      ended: Receives the records of callback RPCs that have ended.
      stats: Counts callbacks that raise.
      rpc_timeout: The default timeout, in seconds.
      definite_codes: The application's own error codes that are definite.
      strict: Let exceptions of callbacks leave `run_callbacks`, instead of logging them.
    """

    def __init__(
        self,
        sender: Sender,
        outbox: Outbox,
        table: PendingTable,
        ended: trio.MemoryReceiveChannel[PendingRpc],
        stats: Stats,
        rpc_timeout: float,
        definite_codes: Collection[int],
        strict: bool,
    ) -> None:
        self._sender = sender
        self._outbox = outbox
        self._table = table
        self._stats = stats
        self._rpc_timeout = rpc_timeout
        self._definite_codes = definite_codes
        self._strict = strict
        # Empty, open channels of awaited RPCs that have ended. Making one costs four times as much as using it.
        self._spare: list[_Channels] = []
        self._ended_receive = ended

    async def call(self, dest: str, body: object, timeout: float | None, as_: type[Any] | None = None) -> Any:
        """Send *body* to *dest*, wait for the reply and return it, converted to *as_*; raise any other outcome."""
        self._sender.require_home()
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._outbox.is_full:
            await self._outbox.wait_for_room_to_ask()
        channels = self._spare.pop() if self._spare else trio.open_memory_channel[PendingRpc](1)
        send_channel, receive_channel = channels
        rpc = None
        try:
            rpc = self.open(dest, body, timeout, send_channel)
            await receive_channel.receive()  # the table has removed the record that comes out of it
        except BaseException:
            if rpc is not None:
                self._table.forget(rpc)
            # The task may be cancelled when the outcome is in the channel already: no other RPC may receive it.
            send_channel.close()
            receive_channel.close()
            raise
        if len(self._spare) < _SPARE_CHANNELS:
            self._spare.append(channels)
        outcome = self.outcome(rpc, as_)
        if isinstance(outcome, Exception):
            try:
                raise outcome
            finally:
                del outcome  # otherwise the error, this frame, and the handler's frame and request would be in a cycle
        return outcome

    def call_back(
        self, dest: str, body: object, callback: Callback, timeout: float | None, as_: type[Any] | None = None
    ) -> None:
        """Send *body* to *dest*; `run_callbacks` calls *callback* once with the outcome, converted to *as_*."""
        if not callable(callback):
            raise TypeError(f"a callback is a function of one argument, not {callback!r:.80}")
        if is_async_callable(callback):
            raise TypeError(f"a callback is a plain function, and {callback!r} is async; await rpc() in a task instead")
        if not self._table.is_closed:  # a closed table refuses the RPC, whether or not the outbox is full
            self._sender.require_room()
        msg_id = self._sender.next_msg_id
        seconds = self._rpc_timeout if timeout is None else timeout
        if as_ is not None:
            callback = _TypedCallback(self, dest, as_, callback)
        self._table.open_callback(msg_id, dest, seconds, callback)
        try:
            self._sender.send(dest, body)
        except BaseException:
            self._table.forget_callback(msg_id)
            raise

    def open(
        self,
        dest: str,
        body: object,
        timeout: float | None,
        channel: trio.MemorySendChannel[PendingRpc],
    ) -> PendingRpc:
        """Register an RPC and send its request, even if the outbox is full.

        Args:
          dest: The node to ask.
          body: A dict or a record with a ``type``.
          timeout: Seconds from now to its deadline; None for the node's default.
          channel: Receives the record when the RPC has ended; it must have room for it.

        Raises:
          LocalProtocolError, trio.ClosedResourceError, RuntimeError, ValueError: and nothing was sent or registered.
        """
        # Register before sending: when the reply arrives, the record must be in the table.
        seconds = self._rpc_timeout if timeout is None else timeout
        rpc = self._table.open(self._sender.next_msg_id, dest, seconds, channel)
        try:
            self._sender.send(dest, body)
        except BaseException:
            self._table.forget(rpc)
            raise
        return rpc

    def outcome(self, rpc: PendingRpc, as_: type[Any] | None = None) -> Any:
        """Return the outcome of *rpc*: the reply, converted to *as_*, or an exception."""
        outcome = rpc.outcome
        assert outcome is not None  # the table sets it before the record goes into its channel
        if isinstance(outcome, dict) and outcome["type"] == "error":
            return RpcError.from_body(outcome, self._definite_codes)
        return outcome if as_ is None else self.typed(outcome, as_, rpc.dest)

    def typed(self, outcome: Body | Exception, as_: type[Any], dest: str) -> Any:
        """Return *outcome*, converted to *as_* if it is a reply; if it does not fit, a `RemoteProtocolError`."""
        if not isinstance(outcome, dict):
            return outcome
        try:
            return as_reply(outcome, as_, f"the reply of {dest!r:.80}")
        except RemoteProtocolError as exc:
            self._stats.misfit_replies += 1
            if worth_a_line(self._stats.misfit_replies):
                _log.warning("%s (%d so far)", exc, self._stats.misfit_replies)
            return exc.with_traceback(None)  # otherwise its frames would keep this one in a cycle

    async def wait_for_room(self) -> None:
        """Wait until the outbox has room, or no more RPCs can begin. Always a checkpoint."""
        self._sender.require_home()
        await self._outbox.wait_for_room_to_ask()

    def linger(self, rpc: PendingRpc, channel: trio.MemorySendChannel[PendingRpc]) -> None:
        """When *rpc* has expired, send it into *channel* again with a late reply, until `forget`."""
        self._table.linger(rpc, channel)

    def forget(self, rpc: PendingRpc) -> None:
        """Drop *rpc* if it is pending or lingers."""
        self._table.forget(rpc)

    async def run_callbacks(self) -> NoReturn:
        """Call the callbacks of RPCs that have ended, until cancelled. In strict mode, raises their exceptions."""
        with Enclosure(self._stats, lambda: "a callback") as enclosure:
            while True:
                self._call_back(await self._ended_receive.receive())
                for rpc in self._ended_by_now(_CALLBACKS_IN_A_ROW):
                    self._call_back(rpc)
                enclosure.mend()

    async def run_last_callbacks(self) -> None:
        """Call the callbacks of all RPCs that have ended by now, even if some of them raise. No checkpoint.

        Raises:
          BaseExceptionGroup: with all exceptions of callbacks in strict mode; otherwise only with those that are not
            an `Exception`.
        """
        failures: list[BaseException] = []
        with Enclosure(self._stats, lambda: "a callback"):
            for rpc in self._ended_by_now(math.inf):
                try:
                    self._call_back(rpc)
                except BaseException as exc:  # noqa: BLE001 - kept until all have been called
                    failures.append(exc)
        if failures:
            try:
                raise BaseExceptionGroup("callbacks failed", failures)
            finally:
                failures.clear()

    def close(self) -> None:
        """Close the channels."""
        self._ended_receive.close()
        for send_channel, receive_channel in self._spare:
            send_channel.close()
            receive_channel.close()
        self._spare.clear()

    def _ended_by_now(self, limit: float) -> Iterator[PendingRpc]:
        done = 0
        while done < limit:
            try:
                rpc = self._ended_receive.receive_nowait()
            except trio.WouldBlock:
                return
            yield rpc
            done += 1

    def _call_back(self, rpc: PendingRpc) -> None:
        assert rpc.callback is not None  # only callback RPCs go into the shared channel
        try:
            rpc.callback(self.outcome(rpc))
        except BaseException as exc:  # noqa: BLE001 - what is not a failure is raised again
            failure, rest = split_failure(exc, is_plain=True)
            try:
                if failure is not None:
                    self._fail(rpc, failure)
                if rest is not None:
                    raise rest
            finally:
                del failure, rest  # otherwise the exception and this frame would be in a cycle

    def _fail(self, rpc: PendingRpc, failure: Exception) -> None:
        self._stats.handler_failures += 1
        if self._strict:
            raise failure
        if worth_a_line(self._stats.handler_failures):
            _log.error("the callback of RPC %d to %r failed", rpc.msg_id, rpc.dest, exc_info=failure)
        let_go(failure)


@final
class _TypedCallback:
    """A callback that takes a reply as another type."""

    __slots__ = ("_as", "_callback", "_calls", "_dest")

    def __init__(self, calls: Calls, dest: str, as_: type[Any], callback: Callback) -> None:
        self._calls, self._dest, self._as, self._callback = calls, dest, as_, callback

    def __call__(self, outcome: Body | Exception) -> object:
        return self._callback(self._calls.typed(outcome, self._as, self._dest))
