"""Ready-made nodes, each a module with a ``build()`` that returns a new `trio_messenger.Node`."""

from __future__ import annotations

from typing import Final

NODES: Final = {
    "messenger": "echo, proxied RPCs, and RPCs leaked on purpose for the reaper to close",
}
"""What there is: the name of each module here, and what its node does in one line."""
