"""The shapes of the values in a history: what each workload's checker relies on, for histories from elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, final

import attrs
import msgspec

from .._explanation.words import in_words
from .._records.cut_texts import cut_json
from .._records.history import Op


@final
@attrs.frozen
class Shape:
    """The types of the values of a function's operations, as `msgspec.convert` takes them.

    Example:
      A read of a list; its beginning may have any value:

      >>> Shape(ok=list[int])
      Shape(begun=typing.Any, ok=list[int])
    """

    begun: Any = Any
    """The type of the value at the beginning."""
    ok: Any = Any
    """The type of the value at an ``ok`` end. Values at other ends have no meaning."""


A_LIST: Final = Shape(ok=list[Any])
"""A read of a whole set."""


_ANYTHING: Final = Shape()


def check_shape(op: Op, name: str, functions: Collection[str], shapes: Mapping[str, Shape]) -> None:
    """Check that *op* can be an entry of the workload *name*, which has these *functions*.

    Raises:
      ValueError: if not; the text says what is expected.
    """
    if op.f not in functions:
        has = in_words(sorted(functions))
        raise ValueError(f"{op.f!r:.80} is no operation of {name}, which has {has}; give another workload with -w")
    shape = shapes.get(op.f, _ANYTHING)
    wanted = shape.begun if op.type == "invoke" else shape.ok if op.type == "ok" else Any
    if wanted is Any:
        return
    try:
        msgspec.convert(op.value, wanted)
    except msgspec.ValidationError as exc:
        raise ValueError(
            f"the value of this {op.f!r} is {cut_json(op.value)}, which cannot be in a history of {name}: {exc};"
            " give another workload with -w"
        ) from None
