"""Names out of a fixed list: what an error says about a name that is not in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_SIMILAR: Final = 0.7
"""The least similarity, as `difflib` counts it: with less, ``linearizable`` is taken for ``serializable``."""

_SHORTEST_BEGINNING: Final = 3
"""Letters of the shorter of two names one of which is taken for the beginning of the other, as ``exp`` for
``exponential``."""


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Return that there is no *what* with this *name*: the name that was probably meant, and all *known* names.

    Example:
      >>> unknown("topology", "gird", ["grid", "line"])
      "there is no topology 'gird'; did you mean 'grid'? There are: grid, line"
      >>> unknown("topology", "star", ["grid", "line"])
      "there is no topology 'star'; there are: grid, line"
    """
    known = list(known)
    hint = meant(name, known)
    return f"there is no {what} {name!r:.80}{hint or ';'} {'There' if hint else 'there'} are: {', '.join(known)}"


def meant(name: object, known: Iterable[str]) -> str:
    """Return the question whether the most similar of *known* was meant, after a semicolon; nothing if none is."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {near!r}?"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the most similar of *known*, in upper or lower case, or one that begins like *name*; None if none is."""
    if not isinstance(name, str):
        return None
    wanted, by_lower = name.lower(), {each.lower(): each for each in known}
    similar = difflib.get_close_matches(wanted, by_lower, n=1, cutoff=_SIMILAR)
    long = [each for each in by_lower if min(len(each), len(wanted)) >= _SHORTEST_BEGINNING]
    similar += [each for each in long if each.startswith(wanted) or wanted.startswith(each)]
    return by_lower[similar[0]] if similar else None
