"""Names out of a fixed list: an error asks for the one that was probably meant, and lists all."""

from __future__ import annotations

import pytest

from trio_messenger._protocol.known_names import meant, nearest, unknown

KNOWN = ("serializable", "strict-serializable", "read-committed", "kill")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("serialisable", "serializable"),
        ("SERIALIZABLE", "serializable"),
        ("read_comitted", "read-committed"),
        ("str", "strict-serializable"),
        ("st", None),
        ("linearizable", None),
        ("", None),
        ("x" * 5000, None),
        (None, None),
        (["kill"], None),
    ],
)
def test_the_nearest_name(name: object, expected: str | None) -> None:
    """One that is similar, in upper or lower case, or that begins so; anything may have been given."""
    assert nearest(name, KNOWN) == expected


def test_what_was_meant_comes_before_the_list() -> None:
    """Without it, the list follows at once."""
    names = "serializable, strict-serializable, read-committed, kill"
    assert unknown("word", "kil", KNOWN) == f"there is no word 'kil'; did you mean 'kill'? There are: {names}"
    assert unknown("word", "fire", iter(KNOWN)) == f"there is no word 'fire'; there are: {names}"
    assert (meant("kil", KNOWN), meant("fire", KNOWN)) == ("; did you mean 'kill'?", "")


def test_a_long_name_is_cut() -> None:
    """It may be a whole file that was typed by mistake."""
    assert len(unknown("word", "x" * 5000, ["kill"])) < 150
