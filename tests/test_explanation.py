"""The pages of explanation name tests that exist, show what programs print, and can be found."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness_pages import inherited

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "explanation"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index")
TESTS = ROOT / "tests"


def text_of(page: str) -> str:
    return (FOLDER / f"{page}.md").read_text(encoding="utf-8")


def functions_of(path: Path) -> set[str]:
    """Return the names of the test functions in a file."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_that_a_page_names_exist(page: str) -> None:
    """Each claim that a page gives a test for is held by a test of that name, in a file that the page names as well."""
    text = text_of(page)
    files = [ROOT / name for name in re.findall(r"`(tests/[\w/]+\.py)`", text)]
    missing = [str(path.relative_to(ROOT)) for path in files if not path.is_file()]
    assert not missing
    named = set(re.findall(r"`(test_\w+)`", text))
    there = set[str]().union(*map(functions_of, files))
    assert named - there == set()


@pytest.mark.parametrize("page", PAGES)
def test_the_code_that_a_page_names_exists(page: str) -> None:
    """Each file of the package or the documentation that a page speaks of is there."""
    names = re.findall(r"`((?:trio_messenger|docs)/[\w./-]+)`", text_of(page))
    assert [name for name in names if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_read_in_one_go(page: str) -> None:
    """It is listed in the index, and has 250 lines at the most."""
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert f"]({page}.md)" in index
    assert re.search(rf"^{page}$", index, re.M)
    assert len(text_of(page).splitlines()) <= 250


def test_the_check_for_determinism_says_what_the_page_shows(tmp_path: Path) -> None:
    """The node of the page, run as it says there, gives the output that it shows, up to where that is cut off."""
    [block] = re.findall(r"^```console\n(.*?)^```$", text_of("determinism"), re.M | re.S)
    command, _, shown = block.removeprefix("$ trio-messenger ").partition("\n")
    beginning, cut, rest = shown.partition("...\n")
    assert (cut, rest) == ("...\n", "")
    shutil.copy(FOLDER / "greeting.py", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "trio_messenger", *command.split()],
        cwd=tmp_path,
        env=inherited(),
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert output.startswith(beginning), output
    assert done.returncode == 1
