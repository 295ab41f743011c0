"""The how-to pages are true: each program runs as it stands, and prints what its page shows."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from harness_process import run

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "how-to"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index")


def blocks(page: str, kind: str) -> list[str]:
    """Return the contents of the fenced blocks of one kind on a page."""
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```$", (FOLDER / f"{page}.md").read_text(), re.M | re.S)


@pytest.mark.parametrize("page", PAGES)
async def test_program_prints_what_its_page_shows(page: str) -> None:
    """The program of a page, run as a reader would, ends at once and without failure, and its output is the page's."""
    # A reader's Python finds what is beside the program; nox forbids that, to test the wheel and not the checkout.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    status, output, errors = await run(sys.executable, FOLDER / f"{page}.py", cwd=FOLDER, env=environment)
    [shown] = blocks(page, "text")
    assert output.decode() == shown, errors
    assert (status, "Traceback" in errors) == (0, False)


@pytest.mark.parametrize("page", PAGES)
def test_page_shows_its_whole_program(page: str) -> None:
    """A page includes the file that is run, whole."""
    text = (FOLDER / f"{page}.md").read_text()
    assert text.count(f"```{{literalinclude}} {page}.py\n:caption: docs/how-to/{page}.py\n```\n") == 1


@pytest.mark.parametrize("page", PAGES)
def test_page_says_what_there_is_to_say(page: str) -> None:
    """Units, cancellation, errors, and the mistake that everyone makes are on each page."""
    text = (FOLDER / f"{page}.md").read_text()
    for words in ("**The mistake that everyone makes**", "- **Units**:", "- **Cancellation**:", "- **Errors**:"):
        assert text.count(words) == 1, words


def test_index_names_every_page() -> None:
    """The list and the table of contents have all pages, in the same order, and there is no program without a page."""
    text = (FOLDER / "index.md").read_text()
    listed = re.findall(r"^- \[.*\]\((.*)\.md\)$", text, re.M)
    assert sorted(listed) == PAGES
    [toctree] = blocks("index", "{toctree}")
    assert toctree.split() == [":hidden:", *listed]
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted([*PAGES, "network"])


def test_programs_are_short() -> None:
    """A page is a screen or two."""
    for page in PAGES:
        assert len((FOLDER / f"{page}.py").read_text().splitlines()) <= 64
        assert len((FOLDER / f"{page}.md").read_text().splitlines()) <= 64
