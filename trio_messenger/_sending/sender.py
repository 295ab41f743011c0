"""The sender gives each message its number, encodes it, and puts it into the outbox.

It encodes at the call, and not in the writer. So if JSON cannot carry a body, the error has the traceback of the code
that sends it, and only messages that leave use a number.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Final, final

import trio

from .._protocol.errors import LocalProtocolError
from .._protocol.lines import encode
from .._protocol.messages import Request, check_dest, is_id, reply_parts, request_parts
from .._protocol.stats import Stats
from ..transports import Admits, FirstMsgId
from .envelopes import EnvelopeLog
from .outbox import Outbox

MSG_ID_LIMIT: Final = 1 << 53
"""From here up, numbers are not exact in JavaScript and other programs that read JSON numbers as doubles."""

_TICKS_PER_SECOND: Final = 1_000_000
"""Numbers per second on the clock: more than any node sends in a second, and below the limit until 2255."""


def check_first_msg_id(value: object) -> None:
    """Raise ValueError unless *value* can be the first number of a node."""
    if value != "clock" and not (is_id(value) and 0 <= value < MSG_ID_LIMIT):
        raise ValueError(
            f"first_msg_id is {value!r:.80}; give a whole number from 0 to {MSG_ID_LIMIT - 1} (2**53 - 1, the largest "
            "that is exact in JavaScript), or 'clock'"
        )


def first_number(value: FirstMsgId, wall_time: Callable[[], float]) -> int:
    """Return the first number that *value* means.

    Args:
      value: A number, or ``"clock"`` for the microseconds since 1970.
      wall_time: Returns the time of day, in seconds since 1970.

    Raises:
      ValueError: if the result cannot be the first number; the text says why.
    """
    check_first_msg_id(value)
    if value != "clock":
        return value
    now = wall_time()
    number = int(now * _TICKS_PER_SECOND)
    if not 0 <= number < MSG_ID_LIMIT:
        raise ValueError(f"first_msg_id is 'clock', and the clock shows {now:.0f} s since 1970; set it to 1970 to 2255")
    return number


@final
class Sender:
    """Sends all messages of a node, in one sequence of numbers."""

    def __init__(self, outbox: Outbox, stats: Stats, log: EnvelopeLog) -> None:
        self.src = ""
        """The node's id; empty before ``init``."""
        self.next_msg_id = 0
        """The number of the next message."""
        self.home: int | None = None
        """The identifier of the thread in which the node serves; None before it serves."""
        self.admits: Admits | None = None
        """Called with each message: False if the network loses it. None if it loses none. Set when the node serves."""
        self.size_limit: float = math.inf
        """Bytes of the longest line that the transport carries. Set when the node serves."""
        self._outbox = outbox
        self._log = log
        self._stats = stats

    def require_home(self) -> None:
        """Raise RuntimeError in any thread except the node's: waking a task from another thread would lose the task."""
        if self.home is not None and self.home != threading.get_ident():
            raise RuntimeError(
                "the node runs in another thread; call this there, with trio.from_thread.run() or run_sync()"
            )

    async def wait_for_room(self) -> None:
        """Wait until the outbox has room. Always a checkpoint. Raises the errors of `require_home`."""
        self.require_home()
        await self._outbox.wait_for_room()

    def require_room(self) -> None:
        """Raise `trio.WouldBlock` if the outbox is full. Also raises the errors of `require_home`."""
        self.require_home()
        if self._outbox.is_full:
            raise trio.WouldBlock(
                f"the outbox has reached its limit of {self._outbox.limit} bytes; await the async method instead"
            )

    def send(self, dest: str, body: object) -> None:
        """Send a message that is not a reply, even if the outbox is full.

        Raises:
          LocalProtocolError: if *dest* is not a string, or *body* is not a body that JSON and the network can carry.
          RuntimeError: if the node does not know its own id yet.
          trio.ClosedResourceError: if the node is closed.
        """
        if not self.src:
            raise RuntimeError("the node has no id before 'init'; send from a handler, on_init or background")
        check_dest(dest)
        msg_type, fields = request_parts(body)
        self._put(encode(self.src, dest, msg_type, fields, self.next_msg_id), self.src, dest, msg_type)

    def reply(self, request: Request, body: object) -> None:
        """Answer *request*, even if the outbox is full; do nothing if the request wants no answer.

        Args:
          request: The request to answer.
          body: A dict or a record; the default ``type`` is the request's, followed by ``_ok``.

        Raises:
          LocalProtocolError: if *body* is not a body that JSON and the network can carry.
          trio.ClosedResourceError: if the node is closed.
        """
        if request.msg_id is None:
            return
        src, dest = self.src or request.dest, request.src
        msg_type, fields = reply_parts(body, request.type + "_ok")
        self._put(encode(src, dest, msg_type, fields, self.next_msg_id, request.msg_id), src, dest, msg_type)

    def _put(self, line: bytes, src: str, dest: str, msg_type: str) -> None:
        if len(line) > self.size_limit:
            raise LocalProtocolError(
                f"the {msg_type!r:.80} message to {dest!r:.80} has {len(line)} bytes, and this network carries"
                f" {self.size_limit}; send less, or in parts"
            )
        if self.admits is None or self.admits(dest, msg_type):
            self._outbox.put(line)
        self.next_msg_id += 1
        self._stats.sent += 1
        if self._log.is_on:
            self._log.note(trio.current_time(), "SENT", src, dest, msg_type)
