"""The effects of the active faults on each link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, final

import attrs

from .._determinism.random_streams import Draws
from .._faults.faults import Duplication, LinkFault, Links, Loss, Partition, Reordering, SlowLinks

BASE: Final = -1
"""The fault index for the network's own loss and duplication, which are not part of the schedule."""


@final
@attrs.frozen
class Effects:
    """The effects of one or more faults on the messages of a link. A fault is named by its index in the schedule."""

    partition: int | None
    """The index of the partition that cuts the link; None if there is none."""
    _losses: tuple[tuple[float, int], ...]  # rates, the network's own first
    _duplications: tuple[tuple[float, int], ...]
    _slow: tuple[tuple[SlowLinks, int], ...]
    _reorderings: tuple[tuple[Reordering, int], ...]
    _bites: Counter[int]

    def loss(self, draws: Draws) -> int | None:
        """Return the index of the fault that loses the message; None if it is not lost."""
        return self._first(self._losses, draws.loss)

    def duplication(self, draws: Draws) -> int | None:
        """Return the index of the fault that duplicates the message; None if it is not duplicated."""
        return self._first(self._duplications, draws.duplicate)

    def delay(self, seconds: float, draws: Draws) -> float:
        """Return the delay in seconds of a message that would take *seconds* without these faults."""
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
        # All faults share one draw, so removing one of them changes nothing for the others.
        for rate, index in rates:
            if draw < rate:
                if index != BASE:
                    self._bites[index] += 1
                return index
        return None


@final
class LinkFaults:
    """The active link faults.

    Args:
      role: Returns the role of an id: ``nodes``, ``services`` or ``clients``.
      bites: Counts each effect, by the index of its fault.
      loss: The probability, at any time, that a message between nodes is lost.
      duplicate: The probability, at any time, that a message between nodes is duplicated.
    """

    def __init__(
        self, role: Callable[[str], str | None], bites: Counter[int], loss: float = 0.0, duplicate: float = 0.0
    ) -> None:
        self.version: int = 0
        """Changes whenever a fault begins or ends. Results of `on` are valid until then."""
        self._role = role
        self._bites = bites
        self._in_force: dict[int, LinkFault] = {}
        base: list[Loss | Duplication] = [Loss(rate=loss), Duplication(rate=duplicate)]
        self._base = [fault for fault in base if fault.rate]

    def begin(self, index: int, fault: LinkFault) -> None:
        """Activate *fault*, the one at *index* of the schedule."""
        self._in_force[index] = fault
        self.version += 1

    def end(self, index: int) -> None:
        """End the fault at *index*."""
        del self._in_force[index]
        self.version += 1

    def on(self, src: str, dest: str) -> Effects | None:
        """Return the effects on messages from *src* to *dest*; None if there are none."""
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
