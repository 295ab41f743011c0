r"""A reader of EDN, the notation in which Jepsen and Maelstrom write histories. It returns JSON values.

EDN has more kinds of values than JSON. This is how they are read:

- Keywords and symbols become strings, keywords without their colon: ``:ok`` is ``"ok"``, ``:a/b`` is ``"a/b"``.
- Characters become strings: ``\a`` is ``"a"``.
- Vectors, lists and sets become lists, in the order in which they are written.
- Keys of maps become strings, if they are not strings already: ``{1 2}`` is ``{"1": 2}``.
- Tags disappear: ``#jepsen.history.Op{:f :read}`` is ``{"f": "read"}``, ``#inst "2026-01-01"`` is ``"2026-01-01"``.
- ``12N`` is an integer. ``1.5M`` is a float, if a float has exactly this value.
- Numbers that JSON does not have become strings: the ratio ``1/3``, decimals such as ``0.1M``, ``NaN``, ``Infinity``.

Each collection that has begun is a `_Frame`. A tag is a frame, too, and so is ``#_``, which omits the next value: they
end with their first value. So the reader needs no recursion.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, final

from .canonical import as_json
from .cut_texts import cut_json, cut_text
from .reading_errors import MOST_NESTED, ReadingError, error_at, place_of

MOST_DIGITS: Final = 1000
"""The maximum number of digits of a number: Python's conversion takes quadratic time, and refuses more than 4300."""

_BLANK: Final = r" \t\n\r\f\v,\x1c-\x1f"
_END: Final = rf'{_BLANK}"\\;()\[\]{{}}'  # what ends an atom

_TOKEN: Final = re.compile(
    rf"""[{_BLANK}]*+(?:
      (-?(?:0|[1-9][0-9]{{0,17}}+)(?=[{_END}]|\Z))      # 1 an integer, apart from rare forms
    | ([^{_END}#][^{_END}]*+)                         # 2 an atom
    | ("[^"\\]*+(?:\\.[^"\\]*+)*+")                   # 3 a string
    | (\#?\{{|\#:[^{_END}]++[{_BLANK}]*+\{{|[(\[])    # 4 the beginning of a collection
    | ([)\]}}])                                       # 5 its end
    | (;[^\n]*+)                                      # 6 a comment
    | (\#_|\#[A-Za-z][^{_END}]*+)                     # 7 a discard or a tag
    | (\\.[^{_END}]*+|\#\#[^{_END}]*+)                # 8 a character or a special number
    | (\Z)                                            # 9
    | (.)                                             # 10 anything else
    )""",
    re.VERBOSE | re.DOTALL,
)
_INTEGER, _ATOM, _STRING, _OPEN, _CLOSE, _COMMENT, _PREFIX, _LITERAL, _LAST = range(1, 10)
_BORDERS: Final = frozenset({_OPEN, _CLOSE, _COMMENT, _PREFIX, _LAST})

