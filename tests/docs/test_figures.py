"""The figures that pages of explanation quote are those of the last benchmark."""

from __future__ import annotations

import re

import pytest
from bench.cases_judging import CASES as JUDGING
from bench.cases_load import CASES as LOAD
from bench.cases_state import CASES as STATE
from bench.report import PAGE
from support.paths import DOCS

QUOTES = [
    ("architecture", "an echo takes {ours} of CPU if 300 echoes share a batch", "echo, flood, plain handler", "bare"),
    ("architecture", "a handler that waits once takes {ours}", "handler that waits once, flood", "own echo"),
    ("architecture", "a relay costs {ratio} times as much as an echo", "relay, 100 in flight", "own echo"),
    ("architecture", "is {ours} if nobody reads stdout", "peak RSS in the echo flood, stdout unread", ""),
    ("architecture", "and {ours} with a reader", "peak RSS in the echo flood", ""),
    ("architecture", "this takes {ours} from the end of stdin", "end of stdin to exit, 1,000 RPCs pending", ""),
    ("performance", "one echo takes {ours} of CPU time", "echo, flood, plain handler", "bare"),
    ("performance", "The `messenger` node takes {ours},", "echo, flood, messenger", "bare"),
    ("performance", "takes {ours}, {ratio} times as much as an echo. Trio", "relay, 100 in flight", "own echo"),
    ("performance", "The asyncio node needs {reference} for the same", "relay, 100 in flight", "asyncio"),
    ("performance", "once** takes {ours}, {ratio} times as much", "handler that waits once, flood", "own echo"),
    ("performance", "takes {ours} from the request to the reply", "single echo, p50, plain handler", "bare"),
    ("performance", "{ratio} times as long as the bare loop", "single echo, p50, plain handler", "bare"),
    ("performance", "takes {reference} after the first three", "RSS after 10 x 100,000 leaks", "at first"),
    ("performance", "and {ours} after the last three", "RSS after 10 x 100,000 leaks", "at first"),
    ("performance", "meets this, with {ratio}.", "echo, flood, plain handler", "bare"),
    ("performance", "The `messenger` takes {ratio}.", "echo, flood, messenger", "bare"),
    ("performance", "the two take {ratio} and", "echo, flood, plain handler", "bare, flushed"),
    ("performance", "and {ratio}.", "echo, flood, messenger", "bare, flushed"),
    ("reaper", "Each takes {ours}.", "bytes per pending callback RPC", ""),
    ("reaper", "adds {ours} to a task", "bytes that awaiting an RPC adds to a task", ""),
    ("reaper", "none of them due takes {ours}", "a sweep that finds none of 1,000,000 due", ""),
    ("reaper", "each costs {ours} in the table", "expiring 1,000,000 at once: the table alone, each", ""),
    ("reaper", "two passes of Trio's loop is {ours}", "expiring 1,000,000 at once: longest stall", ""),
]
"""The page, the sentence, and the line of the benchmark: its title, and the name of its reference."""


def lines_of_the_benchmark() -> dict[tuple[str, str], dict[str, str]]:
    """Return the figures of each line of the table, by title and reference."""
    found = {}
    rows = re.findall(r"^\| ([^|]+) \| ([\d,.]+ \w+) \| ([^|]*)\| ([\d.]*)", text_of("../benchmarks"), re.MULTILINE)
    for title, ours, against, ratio in rows:
        name, _, figure = against.strip().rpartition(" ")
        unit = ours.split()[-1]
        found[title, name] = {"ours": ours.replace(" B", " bytes"), "reference": f"{figure} {unit}", "ratio": ratio}
    return found


def text_of(page: str) -> str:
    return (DOCS / "explanation" / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "sentence", "title", "reference"), QUOTES)
def test_a_figure_is_that_of_the_benchmark(page: str, sentence: str, title: str, reference: str) -> None:
    """A page that says what something costs says what the last benchmark has measured."""
    figures = lines_of_the_benchmark()[title, reference]
    assert sentence.format_map(figures) in " ".join(text_of(page).split())


def test_the_page_of_the_benchmark_says_how_it_measures() -> None:
    """Its text is that of the program which writes it; only its figures, the date and the machine are older."""
    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    cases = [*(make(1.0, ()) for make in LOAD.values()), *(make(1.0) for make in (STATE | JUDGING).values())]
    about = "\n".join(f"- **{case.name}**: {case.about}" for case in cases)
    beginning, _, rest = PAGE.partition("{table}")
    assert page.startswith(beginning)
    assert rest.partition("{remarks}")[2].partition("Made with")[0].format(about=about) in page
