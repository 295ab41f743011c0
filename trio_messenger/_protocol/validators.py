"""attrs validators. Their error texts name the field, the value and the limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs


def at_least(least: int) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """Return a validator that accepts numbers from *least* up only."""

    def check(_: object, field: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, (int, float)) or not value >= least:
            raise ValueError(f"{field.name} is {value!r}; give {least} or more")

    return check
