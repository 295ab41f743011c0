"""Realtime lag: how long ago the newest message that a poll knew had stopped being the newest one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, Final, final

from .log_operations import ASSIGNMENTS, LogHistory, LogOperation

_NOTHING: Final = -1
"""The offset before the first one."""


@final
class _Ends:
    """When a log is known to have reached its offsets."""

    def __init__(self) -> None:
        self._offsets: list[int] = []  # each greater than the one before
        self._times: list[int] = []

    def reached(self, offset: int, time: int) -> None:
        """Note that the log had *offset* at *time*, and therefore all lower offsets."""
        if not self._offsets or offset > self._offsets[-1]:
            self._offsets.append(offset)
            self._times.append(time)

    def time_after(self, offset: int) -> int | None:
        """Return when the log had a message after *offset*; None if it never did."""
        place = bisect_left(self._offsets, offset + 1)
        return self._times[place] if place < len(self._times) else None


def worst_realtime_lag(history: LogHistory) -> dict[str, Any]:
    """Return the poll with the greatest lag, under Jepsen's names.

    Example: at 3 s a client gets the acknowledgement of offset 1. At 4 s another client, which has polled offset 0,
    begins a poll that returns nothing. By then, offset 0 had not been the end of the log for at least 1 s: the lag is
    1 s. Checkers do not judge lags, since a log need not be up to date.

    Returns:
      ``lag`` in seconds; ``time``, when the poll began, in seconds; and its ``process`` and ``key``, left out if nobody
      polled.
    """
    ends: dict[str, _Ends] = {}
    for operation in history.operations:
        for key, offset in _highest(operation).items():
            ends.setdefault(key, _Ends()).reached(offset, operation.end.time)
    worst: tuple[int, LogOperation, str] | None = None
    clients = _Clients()
    for operation in history.operations:
        if operation.outcome == "ok":
            known = clients.follow(operation)
            for key, offset in known.items() if operation.begun.f in ("poll", "txn") else ():
                since = ends[key].time_after(offset) if key in ends else None
                lag = 0 if since is None else max(0, operation.begun.time - since)
                if worst is None or lag > worst[0]:
                    worst = lag, operation, key
    if worst is None:
        return {"time": 0, "lag": 0}
    lag, operation, key = worst
    return {"time": operation.begun.time / 1e9, "process": operation.begun.process, "key": key, "lag": lag / 1e9}


@final
class _Clients:
    """The highest offset of each of its keys that each process knows."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, int]] = {}
        self._polled: dict[str, int] = {}  # the highest offset of each key that any process polled

    def follow(self, operation: LogOperation) -> Mapping[str, int]:
        """Return what the process of *operation*, which is ok, knows after it."""
        process = operation.begun.process
        known = self._known.setdefault(process, {})
        if operation.begun.f == "subscribe":
            known = {}  # it is not known which keys it gets
        elif operation.begun.f in ASSIGNMENTS:
            # A client continues at the committed offset, which may be any that was polled. In the final phase, it reads
            # the log from the beginning.
            starts = {} if operation.begun.final else self._polled
            known = {key: known.get(key, starts.get(key, _NOTHING)) for key in sorted(operation.assigned)}
        elif operation.begun.f != "send":
            for key, offset in _highest(operation).items():
                known[key] = max(known.get(key, _NOTHING), offset)
                self._polled[key] = max(self._polled.get(key, _NOTHING), offset)
        self._known[process] = known
        return known


def _highest(operation: LogOperation) -> dict[str, int]:
    """Return the highest offset of each key that *operation*, which did not fail, sent or polled."""
    found: dict[str, int] = {}
    for pairs_by_key in (operation.sent, operation.polled) if operation.outcome != "fail" else ():
        for key, pairs in pairs_by_key.items():
            found[key] = max(found.get(key, _NOTHING), *(offset for offset, _ in pairs if offset is not None), _NOTHING)
    return found
