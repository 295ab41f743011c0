"""What a node counts."""

from __future__ import annotations

from typing import Final, final

import attrs

from .latencies import Latencies


@final
@attrs.define(eq=False)
class Stats:
    """Counters of one node since it was made. Whatever is dropped, refused or reaped is in here."""

    received: int = 0
    """Lines taken in, malformed ones included, blank ones not."""
    sent: int = 0
    """Messages handed to the transport: requests, replies and errors."""
    malformed: int = 0
    """Lines that are no message, and messages whose type or ids have the wrong JSON type."""
    misdirected: int = 0
    """Messages for another node; dropped."""
    early: int = 0
    """Requests that came before ``init`` was done; answered with error 11."""
    unsupported: int = 0
    """Requests of a type that nobody handles; answered with error 10."""
    shed: int = 0
    """Requests refused with error 11, because too many handlers were running."""
    stray_errors: int = 0
    """``error`` messages that reply to nothing; never answered, lest two nodes answer each other for ever."""
    handler_failures: int = 0
    """Handlers, callbacks and background tasks that raised something that is no `RpcError`."""
    scopes_left_open: int = 0
    """Times that a handler, a callback or a periodic function returned without leaving a cancel scope or a nursery."""
    rpcs: int = 0
    """RPCs begun."""
    answered: int = 0
    """RPCs that ended with a reply, error replies included."""
    reaped: int = 0
    """RPCs that ended at their deadline."""
    abandoned: int = 0
    """RPCs that nobody waits for any more: cancelled, not sent, or not needed for a quorum any more."""
    closed: int = 0
    """RPCs that were pending when the node closed."""
    late_replies: int = 0
    """Replies to an RPC that had been reaped or abandoned; of use only to a caller that tries again."""
    duplicate_replies: int = 0
    """Further replies to an RPC that had its reply; dropped."""
    unknown_replies: int = 0
    """Replies to no RPC of this node, such as to one of its former life, or to one that ended too long ago to be
    remembered; dropped."""
    foreign_replies: int = 0
    """Replies to an RPC from a node that it was not sent to; dropped, and the RPC stays pending."""
    rpc_latency: Latencies = attrs.field(factory=Latencies)
    """How long RPCs took that were answered, from sending to the reply, in seconds."""

    def counters(self) -> dict[str, int]:
        """Return the counters that are not 0, by name."""
        counters = attrs.asdict(self, recurse=False, filter=lambda field, _: "int" in str(field.type))
        return {name: count for name, count in counters.items() if count}

    def line(self) -> str:
        """Return everything in one line: the counters that are not 0, and quantiles of the latency in milliseconds."""
        words = [f"{name}={count}" for name, count in self.counters().items()]
        if self.rpc_latency.count:
            quantiles = {q: self.rpc_latency.quantile(q) * 1000 for q in (0.5, 0.95, 0.99, 1)}
            words += [f"rpc_p{q * 100:g}_ms={float(f'{milliseconds:.3g}'):g}" for q, milliseconds in quantiles.items()]
        return "statistics: " + " ".join(words or ["none"])


_IN_FULL: Final = 10
"""Events of a kind that are logged one by one: enough to see what is wrong, few enough for any log."""


def worth_a_line(count: int) -> bool:
    """Tell whether the *count*-th event of a kind is to be logged: the first ten, then each power of two.

    A flood of bad input must not become a flood of log lines, yet none of it may pass in silence.
    """
    return count <= _IN_FULL or count & (count - 1) == 0
