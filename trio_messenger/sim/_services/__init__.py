"""Maelstrom's services, for the nodes of a run to use: pure state machines, one request at a time.

They do what Maelstrom's do (its ``service.clj``), except that

- seq-kv has a defect mended, which its module describes;
- the replicas of lww-kv, which never merge there either, can be made to (`LWW_KV_VARIANTS`);
- a request of unknown type is answered with error 10, where Maelstrom logs an exception and keeps silent;
- a request that lacks a field is answered with error 12, where Maelstrom takes the field for null.
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


class Service(Protocol):
    """What a service is: a state, and what it answers."""

    @property
    def age(self) -> int:
        """How many changes of the key were unknown to the state that the last request was answered from."""

    def handle(self, src: str, body: Body) -> Body | None:
        """Serve one request.

        Args:
          src: The id of the node that asks.
          body: What it asks. It is not changed, nor kept by reference.

        Returns:
          The body of the reply, without ``in_reply_to``; None for a request that is not answered. An error is an
          ``error`` body with ``code`` and ``text``.
        """


SERVICES: Final[dict[str, Callable[[Random], Service]]] = {
    LIN_KV: lambda _: LinKv(),
    SEQ_KV: SeqKv,
    LWW_KV: LwwKv,
    LIN_TSO: lambda _: LinTso(),
}
"""What makes each service, by its id. It is given a stream of random numbers of its own; not all of them need one."""

LWW_KV_VARIANTS: Final[dict[str, Callable[[Random], Service]]] = {
    "separate": LwwKv,
    "merging": partial(LwwKv, merges=True),
}
"""What makes lww-kv, by what its replicas do: keep to themselves, as Maelstrom's do, or merge, as its documents say."""
