"""The counters of a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

import attrs

from .histogram import Latencies


@final
@attrs.define(eq=False)
class Stats:
    """Counters of one node since it was made. They count everything that the node dropped, refused or reaped.

    Example:
      >>> node = Node()
      >>> @node.on("ping")
      ... def ping():
      ...     return {}
      >>> async def main():
      ...     async with running(node) as network:
      ...         await network.request("ping")
      ...         await network.send("c1", {"type": "ping"}, dest="n2")
      >>> trio.run(main)
      >>> node.stats.counters()
      {'received': 3, 'sent': 2, 'misdirected': 1}
      >>> node.stats.line()
      'statistics: received=3 sent=2 misdirected=1'
    """

    received: int = 0
    """Lines received, including malformed lines, without blank lines."""
    sent: int = 0
    """Messages handed to the transport: requests, replies and errors."""
    malformed: int = 0
    """Lines that are not messages, and messages whose type or ids have the wrong JSON type."""
    misdirected: int = 0
    """Messages for another node; dropped."""
    early: int = 0
    """Requests that came before ``init`` was done; answered with error 11."""
    unsupported: int = 0
    """Requests of a type without a handler; answered with error 10."""
    shed: int = 0
    """Requests refused with error 11, because too many handlers were running."""
    stray_errors: int = 0
    """``error`` messages that reply to nothing; never answered, or two nodes would answer each other forever."""
    handler_failures: int = 0
    """Handlers, callbacks and background tasks that raised an exception other than `RpcError`."""
    scopes_left_open: int = 0
    """Times that a handler, a callback or a periodic function returned without leaving a cancel scope or a nursery."""
    rpcs: int = 0
    """RPCs that began."""
    answered: int = 0
    """RPCs that ended with a reply, error replies included."""
    reaped: int = 0
    """RPCs that ended at their deadline."""
    abandoned: int = 0
    """RPCs that nobody waits for any more: cancelled, not sent, or no longer needed for a quorum."""
    closed: int = 0
    """RPCs that were pending when the node closed."""
    late_replies: int = 0
    """Replies to an RPC that had been reaped or abandoned; only a caller that tries again can use them."""
    duplicate_replies: int = 0
    """Replies to an RPC that already had its reply; dropped."""
    unknown_replies: int = 0
    """Replies that match no RPC of this node: to an RPC of its former life, for example, or to one that ended so long
    ago that the node has forgotten it; dropped."""
    misfit_replies: int = 0
    """Replies that do not fit the class that the caller gave as ``as_``."""
    foreign_replies: int = 0
    """Replies to an RPC from another node than the one that was asked; dropped, and the RPC stays pending."""
    rpc_latency: Latencies = attrs.field(factory=Latencies)
    """Seconds from sending to the reply, for RPCs that were answered."""
    transport: Mapping[str, int] = attrs.field(factory=dict)
    """What the transport counts, by name; see `Transport.counters`."""

    def counters(self) -> dict[str, int]:
        """Return the counters other than 0, by name, and then those of the transport."""
        counters: dict[str, int] = attrs.asdict(self, recurse=False, filter=lambda field, _: str(field.type) == "int")
        counters |= self.transport
        return {name: count for name, count in counters.items() if count}

    def line(self) -> str:
        """Return everything in one line: the counters other than 0, and quantiles of the latency in milliseconds."""
        words = [f"{name}={count}" for name, count in self.counters().items()]
        if self.rpc_latency.count:
            quantiles = {q: self.rpc_latency.quantile(q) * 1000 for q in (0.5, 0.95, 0.99, 1)}
            words += [f"rpc_p{q * 100:g}_ms={float(f'{milliseconds:.3g}'):g}" for q, milliseconds in quantiles.items()]
        return "statistics: " + " ".join(words or ["none"])


_IN_FULL: Final = 10
"""Events of a kind that are logged one by one: enough to see what is wrong, few enough for any log."""


def worth_a_line(count: int) -> bool:
    """Tell whether to log the *count*-th event of a kind: yes for the first ten, then for each power of two.

    A flood of bad input must not become a flood of log lines, but it must not stay silent either.
    """
    return count <= _IN_FULL or count & (count - 1) == 0
