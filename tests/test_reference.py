"""The reference is complete: every public name is on one of its pages, and so is every command."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

import trio_messenger
import trio_messenger.sim
import trio_messenger.testing
from trio_messenger._cli import _COMMANDS

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MODULES = {"api": trio_messenger, "simulator": trio_messenger.sim}


def documented(page: str) -> set[str]:
    """Return the names that a page documents by a directive of autodoc."""
    text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    return {name.rpartition(".")[2] for name in re.findall(r"^\.\. auto(?!module)\w+:: ([\w.]+)$", text, re.M)}


def exported(module: ModuleType) -> set[str]:
    """Return the public names of *module* that are no modules."""
    names = {name for name in vars(module) if not name.startswith("_")}
    return {name for name in names if not isinstance(getattr(module, name), ModuleType)}


@pytest.mark.parametrize("page", MODULES)
def test_every_export_is_on_the_page(page: str) -> None:
    """What a package exports, the page of it documents."""
    assert exported(MODULES[page]) - documented(page) == set()


def test_every_helper_for_tests_is_on_the_page() -> None:
    """What `trio_messenger.testing` defines itself, its page documents."""
    module = trio_messenger.testing
    own = {name for name in exported(module) if getattr(vars(module)[name], "__module__", "") == module.__name__}
    assert own == {"Network", "running", "assert_no_rpc_leaked"}
    assert own <= documented("testing")


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_is_on_the_page(command: str) -> None:
    """Each command has a section."""
    assert f"## `trio-messenger {command}" in (FOLDER / "cli.md").read_text(encoding="utf-8")
