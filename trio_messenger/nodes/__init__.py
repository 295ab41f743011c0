"""Ready-made nodes, each a module with a function ``build`` that returns a new `trio_messenger.Node`.

A node that keeps something for good takes a parameter ``store``, a mapping from names to JSON values:
``build(store=None)``. What is assigned to a name, ``store[name] = value``, is durable at that moment, as it is at that
moment; nothing else of a node outlives it. A node that is started again after it was killed is a new one, built with
the same store. Without a store it keeps what it has in memory, and a kill loses that.
"""

from __future__ import annotations

from typing import Final

NODES: Final = {
    "messenger": "echo, proxied RPCs, and RPCs leaked on purpose for the reaper to close",
    "echo": "gives back what it is given",
    "unique-ids": "makes ids that no node makes twice",
    "broadcast": "passes messages on to its neighbours until each has acknowledged them",
    "g-set": "a set that only grows; nodes ask each other for what they lack",
    "g-counter": "a counter that only grows; nodes tell each other what they have counted",
    "pn-counter": "a counter that goes up and down; nodes tell each other what they have counted",
}
"""What there is: each node's name, which is that of its module with hyphens, and what it does in one line."""
