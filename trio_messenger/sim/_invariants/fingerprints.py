"""Fingerprints of what nodes show, to find an invariant that changes what it looks at."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from trio_messenger import Node

MOST_TOKENS: Final = 10_000
"""The number of values that a fingerprint covers. A fingerprint of more would take longer than a whole run may."""

_PLAIN: Final[Mapping[type, Callable[[Any], object]]] = {
    str: str.__str__,
    bytes: bytes.__bytes__,
    bytearray: bytes,
    int: int.__pos__,
    float: float.__repr__,  # equal for NaN, too
    complex: complex.__repr__,
    type(None): lambda _: None,
}
"""The scalars: how to get a value that can be compared, without the methods of a subclass."""

_SCALARS: Final = tuple(_PLAIN)

_OPAQUE: Final = ("trio", "trio_messenger", "builtins")
"""Packages whose objects are opaque: they are compared by identity only."""


def fingerprint(nodes: Mapping[str, Any]) -> dict[str, object]:
    """Return a value for each path in *nodes*, such as ``n1.log[3]``; equal values mean an equal state.

    It looks into containers and into the attributes of objects. Of a `Node` it has the number of messages sent, and the
    state of its source of random numbers.
    """
    found: dict[str, object] = {}
    seen: set[int] = set()
    waiting = deque(nodes.items())
    while waiting and len(found) < MOST_TOKENS:
        path, value = waiting.popleft()
        if isinstance(value, _SCALARS):
            found[path] = (type(value), next(plain(value) for kind, plain in _PLAIN.items() if isinstance(value, kind)))
            continue
        found[path] = _outside(value)
        if id(value) not in seen:
            seen.add(id(value))
            waiting.extend((f"{path}{step}", part) for step, part in _parts(value))
    return found


def first_change(before: Mapping[str, object], after: Mapping[str, object]) -> str | None:
    """Return the first path whose value differs; None if there is none."""
    return next((path for path in {**before, **after} if before.get(path) != after.get(path)), None)


def _outside(value: Any) -> object:
    """Return what is to be compared of *value* itself, without its parts."""
    if isinstance(value, Node):
        return value.next_msg_id, hash(value.random.getstate())
    if isinstance(value, random.Random):
        return hash(value.getstate())
    if isinstance(value, (set, frozenset)):
        return frozenset(value)
    if isinstance(value, (dict, list, tuple, deque)):
        return type(value), len(value)
    return id(value)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of *value*, each after its step in the path."""
    if isinstance(value, dict):
        yield from ((f"[{_in_path(key)}]", part) for key, part in value.items())
    elif isinstance(value, (list, tuple, deque)):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif type(value).__module__.partition(".")[0] not in _OPAQUE:
        names = [*getattr(value, "__dict__", ()), *_slots(type(value))]
        yield from ((f".{name}", getattr(value, name, None)) for name in names)


def _in_path(key: object) -> str:
    try:
        return f"{key!r:.80}"
    except Exception:  # noqa: BLE001 - of an object of the user, or of an integer with too many digits
        return f"{type(key).__name__} {hash(key)}"


def _slots(kind: type) -> Iterator[str]:
    for each in kind.__mro__:
        slots = each.__dict__.get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots
