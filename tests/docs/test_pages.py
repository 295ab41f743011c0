"""What holds for every page of the documentation: it is short, and what it names as its proof is there."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest
from support.paths import DOCS, ROOT
from support.table_of_contents import pages

PAGES = sorted(str(path.relative_to(ROOT)) for path in DOCS.rglob("*.md") if "_build" not in path.parts)


@functools.cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@functools.cache
def functions_of(path: Path) -> frozenset[str]:
    """Return the names of the functions of a file of tests."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def files_of(page: str, pattern: str) -> list[Path]:
    """Return the files and folders that a page names in code, with *pattern*; each has to be there."""
    found = []
    for name in re.findall(rf"`({pattern})`", text_of(page)):
        paths = sorted(ROOT.glob(name.rstrip("/"))) if "*" in name else [ROOT / name]
        assert paths, f"{page}: nothing is called {name}"
        for path in paths:
            assert path.exists(), f"{page}: there is no {name}"
        found += paths
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_400_lines_at_the_most(page: str) -> None:
    """Nobody reads a page that does not end."""
    assert len(text_of(page).splitlines()) <= 400


WRITTEN_BY_AUTODOC = {f"docs/reference/{name}.md" for name in ("api", "simulator", "testing")}


@pytest.mark.parametrize("page", [page for page in PAGES if page not in WRITTEN_BY_AUTODOC])
def test_a_page_reads_on_a_code_host_as_it_is(page: str) -> None:
    """It uses no directive, role or label of a documentation tool, which would show up as text there."""
    text = re.sub(r"^(```+)\w*\n.*?^\1$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    role = r"\{(?:[a-z]+:[a-z]+|ref|doc|term|numref|download)\}\s*`"
    assert re.findall(rf"^(?:```+|:::+) *\{{.*|{role}|^\([\w-]+\)=$|^:\w+:", text, re.MULTILINE) == []


def test_every_page_is_in_the_table_of_contents() -> None:
    """Once, and there is no other."""
    assert sorted(f"docs/{page}.md" for page in pages()) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_that_a_page_names_are_there(page: str) -> None:
    """A claim that a page gives a test for is held by a test of that name, in a file that the page names as well."""
    files = files_of(page, r"tests/[\w/*]+(?:\.py)?")
    there = frozenset[str]().union(*(functions_of(path) for path in files if path.suffix == ".py"))
    named = set(re.findall(r"`(test_\w+)`", text_of(page))) - {path.stem for path in files}
    assert named - there == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/contributing.md"])
def test_the_tests_are_named_in_the_note_at_the_end(page: str) -> None:
    """They help contributors, not users: the note is collapsed, and it is the last thing on the page."""
    text, note, rest = text_of(page).partition("\n<details>\n<summary>Tests for this page</summary>\n\n")
    assert re.findall(r"`tests/[^`]*`|[Hh]eld by", re.sub(r"^(```+).*?^\1$", "", text, flags=re.M | re.S)) == []
    assert not note or rest.partition("\n\n</details>\n")[2].strip() == ""


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_names_are_there(page: str) -> None:
    """So is whatever a page says of the package's own files and of the documentation's."""
    skipped = r"docs/_build|trio_messenger/nodes/NAME"  # made by a build; to be written by the reader
    for path in files_of(page, rf"(?!{skipped})(?:trio_messenger|docs|tests)/[\w./*-]+"):
        assert path.exists()


def test_the_questions_of_contributing_are_answered() -> None:
    """Each file that is given as an answer defines one of the names beside it, and each name is defined in one."""
    rows = re.findall(r"^\| (.+\?) \| (.+) \| (.+) \|$", text_of("docs/contributing.md"), re.MULTILINE)
    assert len(rows) == 12
    for question, places, answers in rows:
        files, names = re.findall(r"`([\w/.]+\.py)`", places), set(re.findall(r"`(\w+)`", answers))
        assert names, question
        assert names <= {name for file in files for name in defined_in(file)}, question
        assert all(names & defined_in(file) for file in files), question


def defined_in(file: str) -> set[str]:
    """Return the names of all functions and classes in *file*."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return set(re.findall(r"^ *(?:async )?(?:def|class) (\w+)", text, re.MULTILINE))