_NUMBER: Final = re.compile(
    r"""[+-]?(?:
      (?P<integer>(?:0|[1-9][0-9]*)N?)
    | (?P<hexadecimal>0[xX][0-9A-Fa-f]+N?)
    | (?P<ratio>[0-9]+/[0-9]*[1-9][0-9]*)
    | (?P<decimal>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?M)
    | (?P<float>[0-9]+(?:\.[0-9]*(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+))
    )""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|[0-3]?[0-7]{1,2}|.)", re.DOTALL)
_ESCAPED: Final = {"t": "\t", "r": "\r", "n": "\n", "b": "\b", "f": "\f", "\\": "\\", '"': '"'}
_CHARACTERS: Final = {
    **{"newline": "\n", "return": "\r", "space": " ", "tab": "\t"},
    **{"formfeed": "\f", "backspace": "\b"},
}
_SPECIAL: Final = {"##NaN": "NaN", "##Inf": "Infinity", "##-Inf": "-Infinity"}
_DIGITS: Final = frozenset("0123456789")
_OCTAL_DIGITS: Final = frozenset("01234567")
_ONLY_TEXTS: Final = {str}
_BLANKS: Final = " \t\n\r\f\v,\x1c\x1d\x1e\x1f"
_ATOMS: Final[dict[str, Any]] = {"nil": None, "true": True, "false": False}

_COLLECTIONS: Final = {"[": ("vector", "]"), "(": ("list", ")"), "{": ("map", "}"), "#{": ("set", "}")}
"""The collections by their first token: name and last token."""

_DISCARD: Final = "#_"

_CUT_OFF: Final = "the file may be cut off; get all of it"

_missing: Final = object()


def read_values(text: str, *, spread: bool = False) -> Iterator[tuple[int, Any]]:
    """Return an iterator over the values in *text* as JSON values, each with the offset of its first character.

    Args:
      text: The values in EDN.
      spread: If the text begins with a vector or a list, yield its items, and not one long list.

    Raises:
      ReadingError: if *text* is not EDN, when the iteration reaches the error.

    Example:
      >>> list(read_values("{:f :read, :value #{1 2}} [nil 3/4]"))
      [(0, {'f': 'read', 'value': [1, 2]}), (26, [None, '3/4'])]
    """
    return _Reader(text, spread=spread).values()


@final
class _Frame:
    """A collection, a tag or a discard that has begun; also the whole text."""

    __slots__ = ("close", "holds_one", "is_outer", "items", "kind", "namespace", "start")

    def __init__(self, kind: str, start: int, close: str = "", *, namespace: str = "", is_outer: bool = False) -> None:
        self.kind = kind
        self.start = start
        self.close = close  # the token that ends it
        self.namespace = namespace
        self.is_outer = is_outer  # its values go to the caller
        self.holds_one = is_outer or not close  # each of its values is passed on at once
        self.items: list[Any] = []


@final
class _Reader:
    def __init__(self, text: str, *, spread: bool) -> None:
        self._text = text
        self._atoms = dict(_ATOMS)  # each keyword and symbol is checked once
        self._frame = _Frame("file", 0, is_outer=True)
        self._parents: list[_Frame] = []
        self._closed_from = 0  # the offset of the collection that ended last
        self._may_spread = spread  # until the first value
        self._has_spread = False

    def values(self) -> Iterator[tuple[int, Any]]:
        atoms, items, holds_one = self._atoms, self._frame.items, True
        for match in _TOKEN.finditer(self._text):
            kind: int = match.lastindex  # type: ignore[assignment]  # each alternative is a group
            token = match[kind]
            if kind == _ATOM:
                value = atoms.get(token, _missing)
                if value is _missing:
                    value = self._atom(token, match.start(kind))
            elif kind == _INTEGER:
                value = int(token)
            elif kind in _BORDERS:
                value = self._cross(kind, token, match.start(kind))
                items, holds_one = self._frame.items, self._frame.holds_one
                if value is _missing:
                    continue
            else:
                value = self._rare(kind, token, match.start(kind))
            items.append(value)
            if holds_one:
                yield from self._settle(self._closed_from if kind == _CLOSE else match.start(kind))
                items, holds_one = self._frame.items, self._frame.holds_one
        if self._parents:
            raise self._error(len(self._text), f"the text ends inside {self._described(self._frame)}; {_CUT_OFF}")

    def _settle(self, start: int) -> Iterator[tuple[int, Any]]:
        """Pass on the value in the current frame, which began at *start*: outwards, to the caller, or to nobody."""
        frame = self._frame
        while frame.holds_one:
            value = frame.items.pop()
            if frame.is_outer:
                if self._has_spread and not self._parents:
                    raise self._error(start, "there is a value after the end of the vector or list; keep one of them")
                self._may_spread = False
                yield start, value
                return
            start = frame.start
            self._frame = self._parents.pop()
            if frame.kind == _DISCARD:
                return
            frame = self._frame
            frame.items.append(value)

    def _cross(self, kind: int, token: str, start: int) -> Any:
        """Enter or leave a frame. Return the collection that ends, or ``_missing`` if there is none for the frame."""
        if kind == _CLOSE:
            return self._close(token, start)
        if kind in (_COMMENT, _LAST):
            return _missing
        if len(self._parents) == MOST_NESTED:
            raise self._error(start, f"more than {MOST_NESTED} collections and tags are inside each other")
        self._parents.append(self._frame)
        self._frame = _Frame(token, start) if kind == _PREFIX else self._make_collection(token, start)
        return _missing

    def _make_collection(self, token: str, start: int) -> _Frame:
        opening, namespace = token, ""
        if token.startswith("#:"):
            opening, namespace = "{", token[2:-1].strip(_BLANKS)
        name, close = _COLLECTIONS[opening]
        spreads = self._may_spread and len(self._parents) == 1 and opening in "[("
        if spreads:
            self._may_spread, self._has_spread = False, True
        return _Frame(name, start, close, namespace=namespace, is_outer=spreads)

    def _close(self, token: str, start: int) -> Any:
        """Return the collection that *token* ends; ``_missing`` if its items went to the caller."""
        frame = self._frame
        if not self._parents:
            raise self._error(start, f"{token!r} ends nothing: no collection has begun")
        if frame.close != token:
            wanted = f"needs {frame.close!r} first" if frame.close else "needs a value first"
            raise self._error(start, f"{token!r} does not fit: {self._described(frame)} {wanted}")
        self._frame = self._parents.pop()
        self._closed_from = frame.start
        if frame.is_outer:
            return _missing
        if frame.kind == "map":
            return self._map(frame)
        if frame.kind == "set" and len(set(map(as_json, frame.items))) < len(frame.items):
            raise self._error(frame.start, "this set has a value twice")
        return frame.items

    def _map(self, frame: _Frame) -> dict[str, Any]:
        names, values = frame.items[::2], frame.items[1::2]
        if len(names) > len(values):
            raise self._error(frame.start, f"the last key of this map has no value: {cut_json(names[-1])}")
        if set(map(type, names)) != _ONLY_TEXTS:
            names = [name if isinstance(name, str) else as_json(name).decode() for name in names]
        if frame.namespace:
            names = [_qualified(name, frame.namespace) for name in names]
        found = dict(zip(names, values, strict=True))
        if len(found) < len(names):
            twice = next(name for name, times in Counter(names).items() if times > 1)
            raise self._error(frame.start, f"this map has the key {cut_json(twice)} twice, or in two forms")
        return found

    def _described(self, frame: _Frame) -> str:
        line, column = place_of(self._text, frame.start)
        what = frame.kind if frame.close else f"tag {cut_text(frame.kind)}"
        return f"the {what} of line {line}, column {column}"

    def _error(self, offset: int, reason: str) -> ReadingError:
        return error_at(self._text, offset, reason)

    # Single values

    def _atom(self, token: str, start: int) -> Any:
        first, second = token[0], token[1:2]
        if first in _DIGITS or (first in "+-" and second and second in _DIGITS):
            return self._number(token, start)
        value = token.removeprefix(":")
        if first in "@^`~'" or not value or (first == ":" and (value[0] in ":/" or value[-1] in ":/")):
            raise self._error(start, f"{cut_text(token)!r} is no keyword, symbol or number of EDN")
        self._atoms[token] = value
        return value

    def _number(self, token: str, start: int) -> Any:
        if len(token) > MOST_DIGITS:
            raise self._error(start, f"this number has {len(token):,} characters; the limit is {MOST_DIGITS:,}")
        found = _NUMBER.fullmatch(token)
        match found and found.lastgroup:
            case "integer":
                return int(token.removesuffix("N"))
            case "hexadecimal":
                return int(token.removesuffix("N"), 16)
            case "ratio":
                return token.removeprefix("+")
            case "float":
                number = float(token)
                return number if math.isfinite(number) else _SPECIAL[f"##{'-' * (number < 0)}Inf"]
            case "decimal":
                return _exact(token.removesuffix("M"))
        raise self._error(start, f"{cut_text(token)!r} is no number of EDN")

    def _rare(self, kind: int, token: str, start: int) -> Any:
        if kind == _STRING:
            return self._string(token, start)
        if kind == _LITERAL:
            return self._literal(token, start)
        if token in ('"', "\\"):
            line, column = place_of(self._text, start)
            what = "string" if token == '"' else "character"
            raise self._error(
                len(self._text), f"the text ends inside the {what} of line {line}, column {column}; {_CUT_OFF}"
            )
        raise self._error(start, f"{self._text[start : start + 2]!r} begins no value of EDN")

    def _string(self, token: str, start: int) -> str:
        text = token[1:-1]
        if "\\" not in text:
            return text

        def unescape(match: re.Match[str]) -> str:
            escaped = match[1]
            if escaped[0] == "u" and len(escaped) > 1:
                return chr(int(escaped[1:], 16))
            if escaped[0] in _OCTAL_DIGITS:
                return chr(int(escaped, 8))
            if escaped not in _ESCAPED:
                raise self._error(start + 1 + match.start(), f"{match[0]!r} is no escape sequence of a string")
            return _ESCAPED[escaped]

        return self._joined(_ESCAPE.sub(unescape, text), start)

    def _literal(self, token: str, start: int) -> str:
        """Return a character, or a special number, such as ``##NaN``, as a string."""
        if token in _SPECIAL:
            return _SPECIAL[token]
        name = token[1:]
        if token[0] == "\\" and len(name) == 1:
            return name
        if name in _CHARACTERS:
            return _CHARACTERS[name]
        if re.fullmatch(r"u[0-9A-Fa-f]{4}", name):
            return self._joined(chr(int(name[1:], 16)), start)
        if re.fullmatch(r"o[0-3]?[0-7]{1,2}", name):
            return chr(int(name[1:], 8))
        raise self._error(start, f"{cut_text(token)!r} is no character or special number of EDN")

    def _joined(self, text: str, start: int) -> str:
        """Return *text* with surrogate pairs as characters; Java writes characters above U+FFFF as two escapes."""
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise self._error(start, "this value has half of a surrogate pair, which is no character") from None


def _qualified(name: str, namespace: str) -> str:
    """Return a key of the map ``#:namespace{...}``; the namespace ``_`` means none."""
    if name.startswith("_/"):
        return name.removeprefix("_/")
    return name if "/" in name else f"{namespace}/{name}"


def _exact(text: str) -> float | str:
    """Return the decimal number in *text* as a float if that is exact, and otherwise *text*."""
    number = float(text)
    try:
        return number if Decimal(text) == Decimal(number) else text
    except ArithmeticError:  # an exponent of 20 digits
        return text
