"""Maelstrom's services for the nodes of a run: pure state machines that serve one request at a time.

They behave like Maelstrom's services (``service.clj``), except that

- seq-kv fixes a bug, which its module describes;
- the replicas of lww-kv never merge, like Maelstrom's, but an option makes them merge (`LWW_KV_VARIANTS`);
- they answer a request of unknown type with error 10, where Maelstrom logs an exception and sends no reply;
- they answer a request that lacks a field with error 12, where Maelstrom reads the field as null.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final, Protocol

from trio_messenger import LIN_KV, LIN_TSO, LWW_KV, SEQ_KV, Body

from .lin_kv import LinKv
from .lin_tso import LinTso
from .lww_kv import LwwKv
from .seq_kv import SeqKv


class SimulatedService(Protocol):
    """The interface of a service: it holds a state and answers requests."""

    @property
    def age(self) -> int:
        """How stale the last reply was: the number of changes of the key that its state did not include."""

    def handle(self, src: str, body: Body) -> Body | None:
        """Serve one request.

        Args:
          src: The id of the sender.
          body: The body of the request. The service neither changes it nor keeps a reference to it.

        Returns:
          The body of the reply, without ``in_reply_to``; None if the request gets no reply. An error is an ``error``
          body with ``code`` and ``text``.
        """


SERVICES: Final[dict[str, Callable[[Random], SimulatedService]]] = {
    LIN_KV: lambda _: LinKv(),
    SEQ_KV: SeqKv,
    LWW_KV: LwwKv,
    LIN_TSO: lambda _: LinTso(),
}
"""The factory of each service, by id. Its argument is the service's own random stream, which some services ignore."""

LWW_KV_VARIANTS: Final[dict[str, Callable[[Random], SimulatedService]]] = {
    "separate": LwwKv,
    "merging": partial(LwwKv, merges=True),
}
"""The factories of lww-kv, by variant: its replicas stay separate, like Maelstrom's, or merge, as Maelstrom's
documentation says."""
