"""The pictures of the documentation show what the code does now: made again, each is the one that is kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.paths import DOCS, ROOT

FOLDER = DOCS / "pictures"
MAKE = FOLDER / "make.py"
KEPT = sorted(path.name for path in FOLDER.glob("*.svg"))


def make(folder: Path, *names: str, hash_seed: str = "1") -> tuple[int, str, str]:
    """Make pictures in *folder*, all if there are no *names*; return status, output and errors."""
    command = [sys.executable, str(MAKE), *names, "--to", str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_code_makes_those_that_are_kept(tmp_path: Path) -> None:
    """Each picture in docs/pictures is made by the code beside it, comes out the same again, and no other is made."""
    status, _, errors = make(tmp_path)
    assert (status, errors) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == KEPT
    stale = [name for name in KEPT if (tmp_path / name).read_bytes() != (FOLDER / name).read_bytes()]
    assert not stale, f"run `python docs/pictures/make.py {' '.join(stale)}`, look at what has changed, and keep it"


def test_a_picture_can_be_made_by_its_name(tmp_path: Path) -> None:
    """Only those that are named are made, whatever the hash seed."""
    status, output, errors = make(tmp_path, KEPT[0], hash_seed="2")
    assert (status, output, errors) == (0, f"wrote {KEPT[0]}\n", "")
    assert [path.name for path in tmp_path.iterdir()] == KEPT[:1]
    assert (tmp_path / KEPT[0]).read_bytes() == (FOLDER / KEPT[0]).read_bytes()


def test_a_name_that_means_nothing_is_told(tmp_path: Path) -> None:
    """A misspelt name is answered with those that there are."""
    status, _, errors = make(tmp_path, "flors.svg")
    assert status == 2
    assert "nothing makes 'flors.svg'; there are: " in errors
    assert all(name in errors for name in KEPT)


@pytest.mark.parametrize("name", KEPT)
def test_a_picture_is_whole_and_says_what_it_shows(name: str) -> None:
    """It is XML, has a size and a label for those who cannot see it, and needs nothing from elsewhere."""
    root = ElementTree.parse(FOLDER / name).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert float(root.get("width", "0")) > 0
    assert root.get("aria-label")
    outside = re.findall(r"https?://[^\s\"'<]+", (FOLDER / name).read_text(encoding="utf-8"))
    assert set(outside) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", KEPT)
def test_a_picture_stands_on_a_page_with_words_for_it(name: str) -> None:
    """Some page or the README shows the picture, with a text in its place."""
    pages = (path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *DOCS.rglob("*.md")])
    assert any(re.search(rf"!\[[^\]]+\]\([^)]*pictures/{re.escape(name)}\)", text) for text in pages)


def test_a_wide_picture_scrolls_on_a_phone(tmp_path: Path) -> None:
    """Built with the settings of the documentation, a wide picture has a box that scrolls, and a small one has none."""
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    (tmp_path / "_static").mkdir()
    for name in ("conf.py", "_static/pictures.css", "pictures/asking.svg", "pictures/leak.svg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(DOCS / name, tmp_path / name)
    figures = (f"![{name}](pictures/{name}.svg)\n\nWords.\n" for name in ("asking", "leak"))
    (tmp_path / "index.md").write_text("# Pictures\n\n" + "\n".join(figures))
    (tmp_path / "_toc.yml").write_text("root: index\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(tmp_path), str(tmp_path / "built")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    html = (tmp_path / "built" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<div class="wide-picture[^>]*>\s*<img[^>]* alt="(\w+)"', html) == ["asking"]
    assert "_static/pictures.css" in html
