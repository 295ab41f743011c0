"""The how-to pages are true: what they have their reader type and run prints what they show.

A page is of one of two kinds. It has one program, beside it and under its name, which runs in the clone; or it is a
session: files to type, from the folder with its name, and commands to run (see `support.page_runner`).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from support.page_runner import blocks, files_shown, follow, inherited
from support.paths import DOCS
from support.processes import run
from support.table_of_contents import pages_of

FOLDER = DOCS / "how-to"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index")
PROGRAMS = [page for page in PAGES if (FOLDER / f"{page}.py").exists()]
SESSIONS = [page for page in PAGES if page not in PROGRAMS]

# Their commands need three machines, certificates, root or a NATS server; `tests/cli/test_nats_commands.py`,
# `tests/metrics/` and `tests/docs/test_namespaces.py` test the same.
NOT_RUN = {"nats", "monitor", "namespaces"}


def text_of(page: str) -> str:
    """Return the page's source."""
    return (FOLDER / f"{page}.md").read_text()


@pytest.mark.parametrize("page", PROGRAMS)
async def test_program_prints_what_its_page_shows(page: str) -> None:
    """The program of a page, run as a reader would, ends at once and without failure, and its output is the page's."""
    status, output, errors = await run(sys.executable, FOLDER / f"{page}.py", cwd=FOLDER, env=inherited())
    [shown] = [block.text for block in blocks(text_of(page)) if block.kind == "text"]
    assert output.decode() == shown, errors
    assert (status, "Traceback" in errors) == (0, False)


@pytest.mark.parametrize("page", PROGRAMS)
def test_page_shows_its_whole_program(page: str) -> None:
    """A page shows the file that is run, whole, and no other."""
    [block] = files_shown(text_of(page)).values()
    assert (block.name, block.path) == (f"docs/how-to/{page}.py", f"{page}.py")
    assert block.text == (FOLDER / f"{page}.py").read_text()


@pytest.mark.parametrize("page", [page for page in SESSIONS if page not in NOT_RUN])
async def test_commands_print_what_their_page_shows(page: str, tmp_path: Path) -> None:
    """Typed and run in an empty directory, each command of a page prints what the page says it does."""
    assert await follow(FOLDER / f"{page}.md", tmp_path) > 0


@pytest.mark.parametrize("page", SESSIONS)
def test_page_shows_every_file_in_its_folder(page: str) -> None:
    """A program or an input that no page shows is one that nobody reads, and none is of another page."""
    assert set(files_shown(text_of(page))) == {f"{page}/{path.name}" for path in files_of(page)}


@pytest.mark.parametrize("page", PAGES)
def test_tests_are_named_in_a_note_at_the_end_only(page: str) -> None:
    """A collapsed note names the tests that hold what the page says; they are no concern of a reader with a task."""
    text, begins, note = text_of(page).partition("\n<details>\n<summary>Tests for this page</summary>\n\n")
    assert begins
    assert note.endswith("\n\n</details>\n")
    assert re.search(r"`tests/[\w/]+\.py`", note)
    assert re.findall(r"`test_\w+`|Held by", text) == []


@pytest.mark.parametrize("page", PAGES)
def test_page_is_no_form_to_fill_in(page: str) -> None:
    """A page says what matters for its task: no phrase stands on each page, and no list has the same labels."""
    assert re.findall(r"(?i)mistake that everyone|^- \*\*(?:Units|Cancellation|Errors)\*\*", text_of(page), re.M) == []


def test_index_names_every_page() -> None:
    """The list and the table of contents have all pages, in the same order, and there is no program without a page."""
    listed = re.findall(r"^- \[.*\]\((.*)\.md\)$", text_of("index"), re.M)
    assert sorted(listed) == PAGES
    assert pages_of("how-to") == listed
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted([*PROGRAMS, "network"])
    folders = [path.name for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert sorted(folders) == [page for page in SESSIONS if files_shown(text_of(page))]


TOOLS = {"real_faults.py"}
"""Programs that the reader runs, and does not type."""


def test_pages_are_short() -> None:
    """A page with a program is a screen or two, a session a few; so is each file that the reader types."""
    for page in PROGRAMS:
        assert len((FOLDER / f"{page}.py").read_text().splitlines()) <= 72
        assert len(text_of(page).splitlines()) <= 144
    for page in SESSIONS:
        assert len(text_of(page).splitlines()) <= 300
        for path in files_of(page):
            assert len(path.read_text().splitlines()) <= (180 if path.name in TOOLS else 72)


def files_of(page: str) -> list[Path]:
    """Return the files of a session; a page with commands only has none."""
    return [path for path in (FOLDER / page).glob("*") if path.is_file()]
