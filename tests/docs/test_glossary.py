"""The glossary is in order, short, and about words that the documentation uses."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

import pytest
from support.paths import DOCS, ROOT

FOLDER = DOCS / "reference"


class Entry(NamedTuple):
    """One term of the glossary."""

    term: str
    text: str


def entries() -> list[Entry]:
    page = (FOLDER / "glossary.md").read_text(encoding="utf-8")
    found = re.findall(r"^- \*\*(.+?)\*\*(?: \(.+?\))?: ((?:.+\n)(?:  .+\n)*)", page, re.MULTILINE)
    assert len(found) == page.count("\n- ")
    return [Entry(term, " ".join(text.split())) for term, text in found]


def test_terms_are_in_alphabetical_order() -> None:
    """A reader finds a term without a search, and each is there once."""
    terms = [re.sub(r"\W|_", " ", entry.term.lower()) for entry in entries()]
    assert terms == sorted(set(terms))


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.term)
def test_a_term_is_explained_in_a_sentence_or_two(entry: Entry) -> None:
    """And a link says where there is more."""
    told, _, more = entry.text.partition(" See ")
    assert 1 <= len(re.findall(r"\.(?= |$)", told)) <= 2
    assert re.fullmatch(r"\[.+\]\((.+\.md)\)\.", more)


@functools.cache
def words() -> frozenset[str]:
    """Return the words of all other pages, and of the package, from which autodoc writes some."""
    pages = [path for path in DOCS.rglob("*.md") if "_build" not in path.parts and path.name != "glossary.md"]
    texts = [path.read_text(encoding="utf-8") for path in (*pages, *(ROOT / "trio_messenger").rglob("*.py"))]
    return frozenset(re.findall(r"[^\W_]+", " ".join(texts).lower()))


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.term)
def test_a_term_is_used(entry: Entry) -> None:
    """Other pages have its words, and the page that its link leads to is there."""
    assert set(re.findall(r"[^\W_]+", entry.term.lower())) <= words()
    [link] = re.findall(r"\((\S+\.md)\)\.$", entry.text)
    assert (FOLDER / link).is_file()
