"""The page of a store: every run that is saved is on it, whatever else is in the store."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest
from support.html_pages import Page

from trio_messenger.nodes import echo
from trio_messenger.sim import Kill, Report, simulate
from trio_messenger.sim._judging import store_index
from trio_messenger.sim._judging.store import save
from trio_messenger.sim._system.folders import replace_file


@pytest.fixture(scope="module")
def report() -> Report:
    """The report of one run."""
    return simulate("echo", echo.build, nodes=2, seed=7, time_limit=1)


def rows(store: Path) -> list[list[str]]:
    """Return the rows of the page, without their dates."""
    return [row[:-1] for row in Page((store / "index.html").read_text()).cells[1:]]


def names(store: Path) -> list[str]:
    return [row[0] for row in rows(store)]


def test_every_run_is_listed(report: Report, tmp_path: Path) -> None:
    """The latest first, with what was tested; a run that replaces another one is listed once."""
    failed = simulate("echo", echo.build, nodes=1, seed=8, time_limit=1, faults=[Kill(nodes=["n1"], at=0)])
    for each, name in ((report, "7"), (failed, "8"), (report, "7")):
        folder = save(each, tmp_path, name)
        os.utime(folder / "schedule.json", (0, 0))
    save(attrs.evolve(report, node=("--bin", "./my node", "--", "-x")), tmp_path, "odd")
    assert rows(tmp_path) == [
        ["echo/odd", "valid", "echo", "7", "'./my node' -x", "2", "0"],
        ["echo/7", "valid", "echo", "7", "echo", "2", "0"],
        ["echo/8", "INVALID", "echo", "8", "echo", "1", "1"],
    ]


def test_what_is_no_run_is_left_out(report: Report, tmp_path: Path) -> None:
    """Files, links, hidden folders and folders without a schedule are not on the page."""
    for folder in (".hidden/7", "echo/.8.new", "mine/notes"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "echo" / ".8.new" / "schedule.json").touch()
    (tmp_path / "mine" / "file").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    save(report, tmp_path, "7")
    assert names(tmp_path) == ["echo/7"]
    assert "cannot be read" not in (tmp_path / "index.html").read_text()


def test_a_damaged_run_is_named_with_the_reason(report: Report, tmp_path: Path) -> None:
    """The others are listed as usual."""
    save(report, tmp_path, "6")
    (tmp_path / "echo" / "6" / "schedule.json").write_text("{")
    (tmp_path / "other" / "dir" / "schedule.json").mkdir(parents=True)
    (tmp_path / "other" / "half").mkdir()
    (tmp_path / "other" / "half" / "schedule.json").write_text('{"format": 1, "node": []}')
    save(report, tmp_path, "7")
    text = Page((tmp_path / "index.html").read_text()).text
    assert names(tmp_path) == ["echo/7"]
    assert "echo/6: schedule.json is not JSON: " in text
    assert "other/dir: " in text
    assert "other/half: schedule.json cannot be read: Object missing required field `options`" in text


def test_a_page_of_somebody_else_is_kept(report: Report, tmp_path: Path) -> None:
    """A file that no run has written, a folder of that name, and a link to nowhere stay as they are."""
    page = tmp_path / "index.html"
    page.write_text("mine")
    save(report, tmp_path, "7")
    assert page.read_text() == "mine"
    page.unlink()
    page.symlink_to("nowhere")
    save(report, tmp_path, "7")
    assert page.is_symlink()
    page.unlink()
    page.mkdir()
    save(report, tmp_path, "7")
    assert page.is_dir()


def test_a_page_that_cannot_be_written_leaves_nothing_behind(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier page stays, and the error is raised; the run is there."""
    save(report, tmp_path, "6")
    before = (tmp_path / "index.html").read_bytes()

    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device"):
        store_index.write_index(tmp_path)
    assert (tmp_path / "index.html").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["echo", "index.html", "latest"]


def test_runs_that_are_saved_at_the_same_time_are_all_listed(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here another run is saved after the first one has looked for runs, and before it writes the page."""
    others = ["8"]

    def write_later(path: Path, content: bytes) -> None:
        if others:
            save(report, tmp_path, others.pop())
        replace_file(path, content)

    monkeypatch.setattr(store_index, "replace_file", write_later)
    save(report, tmp_path, "7")
    assert sorted(names(tmp_path)) == ["echo/7", "echo/8"]


def test_a_folder_that_disappears_meanwhile_is_no_error(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may remove it after it was found."""
    save(report, tmp_path, "7")
    found = Path.is_dir

    def removed(path: Path) -> bool:
        is_folder = found(path)
        if path.name == "gone":
            path.rmdir()
        return is_folder

    (tmp_path / "gone").mkdir()
    monkeypatch.setattr(Path, "is_dir", removed)
    store_index.write_index(tmp_path)
    assert names(tmp_path) == ["echo/7"]
