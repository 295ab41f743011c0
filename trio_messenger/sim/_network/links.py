"""What the faults in force do to a link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, final

import attrs

from .._determinism.random_streams import Draws
from .._faults.faults import Duplication, LinkFault, Links, Loss, Partition, Reordering, SlowLinks

BASE: Final = -1
"""Stands for the index of what is no fault of the schedule, but the network's own loss and duplication."""


@final
@attrs.frozen
class Effects:
    """What befalls the messages on one link, by the faults' indexes in the schedule; there is at least one."""

    partition: int | None
    """The partition that cuts it, if any."""
    _losses: tuple[tuple[float, int], ...]  # rates, the network's own first
    _duplications: tuple[tuple[float, int], ...]
    _slow: tuple[tuple[SlowLinks, int], ...]
    _reorderings: tuple[tuple[Reordering, int], ...]
    _bites: Counter[int]

    def loss(self, draws: Draws) -> int | None:
        """Return the index of what loses the message; None if nothing does."""
        return self._first(self._losses, draws.loss)

    def duplication(self, draws: Draws) -> int | None:
        """Return the index of what duplicates the message; None if nothing does."""
        return self._first(self._duplications, draws.duplicate)

    def delay(self, seconds: float, draws: Draws) -> float:
        """Return how long a message takes, in seconds, that would take *seconds*."""
        for slow, index in self._slow:
            slower = seconds * slow.factor + slow.extra
            self._bites[index] += slower != seconds
            seconds = slower
        for reordering, index in self._reorderings:
            if draws.reorder < reordering.rate:
                later = seconds + draws.delay * reordering.seconds
                self._bites[index] += later != seconds
                return later
        return seconds

    def _first(self, rates: tuple[tuple[float, int], ...], draw: float) -> int | None:
        # One draw for all of them: that one is removed changes nothing about the others.
        for rate, index in rates:
            if draw < rate:
                if index != BASE:
                    self._bites[index] += 1
                return index
        return None


@final
class LinkFaults:
    """The link faults in force.

    Args:
      role: Tells what an id is: ``nodes``, ``services`` or ``clients``.
      bites: Where each effect is counted.
      loss: The probability with which messages between nodes are lost at any time.
      duplicate: The same for duplication.
    """

    def __init__(
        self, role: Callable[[str], str | None], bites: Counter[int], loss: float = 0.0, duplicate: float = 0.0
    ) -> None:
        self.version: int = 0
        """Another one whenever faults begin or end: what `on` returned holds until then."""
        self._role = role
        self._bites = bites
        self._in_force: dict[int, LinkFault] = {}
        base: list[Loss | Duplication] = [Loss(rate=loss), Duplication(rate=duplicate)]
        self._base = [fault for fault in base if fault.rate]

    def begin(self, index: int, fault: LinkFault) -> None:
        """Put *fault* in force."""
        self._in_force[index] = fault
        self.version += 1

    def end(self, index: int) -> None:
        """End the fault at *index*."""
        del self._in_force[index]
        self.version += 1

    def on(self, src: str, dest: str) -> Effects | None:
        """Return what befalls messages from *src* to *dest*; None if nothing."""
        faults: list[tuple[LinkFault, int]] = [(fault, BASE) for fault in self._base]
        faults += [(fault, index) for index, fault in self._in_force.items()]
        faults = [(fault, index) for fault, index in faults if self._covers(fault.links, src, dest)]
        if not faults:
            return None
        return Effects(
            next((index for fault, index in faults if isinstance(fault, Partition)), None),
            tuple((fault.rate, index) for fault, index in faults if isinstance(fault, Loss)),
            tuple((fault.rate, index) for fault, index in faults if isinstance(fault, Duplication)),
            tuple((fault, index) for fault, index in faults if isinstance(fault, SlowLinks)),
            tuple((fault, index) for fault, index in faults if isinstance(fault, Reordering)),
            self._bites,
        )

    def _covers(self, links: Links, src: str, dest: str) -> bool:
        return any(self._is_in(src, one) and self._is_in(dest, other) for one, other in links)

    def _is_in(self, member_id: str, name: str) -> bool:
        return name in (member_id, "all", self._role(member_id))
