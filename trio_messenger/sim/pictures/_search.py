"""Search among messages, by type, node and body. `search.js` does the same in a browser; a test compares the two.

A search is some words. Each has to be found, in any case of letters: in the type of a message, as the id of its sender
or receiver, or in its body. White space and quotation marks do not count, so ``message:17`` finds ``"message": 17``. A
number is found as a whole: 7 is not in 17. ``type:``, ``node:``, ``from:`` and ``to:`` say where to look.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

Found: TypeAlias = Callable[[str, str, str, str], bool]
"""Tells whether a message is found, given its type, sender, receiver, and body as JSON."""

_IGNORED: Final = re.compile(r'[\s"]+')


def compile_search(text: str) -> Found:
    """Return what tells whether the search *text* finds a message; without words it finds all."""
    words = [squeezed(word) for word in text.split()]

    def found(type_: str, src: str, dest: str, body: str) -> bool:
        squeezed_body = squeezed(body)
        return all(_finds(word, squeezed(type_), squeezed(src), squeezed(dest), squeezed_body) for word in words)

    return found


def squeezed(text: str) -> str:
    """Return *text* as it is compared: small letters, without white space and quotation marks."""
    return _IGNORED.sub("", text.lower())


def _finds(word: str, type_: str, src: str, dest: str, body: str) -> bool:
    key, _, rest = word.partition(":")
    if key == "type" and _holds(type_, rest):
        return True
    if (key in ("from", "node") and rest == src) or (key in ("to", "node") and rest == dest):
        return True
    return word in (src, dest) or _holds(type_, word) or _holds(body, word)


def _holds(text: str, word: str) -> bool:
    """Tell whether *word* is in *text*, and not only as a part of a number."""
    at = text.find(word)
    while at >= 0:
        before, after = text[max(0, at - 1) : at], text[at + len(word) : at + len(word) + 1]
        if not (_is_digit(before) and _is_digit(word[:1])) and not (_is_digit(after) and _is_digit(word[-1:])):
            return True
        at = text.find(word, at + 1)
    return False


def _is_digit(letter: str) -> bool:
    return letter != "" and letter in "0123456789"
