"""The checker of unique-ids: no id is given out twice. Jepsen's ``unique-ids``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from .._records.history import History
from . import Results
from .values import identities, original

WORST: Final = 48
"""Duplicated ids that are named, the most frequent ones; as many as Jepsen names."""


def unique_ids(history: History) -> Results:
    """Judge whether all ids that ``generate`` returned in *history* differ.

    Ids may be any JSON values; they are the same if they are the same JSON text, so ``1``, ``1.0``, ``"1"`` and
    ``true`` are four.

    Returns:
      ``attempted-count`` and ``acknowledged-count``: how many ids were asked for, and how many came;
      ``duplicated-count``: how many came more than once; ``duplicated``: up to `WORST` of these, with the number of
      times, as pairs (Jepsen has a map here, but the names of a JSON object cannot be any JSON values); ``range``: the
      least id and the greatest, or null if they are not all numbers or all strings.
    """
    operations = history.operations("generate")
    ids = [each.completion.value for each in operations if each.completion is not None and each.outcome == "ok"]
    # most_common is a stable sort: those that came equally often stay in the order in which they were asked for.
    duplicated = [(each, times) for each, times in Counter(identities(ids)).most_common() if times > 1]
    return {
        "valid?": not duplicated,
        "attempted-count": len(operations),
        "acknowledged-count": len(ids),
        "duplicated-count": len(duplicated),
        "duplicated": [[original(each), times] for each, times in duplicated[:WORST]],
        "range": _range(ids),
    }


def _range(ids: Sequence[Any]) -> list[Any] | None:
    types = set(map(type, ids))
    return [min(ids), max(ids)] if ids and (types <= {int, float} or types == {str}) else None
