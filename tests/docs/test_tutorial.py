"""The tutorial is true: who types each chapter's files and runs its commands sees, at every step, what its page shows.

How a page is read and followed says `support.page_runner`.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from typing import Final

import pytest
from support.page_runner import files_shown, follow
from support.paths import DOCS
from support.table_of_contents import pages_of

FOLDER: Final = DOCS / "tutorial"
PAGES: Final = sorted(path.stem for path in FOLDER.glob("[0-9][0-9]-*.md"))

COLUMNS: Final = 120
"""The width of the reader's terminal."""


def text_of(page: str) -> str:
    """Return the page's source."""
    return (FOLDER / f"{page}.md").read_text()


def folder_of(page: str) -> Path:
    """Return where the files of the page are."""
    return FOLDER / page.partition("-")[0]


@pytest.mark.parametrize("page", [pytest.param(page, marks=pytest.mark.slow if page >= "10" else ()) for page in PAGES])
async def test_reader_sees_what_the_page_shows(page: str, tmp_path: Path) -> None:
    """Typed and run in an empty directory, each command of a chapter prints what the page says it does."""
    if page.startswith("12"):
        missing = [name for name in ("nats-server", "curl") if shutil.which(name) is None]
        missing += [name for name in ("nats", "prometheus_client") if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"chapter 12 needs {', '.join(missing)}")
    ran = await follow(FOLDER / f"{page}.md", tmp_path, COLUMNS)
    assert ran, "a chapter without a command shows nothing that is real"


@pytest.mark.parametrize("page", PAGES)
def test_page_uses_every_file_in_its_folder(page: str) -> None:
    """A program or an input that no page shows is one that nobody reads; one of another chapter may be shown again."""
    text = text_of(page)
    folder = folder_of(page)
    shown = files_shown(text)
    own = {path for path in shown if path.startswith(f"{folder.name}/")}
    assert own == {f"{folder.name}/{path.name}" for path in folder.iterdir() if path.is_file()}
    for block in shown.values():
        assert block.name == Path(str(block.name)).name, f"line {block.line}: the reader saves it in one directory"


@pytest.mark.parametrize("page", PAGES)
def test_page_has_its_parts(page: str) -> None:
    """A chapter has its number, says where its files are, and begins with what is wrong. It ends with what we know now
    and with three things to try, each with an answer."""
    text = text_of(page)
    number = int(page.partition("-")[0])
    assert re.match(rf"# {number}\. \w", text)
    assert f"`docs/tutorial/{number:02}`" in text
    for once in ("(don't copy)\n", "**The flaw**"):
        assert text.count(once) == 1, once
    assert text.index("(don't copy)\n") < text.index("**The flaw**") < text.index("## What we know now")
    assert re.findall(r"^- ", section(text, "What we know now"), re.M), "what we know now is a list"
    to_try = section(text, "Three things to try")
    assert re.findall(r"^(\d+)\. ", to_try, re.M) == ["1", "2", "3"]
    assert re.findall(r"^<summary>Answer to (\d+)</summary>$", to_try, re.M) == ["1", "2", "3"]


def section(text: str, heading: str) -> str:
    """Return what is between *heading*, which is there once, and the next one."""
    [body] = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return str(body)


def test_index_names_every_chapter() -> None:
    """The list, numbered, and the table of contents have all chapters in their order, and no others."""
    text = text_of("index")
    listed = re.findall(r"^(\d+)\. \[.*\]\((.*)\.md\)", text, re.M)
    assert [stem for _, stem in listed] == PAGES
    assert [number for number, _ in listed] == [str(number) for number in range(1, len(PAGES) + 1)]
    assert pages_of("tutorial") == PAGES
    assert sorted(path.name for path in FOLDER.iterdir() if path.is_dir()) == [folder_of(page).name for page in PAGES]
