"""The pictures of a run of lin-kv: one for each key that is not linearizable."""

from __future__ import annotations

from typing import Final

from .._checkers import Results
from .._checkers.lin_kv import violations_in
from .._explanation.lin_kv import told
from .._records.cut_texts import cut_json
from .._records.history import History
from ._linear import linear
from ._picture import Picture

_KEYS_DRAWN: Final = 3
"""The number of keys that have a picture."""

_EXPLANATION: Final = (
    "Each bar is an operation, from its beginning to its end; each row is a client that does one thing at a time. At"
    " the dashed line, an operation ends with a result that no order explains: just before, only the values at the"
    " right were possible. The dots show one order in which the operations before could have taken effect."
)


def pictures_of_lin_kv(results: Results, history: History) -> list[Picture]:
    """Return a picture for each of the first keys that are not linearizable.

    Args:
      results: The result of `~trio_messenger.sim._checkers.lin_kv.lin_kv`.
      history: The history that it judged.
    """
    found = []
    for number, violation in enumerate(violations_in(results, history)[:_KEYS_DRAWN], 1):
        key = f"Key {cut_json(violation.operation.invocation.value[0])}"
        found.append(
            Picture(
                name="linear.svg" if number == 1 else f"linear-{number}.svg",
                title=f"{key} is not linearizable",
                explanation=_EXPLANATION,
                svg=linear(violation, title=key, label=told),
            )
        )
    return found
