"""The page of a store: a table of all runs. A script in it sorts and filters; without one, the table is complete."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Final, final
from urllib.parse import quote

import attrs

from .._checkers import Valid
from ._html import VERDICT_MARKS, html_document, unordered
from ._svg import element, escape, plural

MARK: Final = "<!-- written by trio-messenger: all runs of a store -->"
"""A part of each page of a store, by which a later run knows that it may replace the page."""

_INTRODUCTION: Final = (
    "All runs in this folder, the latest first. Each name links to the report of a run: its verdict, the reasons, and"
    " its messages. Dates are those of the machine that made the run."
)

_HEADINGS: Final = ("run", "verdict", "workload", "seed", "node under test", "nodes", "faults", "date")
_NUMBERS: Final = ("seed", "nodes", "faults")


@final
@attrs.frozen(kw_only=True)
class RunSummary:
    """A run in the table."""

    folder: str
    """The folder of the run, relative to the store, such as ``broadcast/7``."""
    verdict: Valid
    """The verdict of the run."""
    workload: str
    """Its workload."""
    seed: int
    """Its seed."""
    node: str
    """What was tested, such as ``broadcast`` or ``board:node``; empty if no command line can name it."""
    nodes: int
    """The number of nodes."""
    faults: int
    """The number of faults in its schedule."""
    written_at: float
    """The time of day when its files were written, in seconds since the epoch."""


def store_page(runs: Sequence[RunSummary], unreadable: Sequence[tuple[str, str]] = ()) -> str:
    """Return the page of a store, which must be saved in the store's folder: links are relative.

    Args:
      runs: All runs, in any order; the page shows the latest one first.
      unreadable: Folders of runs that cannot be read: for each its path, relative to the store, and the reason.
    """
    latest_first = sorted(runs, key=lambda run: (-run.written_at, run.folder))
    verdicts = [
        f"{count:,} {word}"
        for verdict, (_, word) in VERDICT_MARKS.items()
        if (count := sum(run.verdict == verdict for run in runs))
    ]
    text = f"{plural(len(runs), 'run')}: {', '.join(verdicts)}" if runs else "no runs"
    body = [
        MARK,
        element("h1", "Runs"),
        element("p", _INTRODUCTION, class_="introduction"),
        element("p", f"{text}.", id="count", role="status"),
        _table(latest_first),
    ]
    if unreadable:
        reasons = (f"{_link(folder, '')}: {escape(reason)}" for folder, reason in unreadable)
        body.append(element("section", element("h2", "Runs that cannot be read"), unordered(reasons, "files")))
    return html_document(f"Runs: {text}", body, script="store_page.js")


def _table(runs: Sequence[RunSummary]) -> str:
    def heading(name: str) -> str:
        is_sorted = "descending" if name == "date" else None
        return element("th", name, scope="col", aria_sort=is_sorted, class_="number" if name in _NUMBERS else None)

    head = element("thead", element("tr", *map(heading, _HEADINGS)))
    body = element("tbody", "\n", "\n".join(map(_row, runs)), "\n")
    return element(
        "div", element("table", head, body, id="runs"), class_="wide", role="region", tabindex="0", aria_label="Runs"
    )


def _row(run: RunSummary) -> str:
    class_, word = VERDICT_MARKS[run.verdict]
    cells = [
        element("td", _link(run.folder), class_="run"),
        element("td", element("span", word, class_=f"mark-{class_}")),
        element("td", escape(run.workload)),
        _number(run.seed),
        element("td", _breakable(run.node) or "made by a program", class_="node"),
        _number(run.nodes),
        _number(run.faults),
        element("td", _date(run.written_at), data_value=run.written_at),
    ]
    return element("tr", *cells, data_verdict=class_)


def _number(value: int) -> str:
    return element("td", f"{value}", class_="number", data_value=f"{value}")


def _link(folder: str, file: str = "index.html") -> str:
    return element("a", escape(folder), href=f"{quote(folder, errors='surrogateescape')}/{file}")


def _breakable(name: str) -> str:
    """Return *name* with places where a browser may break the line: after each dot, colon and slash."""
    return "<wbr/>".join(map(escape, re.split(r"(?<=[.:/])", name)))


def _date(seconds: float) -> str:
    local = time.localtime(seconds)
    text = time.strftime("%Y-%m-%d %H:%M:%S", local)
    return element("time", text, datetime=time.strftime("%Y-%m-%dT%H:%M:%S%z", local))
