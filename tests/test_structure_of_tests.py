"""The shape of the tests: folders that mirror the package's, small modules, helpers in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import trio_messenger

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent
PACKAGE = Path(trio_messenger.__file__).parent

MAX_LINES = 600

MORE = {
    "browser": "pages in a real browser, run by `nox -s browser`",
    "bench": "benchmarks and the soak",
    "docs": "the pages, and the programs and pictures on them",
    "node": "a node as a whole",
    "support": "helpers that several modules share",
}
"""Folders of the tests that mirror no folder of the package, and what is in them."""


def folders(root: Path) -> set[str]:
    """Return the folders below *root* that have Python files in them, by names without leading underscores."""
    found = {path.parent.relative_to(root) for path in root.rglob("*.py")} - {Path()}
    return {"/".join(part.removeprefix("_") for part in path.parts) for path in found}


def modules() -> list[str]:
    """Return the modules of the tests, as paths from the folder of the tests."""
    return sorted(path.relative_to(TESTS).as_posix() for path in TESTS.rglob("*.py"))


def test_each_folder_of_the_package_has_its_folder_of_tests() -> None:
    """A stranger who has found a module knows where its tests are."""
    assert folders(PACKAGE) - folders(TESTS) == set()


def test_no_other_folder_of_tests_needs_an_explanation() -> None:
    """A folder of tests mirrors one of the package, unless `MORE` says what it is for."""
    more = {name for name in folders(TESTS) - folders(PACKAGE) if name.partition("/")[0] not in MORE}
    assert more == set(), "say in MORE what they are for"
    assert MORE.keys() <= folders(TESTS)


def test_helpers_are_in_one_place() -> None:
    """Each module is a test module, a conftest, a program, or in `support` under the name of what it is for."""
    others = {name for name in modules() if not Path(name).name.startswith(("test_", "conftest."))}
    outside = {name for name in others if name.partition("/")[0] not in ("bench", "support")}
    assert outside == {"sim/campaign_run.py"}
    assert not [name for name in modules() if "harness" in name]


@pytest.mark.parametrize("name", modules())
def test_a_module_is_small_and_says_what_it_is_about(name: str) -> None:
    """A module of tests has a docstring, and no more than 600 lines."""
    text = (TESTS / name).read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= MAX_LINES
