"""The page of a run: first the verdict and its reasons, then commands, figures, faults, results, pictures and files.

The page uses only the other files of its folder, and no script.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, final
from urllib.parse import quote

import attrs

from .._checkers import Results, Valid
from .._explanation import Finding
from ._html import VERDICT_MARKS, html_document, table, unordered
from ._space_time import LIMIT
from ._svg import NS, element, escape

_FILES: Final = {
    "results.json": "the results of the checkers",
    "history.jsonl": "the operations of the clients: one line for the beginning of each, one for its end",
    "journal.jsonl": "every message and every fault, one event per line",
    "schedule.json": "what was run: the options, the seed, the faults",
    "messages.svg": "the messages over time, with sender and receiver",
    "latency.svg": "how long operations took",
    "rate.svg": "completed operations per second",
}
"""The description of each file."""

_MESSAGES, _LATENCY_CHART, _RATE_CHART, _RESULTS = "messages.svg", "latency.svg", "rate.svg", "results.json"

_LOGS: Final = "node-logs/"

_ROWS: Final = 20
"""The maximum number of rows in a table; ``results.json`` has all of them."""
_ITEMS: Final = 60
"""The maximum number of values shown of a list."""
_AFTER: Final = 2
"""A time links to the messages of so many seconds after it."""


@final
@attrs.frozen(kw_only=True)
class PageSummary:
    """The content of a run's page."""

    title: str
    """The workload and the number of nodes, such as ``broadcast, 5 nodes``."""
    verdict: Valid
    """The verdict of the run."""
    reasons: Sequence[Finding] = ()
    """The reasons why it is not valid; each links to the messages that show it."""
    remarks: Sequence[Finding] = ()
    """Remarks; each links to the messages that show it."""
    warnings: Sequence[str] = ()
    """Limits of what the verdict proves."""
    seed: int
    """The seed of the run."""
    commands: Sequence[tuple[str, str]] = ()
    """Pairs of a description and a command to run next, such as ``replay``."""
    figures: Sequence[tuple[str, str | float]] = ()
    """Key figures: pairs of a name and a value, as text if it has a unit."""
    faults: Sequence[tuple[str, str, int]] = ()
    """The schedule: for each fault its description, its time, and how often it took effect."""
    results: Results = attrs.field(factory=dict)
    """The results of the workload's checker."""
    files: Sequence[str] = ()
    """The run's files, as paths relative to the page."""


def page(summary: PageSummary) -> str:
    """Return the HTML page of a run.

    It must be saved in the run's folder, as ``index.html``: links are relative, and the page embeds the pictures that
    are among the run's files.

    Example:
      >>> summary = pictures.PageSummary(title="echo, 1 node", verdict=True, seed=7, figures=[("operations", 12)])
      >>> text = pictures.page(summary)
      >>> text.splitlines()[0], "echo, 1 node" in text
      ('<!DOCTYPE html>', True)
    """
    verdict_class, verdict = VERDICT_MARKS[summary.verdict]
    sections = [
        ("Run it again", _commands(summary)),
        ("Figures", _figures(summary.figures)),
        ("Faults", _faults(summary.faults)),
        ("Results of the checker", _results(summary.results, summary.files)),
        ("Messages", _messages(summary.files)),
        ("Latencies", _chart(_LATENCY_CHART, "Latencies", summary.files)),
        ("Rates", _chart(_RATE_CHART, "Rates", summary.files)),
        ("Files", _files(summary.files)),
    ]
    body = [
        element(
            "header",
            element("p", verdict, class_="verdict"),
            element("h1", escape(summary.title)),
            element("p", f"seed {summary.seed}", class_="seed"),
            unordered((_sentence(finding, summary.files) for finding in summary.reasons), "reasons"),
            unordered((_sentence(finding, summary.files) for finding in summary.remarks), "remarks"),
            unordered(map(escape, summary.warnings), "warnings"),
            class_=verdict_class,
        ),
        *(element("section", element("h2", heading), content) for heading, content in sections if content),
    ]
    return html_document(f"{verdict}: {summary.title}", body)


def _sentence(finding: Finding, files: Sequence[str]) -> str:
    """Return the text of *finding*, with a link to those of its messages that the diagram has: the first `LIMIT`."""
    drawn = [number for number in finding.messages if number < LIMIT]
    if not drawn or _MESSAGES not in files:
        return escape(finding.text)
    number = ",".join(map(str, dict.fromkeys(drawn)))
    return escape(finding.text) + " " + element("a", "messages", href=f"{_MESSAGES}#messages={number}", class_="shown")


