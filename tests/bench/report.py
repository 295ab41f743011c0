"""The figures for people: a table for the terminal, and the page for the documentation."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from bench.chart import chart
from bench.table import Case, Result

HEADINGS = ("", "ours", "reference", "ratio", "min..max", "goal", "met")


def environment() -> list[str]:
    """Return what the figures depend on, in phrases."""
    cpu = platform.processor() or "unknown CPU"
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"^model name\s*: (.*)$", info.read_text(), re.MULTILINE)):
        cpu = found[1].strip()
    packages = (f"{name} {importlib.metadata.version(name)}" for name in ("trio", "msgspec", "attrs", "trio-messenger"))
    return [
        f"{platform.python_implementation()} {platform.python_version()}",
        *packages,
        f"{platform.system()} on {len(os.sched_getaffinity(0))} cores of {cpu}",
        f"load average {os.getloadavg()[0]:.1f}",
    ]


def number(value: float) -> str:
    """Return *value* with three digits that count."""
    digits = max(0, 2 - len(str(int(abs(value)))) + 1) if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"


def cells(result: Result) -> tuple[str, ...]:
    """Return *result* as the cells of one line."""
    row = result.row
    title = row.title + (" (!)" if result.driver_is_slow else "")
    # The bytes kept per leaked RPC may be below zero; what is spread is the ratio, or our figure if there is none.
    spread = f"{number(min(result.values))}..{number(max(result.values))}" if len(result.values) > 1 else ""
    reference = "" if result.reference is None else f"{row.reference_name} {number(result.reference)}"
    return (
        title,
        f"{number(result.ours)} {row.unit}",
        reference,
        "" if result.reference is None else number(result.median),
        spread,
        " / ".join(f"{goal:g}" for goal in row.goals),
        " / ".join("yes" if met else "no" for met in result.met),
    )


def text_table(results: Sequence[Result]) -> str:
    """Return the table for a terminal."""
    lines = [HEADINGS, *map(cells, results)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([table[0], "-" * sum(widths, 2 * len(widths) - 2), *table[1:], *_remarks(results)])


def _remarks(results: Sequence[Result]) -> list[str]:
    remarks = ["", "us: microseconds of CPU time per message, unless the line says otherwise."]
    if any(result.driver_is_slow for result in results):
        remarks.append("(!): the benchmark itself used more CPU time than the run took on the wall; do not trust it.")
    return remarks


PAGE = """\
# Benchmarks

The table compares our node with references, by CPU time per message unless the line says otherwise. In each line, ours
and its reference took turns in one run. *ratio* is the median of the rounds' ratios; *min..max* are the smallest and
the largest. Absolute times change with the machine and its load, so compare figures of one line only. If a line has
two goals, the second is the stricter one.

![Ratios against their goals](benchmarks.svg)

{table}

{remarks}

## How it is measured

Each node is a real executable between two pipes. The benchmark prepares all requests before the clock starts, and
checks every reply after it has stopped. CPU time is the time of the node's process from `init_ok` to the last reply,
measured from outside. *asyncio* is the same node, written with asyncio's streams and tasks, and msgspec. *RSS* is the
memory that a process uses. "On the wall" means elapsed time.

{about}

Made with `nox -s bench -- --write docs/` on {date}: {rounds} rounds; {environment}.
"""


def write_page(directory: Path, cases: Sequence[Case], results: Sequence[Result], rounds: int) -> None:
    """Write ``benchmarks.md`` and ``benchmarks.svg`` into *directory*."""
    lines = [_markdown_line(HEADINGS), "|---|--:|--:|--:|--:|--:|---|", *(_markdown_line(cells(r)) for r in results)]
    page = PAGE.format(
        table="\n".join(lines),
        remarks=" ".join(_remarks(results)[1:]),
        about="\n".join(f"- **{case.name}**: {case.about}" for case in cases),
        date=datetime.datetime.now(tz=datetime.UTC).date(),
        rounds=rounds,
        environment=", ".join(environment()),
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "benchmarks.md").write_text(page)
    (directory / "benchmarks.svg").write_text(chart(results))


def _markdown_line(line: Sequence[str]) -> str:
    return "| " + " | ".join(line) + " |"
