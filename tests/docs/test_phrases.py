"""No text for users has a phrase that is wrong in every context: archaic, a riddle, or a filler."""

from __future__ import annotations

import importlib
import re

import pytest
from support.paths import DOCS, ROOT

from trio_messenger._cli import _COMMANDS, _DESCRIPTION, _EXAMPLES
from trio_messenger._cli.parsing import Parser

INSTEAD = {
    "as ever": "as usual",
    "at an end": "over",
    "at the most": "at most",
    "befalls?|befell": "happens to",
    "beside": "next to, besides, or as well as",
    "by and by": "gradually, or later",
    "for ever": "forever",
    "for want of": "because there is no",
    "held by": "name the test in the note at the end of the page",
    "(?<!there )(?:is|are|was|were) (?-i:none)": "is not one",
    "is dear": "is expensive",
    "is no more": "has ended",
    "mistake (?:that )?everyone makes": "a common mistake",
    "so many": "this number of",
    "somebody": "someone, or say who",
    "thereof|thereby|therein|whereby": "of it, so, in it, by which",
    "to be had": "available",
    "whoever": "the one who, or say who",
}
"""The phrases, as regular expressions, and what to write instead."""

PHRASES = re.compile(rf"\b(?:{'|'.join(INSTEAD)})\b", re.IGNORECASE)

TEXTS = sorted(
    str(path.relative_to(ROOT))
    for path in (*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md")
    if "_build" not in path.parts
)


def phrases_in(text: str) -> list[str]:
    """Return the phrases in *text* that are refused, and what to write instead, without code."""
    prose = re.sub(r"^ *(```+)[^\n]*\n.*?^ *\1$|`[^`\n]+`", "", text, flags=re.MULTILINE | re.DOTALL)
    prose = " ".join(prose.split())
    found = []
    for phrase in PHRASES.finditer(prose):
        instead = next(INSTEAD[each] for each in INSTEAD if re.search(each, phrase[0], re.IGNORECASE))
        found.append(f"...{prose[max(0, phrase.start() - 30) : phrase.end() + 30]}... instead: {instead}")
    return found


@pytest.mark.parametrize("page", TEXTS)
def test_a_page_has_no_phrase_that_is_always_wrong(page: str) -> None:
    """The pages, the README and the changelog are in plain English."""
    assert phrases_in((ROOT / page).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("command", _COMMANDS)
def test_help_has_no_phrase_that_is_always_wrong(command: str) -> None:
    """The help of each command is in plain English."""
    parser = Parser()
    module, summary = _COMMANDS[command]
    importlib.import_module(f"trio_messenger._cli.{module}").configure(parser)
    assert phrases_in(f"{_DESCRIPTION}{_EXAMPLES}{summary}\n{parser.format_help()}") == []


def test_the_phrases_are_found() -> None:
    """In prose, over the end of a line and in capital letters, but not in code."""
    [found] = phrases_in("It waits for\never.\n\n```python\n# for ever\n```\n\n`for ever`")
    assert found.endswith("instead: forever")
    assert phrases_in("Held by: the tests") != []
    assert phrases_in("It waits forever.") == []