def _commands(summary: PageSummary) -> str:
    return "".join(
        element("p", escape(label), class_="label") + element("pre", element("code", escape(command)))
        for label, command in summary.commands
    )


def _figures(figures: Iterable[tuple[str, str | float]]) -> str:
    pairs = [element("div", element("dt", escape(name)), element("dd", _scalar(value))) for name, value in figures]
    return element("dl", *pairs, class_="figures") if pairs else ""


def _faults(faults: Sequence[tuple[str, str, int]]) -> str:
    rows = [
        (str(number), escape(text), escape(when), f"{bites:,}" if bites else '<em class="inert">no effect</em>')
        for number, (text, when, bites) in enumerate(faults)
    ]
    headings = ["fault", "what it did", "when, in the main phase", "took effect"]
    return table(headings, rows, label="Faults") if rows else ""


def _results(results: Results, files: Sequence[str]) -> str:
    """Return the results: first single values, then a part for each list or map that is not empty."""
    parts = []
    plain = {name: value for name, value in results.items() if not isinstance(value, (list, dict))}
    if plain:
        parts.append(_figures(plain.items()))
    for name, value in results.items():
        if isinstance(value, (list, dict)) and value:
            parts.append(element("h3", escape(name)) + _found(name, value, files))
    return "".join(parts)


def _found(heading: str, value: Any, files: Sequence[str]) -> str:
    if isinstance(value, dict):
        return _figures((key, each if isinstance(each, (int, float)) else _json(each)) for key, each in value.items())
    rest = len(value)
    if all(isinstance(each, dict) for each in value):
        names = list(dict.fromkeys(name for each in value for name in each))
        shown = value[:_ROWS]
        rows = ([_cell(name, each.get(name), files) for name in names] for each in shown)
        content = table(names, rows, label=heading)
    else:
        shown = value[:_ITEMS]
        content = element("p", escape(", ".join(map(_json, shown))), class_="values")
    rest -= len(shown)
    where = f"; {_RESULTS} has them all" if _RESULTS in files else ""
    return content + (element("p", f"and {rest:,} more{where}", class_="more") if rest else "")


def _cell(name: str, value: Any, files: Sequence[str]) -> str:
    if name == "time" and isinstance(value, int):
        seconds = value / NS
        text = f"{seconds:.3f} s"
        if _MESSAGES not in files:
            return text
        return element("a", text, href=f"{_MESSAGES}#from={seconds:.3f}&to={seconds + _AFTER:.3f}")
    return "" if value is None else _scalar(value if isinstance(value, (str, int, float)) else _json(value))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _scalar(value: Any) -> str:
    """Return *value* as readable text."""
    if value is None or isinstance(value, bool):
        return _json(value)
    if isinstance(value, int):
        return f"{value:,}"
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def _messages(files: Sequence[str]) -> str:
    if _MESSAGES not in files:
        return ""
    alone = element("a", "open the diagram alone", href=_MESSAGES)
    lost = element("a", "show only lost messages", href=f"{_MESSAGES}#show=lost")
    frame = element("iframe", "", src=_MESSAGES, title="Messages", class_="messages", loading="lazy")
    text = (
        "Click an arrow to see its message, or a name to see only its messages. Search for types, nodes, and text in"
        f" bodies. You can also {alone} or {lost}."
    )
    return element("p", text) + frame


def _chart(name: str, label: str, files: Sequence[str]) -> str:
    if name not in files:
        return ""
    fallback = element("a", name, href=name)
    picture = element("object", fallback, type="image/svg+xml", data=name, aria_label=label)
    return element("div", picture, class_="wide picture")


def _files(files: Sequence[str]) -> str:
    def link(name: str, text: str) -> str:
        return element("a", escape(text), href=quote(name))

    items = [
        element("li", link(name, name), f" - {_FILES[name]}" if name in _FILES else "")
        for name in files
        if not name.startswith(_LOGS)
    ]
    logs = [link(name, name.removeprefix(_LOGS).removesuffix(".log")) for name in files if name.startswith(_LOGS)]
    if logs:
        items.append(element("li", "what each node logged: ", ", ".join(logs)))
    return element("ul", *items, class_="files") if items else ""
