"""The roles that nodes play in a run, such as leader, as far as they show them; see `trio_messenger.Node.expose`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Final, final

import attrs
import trio

from .._records.journal import Journal
from .._runaways.guard import current_owner
from .moments import Moment, moment_of
from .watch import Living


@final
@attrs.frozen
class _Change:
    moment: Moment
    role: str


@final
class RoleLog(trio.abc.Instrument):
    """Records which role each node shows after each of its turns: ``role`` of what it exposes, if that is a text.

    Args:
      living: Returns the living nodes.
      journal: The journal of the run.
      now: Returns the time of the journal in nanoseconds.
    """

    def __init__(self, living: Living, journal: Journal, now: Callable[[], int]) -> None:
        self._living = living
        self._journal = journal
        self._now = now
        self._changes: Final[dict[str, list[_Change]]] = {}

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Look at the role of the node that *task* belongs to; see `trio.abc.Instrument`."""
        owner = task.context.get(current_owner)
        if owner is None or owner.is_over:
            return
        shown = self._shown(owner.node_id)
        changes = self._changes.setdefault(owner.node_id, [])
        if shown is not None and (not changes or changes[-1].role != shown):
            changes.append(_Change(moment_of(self._journal, self._now(), owner.node_id, ""), shown))

    def _shown(self, node_id: str) -> str | None:
        node = self._living().get(node_id)
        role: object = None
        with suppress(Exception):  # it is the code of a user
            exposed = None if node is None else node.exposed
            role = exposed.get("role") if isinstance(exposed, Mapping) else getattr(exposed, "role", None)
        return role if isinstance(role, str) else None

    def at(self, node_id: str, index: int) -> str | None:
        """Return the role of a node when entry *index* of the journal was written; None if it showed none."""
        changes = self._changes.get(node_id, [])
        before = bisect_left(changes, index, key=lambda change: change.moment.index)
        return changes[before - 1].role if before else None

    def changes(self) -> Iterator[tuple[int, str, str]]:
        """Yield the time in nanoseconds, the node and the new role of each change, except the first role of a node."""
        for node_id, changes in self._changes.items():
            for change in changes[1:]:
                yield self._journal[change.moment.index].t + change.moment.since, node_id, change.role
