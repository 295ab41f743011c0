"""The factory of simulated nodes, and the durable store that outlives a killed node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, TypeAlias, final

import msgspec

from trio_messenger import Node

Build: TypeAlias = Callable[..., Node]
"""Returns a new node that shares no state with earlier ones. If the function has a parameter named ``store``, it gets a
mapping that outlives the node (see `DurableStore`); otherwise it gets no arguments."""


@final
class DurableStore(MutableMapping[str, Any]):
    """The data that a node keeps across its lives: JSON values by name. Each value is durable once it is assigned.

    The store keeps a copy of the value. To change a stored list, assign it again.

    Args:
      disk: The data that all lives of the node share.

    Example:
      A node that counts its lives in the store:

      >>> def build(store):
      ...     node = Node()
      ...     store["lives"] = store.get("lives", 0) + 1
      ...     print(f"this is life {store['lives']}")
      ...     node.on("echo")(lambda request: request.body)
      ...     return node
      >>> faults = [Kill(nodes=["n1"], at=1, until=2)]
      >>> simulate("echo", build, nodes=["n1"], time_limit=3, faults=faults).logs["n1"]
      ['this is life 1', 'this is life 2']
    """

    def __init__(self, disk: dict[str, bytes]) -> None:
        self._disk = disk

    def detach(self) -> None:
        """Keep later writes from reaching the disk, because the node that has this store is dead."""
        self._disk = dict(self._disk)

    def __getitem__(self, name: str) -> Any:
        return msgspec.json.decode(self._disk[name])

    def __setitem__(self, name: str, value: Any) -> None:
        self._disk[name] = msgspec.json.encode(value)

    def __delitem__(self, name: str) -> None:
        del self._disk[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._disk)

    def __len__(self) -> int:
        return len(self._disk)
