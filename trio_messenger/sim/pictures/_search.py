"""The search for messages by type, node and body. `search.js` does the same in a browser; a test compares the two.

A search consists of words. A message matches if it matches every word, in upper or lower case. A word matches the type
of a message (or a part of it), the id of its sender or receiver, or a part of its body. White space and quotation marks
are ignored, so ``message:17`` matches ``"message": 17``. A number matches only as a whole: 7 does not match 17. The
prefixes ``type:``, ``node:``, ``from:`` and ``to:`` say where to search.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

Found: TypeAlias = Callable[[str, str, str, str], bool]
"""Tells whether a message matches, given its type, sender, receiver, and body in JSON."""

_IGNORED: Final = re.compile(r'[\s"]+')


def compile_search(text: str) -> Found:
    """Return a function that tells whether a message matches the search *text*; an empty text matches all."""
    words = [squeezed(word) for word in text.split()]

    def found(type_: str, src: str, dest: str, body: str) -> bool:
        squeezed_body = squeezed(body)
        return all(_finds(word, squeezed(type_), squeezed(src), squeezed(dest), squeezed_body) for word in words)

    return found


def squeezed(text: str) -> str:
    """Return *text* in lower case, without white space and quotation marks, for comparison."""
    return _IGNORED.sub("", text.lower())


def _finds(word: str, type_: str, src: str, dest: str, body: str) -> bool:
    key, _, rest = word.partition(":")
    if key == "type" and _holds(type_, rest):
        return True
    if (key in ("from", "node") and rest == src) or (key in ("to", "node") and rest == dest):
        return True
    return word in (src, dest) or _holds(type_, word) or _holds(body, word)


def _holds(text: str, word: str) -> bool:
    """Tell whether *text* contains *word* other than as a part of a longer number."""
    at = text.find(word)
    while at >= 0:
        before, after = text[max(0, at - 1) : at], text[at + len(word) : at + len(word) + 1]
        if not (_is_digit(before) and _is_digit(word[:1])) and not (_is_digit(after) and _is_digit(word[-1:])):
            return True
        at = text.find(word, at + 1)
    return False


def _is_digit(letter: str) -> bool:
    return letter != "" and letter in "0123456789"
