"""The checker of unique-ids: each id is generated only once, as in Jepsen's ``unique-ids``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from .._records.history import History
from . import Results
from .values import original, value_keys

MOST_FREQUENT: Final = 48
"""The number of duplicated ids that are listed, the most frequent ones; the same as in Jepsen."""


def unique_ids(history: History) -> Results:
    """Judge whether all ids that ``generate`` returned in *history* differ.

    An id may be any JSON value. Two ids are equal if their JSON texts are equal, so ``1``, ``1.0``, ``"1"`` and
    ``true`` are four different ids.

    Returns:
      ``attempted-count`` and ``acknowledged-count``: how many ids were requested, and how many were returned;
      ``duplicated-count``: how many were returned more than once; ``duplicated``: up to `MOST_FREQUENT` of these, in
      pairs with the number of times (Jepsen uses a map, but JSON allows only strings as names); ``range``: the
      least and the greatest id, or null if they are neither all numbers nor all strings.
    """
    operations = history.operations("generate")
    ids = [each.completion.value for each in operations if each.completion is not None and each.outcome == "ok"]
    # most_common is a stable sort: equally frequent ids stay in the order of their requests.
    duplicated = [(each, times) for each, times in Counter(value_keys(ids)).most_common() if times > 1]
    return {
        "valid?": not duplicated,
        "attempted-count": len(operations),
        "acknowledged-count": len(ids),
        "duplicated-count": len(duplicated),
        "duplicated": [[original(each), times] for each, times in duplicated[:MOST_FREQUENT]],
        "range": _range(ids),
    }


def _range(ids: Sequence[Any]) -> list[Any] | None:
    types = set(map(type, ids))
    return [min(ids), max(ids)] if ids and (types <= {int, float} or types == {str}) else None
