"""Subjects: each id has one form, which a NATS server takes."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given, strategies as st

from trio_messenger.transports.subjects import LONGEST_PART, subject_part, subject_prefix


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("n1", "n1"),
        ("a_b-c~d", "a_b-c~d"),
        ("10.0.0.7", "10%2E0%2E0%2E7"),
        ("*", "%2A"),
        (">", "%3E"),
        ("a b\r\n", "a%20b%0D%0A"),
        ("%31", "%2531"),
        ("é/$", "%C3%A9%2F%24"),
        ("x" * LONGEST_PART, "x" * LONGEST_PART),
    ],
)
def test_an_id_as_a_part_of_a_subject(name: str, part: str) -> None:
    """Whatever has a meaning in a subject is escaped."""
    assert subject_part(name) == part


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_each_id_has_one_form_and_no_two_share_it(name: str) -> None:
    """The id can be read back, and the form contains nothing that splits or ends a subject."""
    part = subject_part(name)
    assert re.fullmatch(r"[A-Za-z0-9_~%-]+", part)
    assert unquote(part) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", r"^an id is empty, which no subject can hold; give it at least one character$"),
        ("\ud800", r"^'\\ud800' contains half of a surrogate pair; give an id that is text$"),
        (
            "x" * (LONGEST_PART + 1),
            r"^'x{79} has 256 characters in a subject, and 255 is the limit; give a shorter id$",
        ),
    ],
)
def test_an_id_that_no_subject_can_hold_is_refused(name: str, reason: str) -> None:
    """With the limit and the remedy."""
    with pytest.raises(ValueError, match=reason):
        subject_part(name)


def test_a_prefix_may_have_parts() -> None:
    """Dots in the prefix separate them; the cluster's name is one."""
    assert subject_prefix("org.team", "a.b") == "org.team.a%2Eb."
    with pytest.raises(ValueError, match=r"^an id is empty"):
        subject_prefix("org..team", "demo")
