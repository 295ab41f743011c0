"""How nodes of a simulation are made, and what they keep when they are killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, TypeAlias, final

import msgspec

from trio_messenger import Node

Build: TypeAlias = Callable[..., Node]
"""Makes a new node, with nothing in it of those made before. Called without arguments, or, if it has a parameter named
``store``, with a mapping that outlives the node (see `DurableStore`)."""


@final
class DurableStore(MutableMapping[str, Any]):
    """What a node keeps across its lives: JSON values by name, each durable when it is assigned.

    A value is kept as it is at that moment: to change a list, assign it again.

    Args:
      disk: What all lives of the node share.
    """

    def __init__(self, disk: dict[str, bytes]) -> None:
        self._disk = disk

    def detach(self) -> None:
        """Take no more writes: the node that this was given to is dead."""
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
