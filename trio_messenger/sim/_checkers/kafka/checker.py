"""The results of the kafka checker, under Maelstrom's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from ..._records.history import History
from .. import Results
from .contiguity import Leap, Orders, between_polls, between_sends, within_polls, within_sends
from .cycles import cycles
from .last_polls import missing
from .log_operations import TRANSACTIONS, LogHistory
from .realtime_lag import worst_realtime_lag
from .version_orders import duplicates, inconsistent_offsets, version_orders
from .visibility import aborted_reads, lost_writes, precommitted_reads, unexpected, unseen

LEAPS_DESCRIBED: Final = 8
"""The number of skips and steps back that are described, as in Jepsen."""

ERRORS_DESCRIBED: Final = 32
"""The number of errors of any other type that are described."""

ALLOWED: Final = frozenset({"int-send-skip"})
"""Types of errors that do not invalidate a history: messages of other clients come in between."""

ALLOWED_BY_SUBSCRIBE: Final = frozenset({"poll-skip", "nonmonotonic-poll"})
"""Types that do not invalidate if a client subscribed: then the keys of a client change at any time."""

_Errors: TypeAlias = dict[str, Any]


def kafka(history: History) -> Results:
    """Judge whether polls show one log for each key, with all messages in order.

    Args:
      history: The operations: ``send``, ``poll``, ``assign`` and ``crash``, and Jepsen's ``txn`` and ``subscribe``.

    Returns:
      ``valid?``: False if there are errors of a type that is not allowed.

      ``error-types`` and ``bad-error-types``: the types of all errors, and of those that invalidate.
      ``info-txn-causes``: the different reasons why the outcome of sends and polls is unknown.
      ``worst-realtime-lag``: the poll that returned the oldest state; see `worst_realtime_lag`.

      For each type of error, its ``count``, and under ``errs`` the worst or first ones, each with the operations that
      show it. `LEAPS_DESCRIBED` and `ERRORS_DESCRIBED` limit their number. The types, with Jepsen's names:

      - ``inconsistent-offsets``: several messages at one offset;
      - ``duplicate``: a message at several offsets;
      - ``unexpected``: an operation polled a message that nobody sent to this key (not in Jepsen);
      - ``G1a``: an operation polled a message whose send failed;
      - ``precommitted-read``: an operation polled a message that it sent itself;
      - ``lost-write``: nobody polled a message, but somebody polled a later one;
      - ``missing``: at the end, a node lacks messages that polls of other nodes, or earlier ones, returned (not in
        Jepsen); only in histories that name the nodes and the final polls;
      - ``int-poll-skip`` and ``int-nonmonotonic-poll``: one operation polled a message and then one that is not the
        next: a later one, or the same or an earlier one;
      - ``poll-skip`` and ``nonmonotonic-poll``: the same between two polls of a process;
      - ``int-send-skip``, ``int-nonmonotonic-send`` and ``nonmonotonic-send``: the same for the offsets of sends.

      - ``G1c``, ``G1c-process`` and ``G1c-realtime``: operations that must each come before the next one, and the last
        one before the first; see `cycles`.

      ``unseen``: the acknowledged messages that no ok operation polled: for each key their number, the first of them,
      and the operations that sent these; ``time`` is the end of the last ok operation, in nanoseconds.
    """
    logs = LogHistory(history)
    orders = version_orders(logs)
    errors = _errors(logs, orders)
    allowed = ALLOWED | (ALLOWED_BY_SUBSCRIBE if any(op.f == "subscribe" for op in history) else frozenset())
    bad = sorted(errors.keys() - allowed)
    causes = {
        operation.end.error or "no reply until the end of the run": None
        for operation in logs.operations
        if operation.outcome == "info" and operation.begun.f in TRANSACTIONS
    }
    return {
        "valid?": not bad,
        "worst-realtime-lag": worst_realtime_lag(logs),
        "bad-error-types": bad,
        "error-types": sorted(errors),
        "info-txn-causes": list(causes),
        **dict(sorted(errors.items())),
    }


def _errors(logs: LogHistory, orders: Orders) -> _Errors:
    found = {
        "inconsistent-offsets": _described(inconsistent_offsets(orders)),
        "duplicate": _described(duplicates(orders)),
        "unexpected": _described(unexpected(logs)),
        "G1a": _described(aborted_reads(logs)),
        "precommitted-read": _described(precommitted_reads(logs)),
        "lost-write": _described(lost_writes(logs, orders)),
        **_leaps("int-poll-skip", "int-nonmonotonic-poll", within_polls(logs, orders)),
        **_leaps("poll-skip", "nonmonotonic-poll", between_polls(logs, orders)),
        **_leaps("int-send-skip", "int-nonmonotonic-send", within_sends(logs, orders)),
        "nonmonotonic-send": _described(_worst_first(between_sends(logs, orders)), LEAPS_DESCRIBED),
        "missing": _described(missing(logs, orders)),
        **{kind: _described(found) for kind, found in cycles(logs).items()},
        "unseen": unseen(logs),
    }
    return {kind: errors for kind, errors in found.items() if errors}


def _described(errors: Iterable[Mapping[str, Any]], limit: int = ERRORS_DESCRIBED) -> _Errors:
    errs = list(errors)
    return {"count": len(errs), "errs": errs[:limit]} if errs else {}


def _leaps(skip: str, nonmonotonic: str, leaps: Iterable[Leap]) -> _Errors:
    found = list(leaps)
    return {
        skip: _described(_worst_first(leap for leap in found if leap.delta > 1), LEAPS_DESCRIBED),
        nonmonotonic: _described(_worst_first(leap for leap in found if leap.delta < 1), LEAPS_DESCRIBED),
    }


def _worst_first(leaps: Iterable[Leap]) -> list[dict[str, Any]]:
    return [leap.as_json() for leap in sorted(leaps, key=lambda leap: -abs(leap.delta - 1))]
