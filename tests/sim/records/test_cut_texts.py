"""Long texts that are cut: the beginning, and a mark that there is more."""

from __future__ import annotations

import pytest

from trio_messenger.sim._records.cut_texts import CUT_AT, cut_json, cut_line, cut_text


def test_a_short_text_stays_as_it_is() -> None:
    """A text of exactly the limit is whole."""
    assert cut_text("") == ""
    assert cut_text("x" * CUT_AT) == "x" * CUT_AT


def test_a_long_text_is_cut_and_marked() -> None:
    """Three dots say that there is more."""
    assert cut_text("x" * (CUT_AT + 1)) == "x" * CUT_AT + "..."
    assert cut_text("12345", 4) == "1234..."


def test_a_value_is_cut_as_its_json() -> None:
    """Letters of any language stay letters."""
    assert cut_json({"ä": 1}) == '{"ä": 1}'
    assert cut_json("ä" * CUT_AT) == '"' + "ä" * (CUT_AT - 1) + "..."


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"", "''"),
        (b"\x1b[0m\xff", r"'\x1b[0m\ufffd'"),
        (b"x" * CUT_AT, f"'{'x' * CUT_AT}'"),
        (b"x" * (CUT_AT + 1), f"'{'x' * CUT_AT}'..."),
    ],
)
def test_a_line_can_be_shown_anywhere(line: bytes, shown: str) -> None:
    """A line that is cut has no control characters and no broken UTF-8, and it is as short as that of a text."""
    assert cut_line(line) == shown
