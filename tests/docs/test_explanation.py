"""The pages of explanation show what programs print, and can be found."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.page_runner import inherited
from support.paths import DOCS
from support.table_of_contents import pages_of

FOLDER = DOCS / "explanation"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index")


def text_of(page: str) -> str:
    return (FOLDER / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_read_in_one_go(page: str) -> None:
    """It is listed in the index, and has 250 lines at the most."""
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert f"]({page}.md)" in index
    assert page in pages_of("explanation")
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
