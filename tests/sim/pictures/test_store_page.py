"""The page of a store: which runs it lists, in what order. tests/browser has its script."""

from __future__ import annotations

import time
from typing import Any

import pytest
from support.html_pages import Page
from support.pictures import NASTY

from trio_messenger.sim.pictures._store_page import RunSummary, store_page

HEADINGS = ["run", "verdict", "workload", "seed", "node under test", "nodes", "faults", "date"]


def summary(**fields: Any) -> RunSummary:
    usual: dict[str, Any] = {
        **{"folder": "echo/7", "verdict": True, "workload": "echo", "seed": 7},
        **{"node": "board:node", "nodes": 3, "faults": 2, "written_at": 0.0},
    }
    return RunSummary(**{**usual, **fields})


def test_a_run_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a link to its report, and the local time at which it was written."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        found = Page(store_page([summary(written_at=1_000_000_000.5)]))
    finally:
        monkeypatch.undo()
        time.tzset()
    row = ["echo/7", "valid", "echo", "7", "board:node", "3", "2", "2001-09-09 10:46:40"]
    assert found.cells == [HEADINGS, row]
    assert found.links() == ["echo/7/index.html"]
    assert ("time", {"datetime": "2001-09-09T10:46:40+0900"}) in found.elements


def test_the_latest_run_comes_first() -> None:
    """Runs of the same time are in the order of their names."""
    runs = [summary(folder=folder, written_at=at) for folder, at in [("b/1", 5), ("a/1", 5), ("c/1", 9), ("d/1", 1)]]
    assert Page(store_page(runs)).links() == [f"{name}/1/index.html" for name in "cabd"]


def test_runs_are_counted_by_verdict() -> None:
    """In the title and above the table, without the verdicts that no run has."""
    runs = [summary(verdict=verdict) for verdict in (True, False, False)]
    text = Page(store_page(runs)).text
    assert "Runs: 3 runs: 1 valid, 2 INVALID" in text
    assert "3 runs: 1 valid, 2 INVALID." in text
    assert "1 run: 1 unknown." in Page(store_page([summary(verdict="unknown")])).text
    assert "no runs." in Page(store_page([])).text


def test_a_run_of_a_program_has_no_name_of_a_node() -> None:
    """The cell says so."""
    assert Page(store_page([summary(node="")])).cells[1][4] == "made by a program"


def test_runs_that_cannot_be_read_are_named() -> None:
    """Below the table, with the reason and a link to the folder; there is no such part if all can be read."""
    found = Page(store_page([summary()], [("echo/8", "schedule.json is not JSON")]))
    assert "Runs that cannot be read" in found.text
    assert "echo/8: schedule.json is not JSON" in found.text
    assert found.links() == ["echo/7/index.html", "echo/8/"]
    assert "cannot be read" not in Page(store_page([summary()])).text


def test_names_are_text() -> None:
    """No name adds an element, and no link leads out of the store or to a scheme."""

    def tags(text: str) -> list[str]:
        run = summary(folder=f"echo/{text}", workload=text, node=text)
        page = store_page([run], [(f"echo/{text}", text)])
        return [tag for tag in Page(page).tags() if tag != "wbr"]  # where a long name may be broken

    assert tags(NASTY) == tags("plain")
    assert Page(store_page([summary(folder="javascript:x/#1?\udcff")])).links() == [
        "javascript%3Ax/%231%3F%FF/index.html"
    ]
    assert "://" not in store_page([summary()])
