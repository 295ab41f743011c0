"""The reader of EDN: each kind of value as JSON, and the place of everything that is no EDN."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from support.edn import damaged, random_value, written

from trio_messenger.sim._records.edn import MOST_DIGITS, read_values
from trio_messenger.sim._records.reading_errors import MOST_NESTED, ReadingError


def read(text: str) -> Any:
    """Return the only value in *text*."""
    [(_, value)] = read_values(text)
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("true", True),
        ("false", False),
        (":ok", "ok"),
        (":jepsen.core/ok", "jepsen.core/ok"),
        (":a:b", "a:b"),
        (":seek-to-beginning?", "seek-to-beginning?"),
        ("symbol", "symbol"),
        ("java.lang.Thread$State", "java.lang.Thread$State"),
        ("<init>", "<init>"),
        ("+", "+"),
        ("-", "-"),
        ("-a", "-a"),
        ("/", "/"),
        ("0", 0),
        ("-0", 0),
        ("+5", 5),
        ("42N", 42),
        ("-12345678901234567890123", -12345678901234567890123),
        ("9" * MOST_DIGITS, int("9" * MOST_DIGITS)),
        ("0x3f2", 1010),
        ("-0XfN", -15),
        ("1.5", 1.5),
        ("2.", 2.0),
        ("-1e3", -1000.0),
        ("+2.5E-1", 0.25),
        ("1e999", "Infinity"),
        ("-1e999", "-Infinity"),
        ("##Inf", "Infinity"),
        ("##-Inf", "-Infinity"),
        ("##NaN", "NaN"),
        ("1/3", "1/3"),
        ("+22/7", "22/7"),
        ("1.5M", 1.5),
        ("3M", 3.0),
        ("0.1M", "0.1"),
        ("1e99999999999999999999M", "1e99999999999999999999"),
        (r"\a", "a"),
        (r"\\", "\\"),
        (r"\newline", "\n"),
        (r"\space", " "),
        (r"\u00e9", "é"),
        (r"\o101", "A"),
        (r"\;", ";"),
        ('""', ""),
        (r'"a\tb\"c\\d\u00e9\101\n"', 'a\tb"c\\dé' + "A\n"),
        (r'"\ud83d\ude00"', "😀"),
        ('"two\nlines"', "two\nlines"),
        ("[]", []),
        ("[1 [2] #{3} (4 5)]", [1, [2], [3], [4, 5]]),
        ("#{1 true 1.0 nil}", [1, True, 1.0, None]),
        ("{}", {}),
        ('{:a 1, "b" 2, c 3}', {"a": 1, "b": 2, "c": 3}),
        ('{1 :a, nil :b, [1 "x"] :c, 1.5 :d}', {"1": "a", "null": "b", '[1,"x"]': "c", "1.5": "d"}),
        ("#:a{:b 1, :_/c 2, :d/e 3}", {"a/b": 1, "c": 2, "d/e": 3}),
        ("#:a {:b 1}", {"a/b": 1}),
        ('#inst "2026-01-01T00:00:00.000-00:00"', "2026-01-01T00:00:00.000-00:00"),
        ('#uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"', "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        ("#jepsen.history.Op{:f :read}", {"f": "read"}),
        ("#a #b [#c 1]", [1]),
        ('#object[java.lang.Object 0x1f "text"]', ["java.lang.Object", 31, "text"]),
        ("[1 #_2 #_[3 #{4}] 5]", [1, 5]),
        ("[#_ #_ 1 2 3]", [3]),
        ("#_ #tag 1 2", 2),
        ("[#tag #_ 1 2]", [2]),
        ("; nothing ]\n,,[1;2\n,\t3]", [1, 3]),
    ],
)
def test_each_kind_of_value_is_read(text: str, value: Any) -> None:
    """Each kind of value has one form in JSON; types count, too."""
    found = read(text)
    assert (found, repr(found)) == (value, repr(value))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[1 2", "line 1, column 5: the text ends inside the vector of line 1, column 1; the file may be cut off"),
        ("1\n {:a [1\n", "line 3, column 1: the text ends inside the vector of line 2, column 6; the file may be cut"),
        ("#tag", "line 1, column 5: the text ends inside the tag #tag of line 1, column 1; the file may be cut off"),
        ('[ "a\\"]', "line 1, column 8: the text ends inside the string of line 1, column 3; the file may be cut off"),
        ("\\", "line 1, column 2: the text ends inside the character of line 1, column 1; the file may be cut off"),
        ("1 ]", "line 1, column 3: ']' ends nothing: no collection has begun"),
        ("[1 {:a 2]", "line 1, column 9: ']' does not fit: the map of line 1, column 4 needs '}' first"),
        ("(#_)", "line 1, column 4: ')' does not fit: the tag #_ of line 1, column 2 needs a value first"),
        ("\n\n{:a 1 :b}", 'line 3, column 1: the last key of this map has no value: "b"'),
        ('{:a 1 "a" 2}', 'line 1, column 1: this map has the key "a" twice, or in two forms'),
        ("#{1 2 1}", "line 1, column 1: this set has a value twice"),
        ("01", "line 1, column 1: '01' is no number of EDN"),
        ("1_000", "line 1, column 1: '1_000' is no number of EDN"),
        ("1/0", "line 1, column 1: '1/0' is no number of EDN"),
        ("-1x", "line 1, column 1: '-1x' is no number of EDN"),
        ("9" * (MOST_DIGITS + 1), "line 1, column 1: this number has 1,001 characters; the limit is 1,000"),
        (":", "line 1, column 1: ':' is no keyword, symbol or number of EDN"),
        ("::a", "line 1, column 1: '::a' is no keyword, symbol or number of EDN"),
        (":a/", "line 1, column 1: ':a/' is no keyword, symbol or number of EDN"),
        ("@a", "line 1, column 1: '@a' is no keyword, symbol or number of EDN"),
        ('#"regex"', "line 1, column 1: '#\"' begins no value of EDN"),
        ("#<Object>", "line 1, column 1: '#<' begins no value of EDN"),
        (r'["ab\q"]', r"line 1, column 5: '\\q' is no escape sequence of a string"),
        (r'"a\ud83d"', "line 1, column 1: this value has half of a surrogate pair, which is no character"),
        (r"\ude00", "line 1, column 1: this value has half of a surrogate pair, which is no character"),
        (r"\newlines", r"line 1, column 1: '\\newlines' is no character or special number of EDN"),
        ("##Infinity", "line 1, column 1: '##Infinity' is no character or special number of EDN"),
    ],
)
def test_an_error_names_its_place(text: str, error: str) -> None:
    """Everything that is no EDN is refused, with the line, the column and the reason."""
    with pytest.raises(ReadingError) as caught:
        list(read_values(text))
    assert f"{caught.value}".startswith(error)


def test_values_come_with_their_offsets() -> None:
    """The offset of a value is that of its first character; the offset of a tagged value is that of the tag."""
    text = ' 1 ; one\n[2 3] #t #u {:a 4} "x"'
    assert [text[offset] for offset, _ in read_values(text)] == ["1", "[", "#", '"']


@pytest.mark.parametrize("text", ["[1 [2] #t 3]", "(1 [2] 3)", "#_[0] ; list\n [1 [2] #_4 3]"])
def test_the_first_vector_can_be_spread(text: str) -> None:
    """A text that is one vector or list gives its items one by one."""
    assert [value for _, value in read_values(text, spread=True)] == [1, [2], 3]


@pytest.mark.parametrize("text", ["1 [2] 3", "#t [1] 2", "{:a [1]} [2]"])
def test_only_a_vector_at_the_beginning_is_spread(text: str) -> None:
    """Vectors behind another value or a tag are values themselves."""
    assert list(read_values(text, spread=True)) == list(read_values(text))


@pytest.mark.parametrize("more", ["4", "[4]", "#_3 :a"])
def test_nothing_follows_a_vector_that_is_spread(more: str) -> None:
    """A second value after the vector is an error: perhaps two files became one."""
    with pytest.raises(ReadingError, match=r"^line 2, column \d: there is a value after the end of the vector or list"):
        list(read_values(f"[1 2]\n{more}", spread=True))


def test_nesting_has_a_limit() -> None:
    """Deep nesting is an error and not a RecursionError; up to the limit it is read."""
    assert read("[" * MOST_NESTED + "]" * MOST_NESTED)
    with pytest.raises(ReadingError, match=r"^line 1, column 201: more than 200 collections and tags are inside each"):
        read("[" * 100_000)
    with pytest.raises(ReadingError, match=r"^line 1, column 451: more than 200 "):
        read("#_ " * 100 + "#a(" * 100_000)


def test_any_value_survives() -> None:
    """Values in all forms that EDN has for them are read as what they were."""
    random = Random(1)
    for _ in range(150):
        value = random_value(random)
        assert read(written(value, random)) == value


def test_damaged_text_is_read_or_refused() -> None:
    """Whatever is in a text, the reader returns values, or raises its error with a place inside the text."""
    random = Random(2)
    text = written([random_value(random) for _ in range(8)], random).encode()
    for _, content in zip(range(500), damaged(text, random), strict=False):
        broken = content.decode(errors="replace")
        try:
            list(read_values(broken, spread=random.random() < 0.5))
        except ReadingError as exc:
            lines, refused = broken.split("\n"), exc
        else:
            continue
        assert 1 <= refused.line <= len(lines)
        assert 1 <= refused.column <= len(lines[refused.line - 1]) + 1
