"""What is beneath a node, for tests of what it does not send by itself."""

from __future__ import annotations

from collections.abc import Callable

from trio_messenger import Node
from trio_messenger.transports import Transport


def node_and_transport() -> tuple[Node, Callable[[], Transport]]:
    """Return a new node, and what returns the transport that it serves on, once it does."""
    kept: list[Transport] = []

    def keep(transport: Transport) -> Transport:
        kept.append(transport)
        return transport

    return Node(wrap_transport=keep), lambda: kept[0]
