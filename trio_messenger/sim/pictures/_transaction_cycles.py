"""The pictures of a run of transactions: a cycle of each kind."""

from __future__ import annotations

from typing import Final

from .._checkers import Results
from ._cycle import cycle
from ._picture import Picture

_CYCLES_DRAWN: Final = 4
"""The number of kinds of cycles that have a picture."""

_HOW_TO_READ: Final = (
    "Each box is a transaction. An arrow leads to a transaction that must come after it, and says why: ww, the other"
    " overwrote what it wrote; wr, the other read what it wrote; rw, the other overwrote what it read; or the order of"
    " a process or of real time. The arrows go around, so no order of the transactions is right."
)


def pictures_of_transactions(results: Results) -> list[Picture]:
    """Return a picture of the first cycle of each of the first kinds.

    Args:
      results: The result of `~trio_messenger.sim._checkers.transactions.list_append.list_append` or
        `~trio_messenger.sim._checkers.transactions.rw_register.rw_register`.
    """
    cycles = [records[0] for records in results["anomalies"].values() if "cycle" in records[0]]
    return [
        Picture(
            name=f"{record['type'].lower()}.svg",
            title=f"{record['type']}: {len(record['steps'])} transactions, each of which comes before the next",
            explanation=_HOW_TO_READ,
            svg=cycle(record),
        )
        for record in cycles[:_CYCLES_DRAWN]
    ]
