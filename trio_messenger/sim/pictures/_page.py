"""The page of a run: first the verdict and its reasons, then commands, figures, faults, results, pictures and files.

The page uses only the other files of its folder, and no script.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, final
from urllib.parse import quote

import attrs

from .._checkers import Results, Valid
from .._explanation import Finding
from ._html import VERDICT_MARKS, html_document, table, unordered, wide
from ._picture import Picture
from ._space_time import LIMIT
from ._svg import NS, element, escape
from ._terms import MEANINGS, define

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

_DIAGRAM_HELP: Final = (
    "Time runs down. Each vertical line is a node or a client (c0, c1, ...). An arrow is a message; a dashed line that"
    " ends with a cross is a message that was lost. A coloured area is the time of a fault. Times are in seconds since"
    " the clients began to ask; before that, in the set-up, they are negative."
)
_DIAGRAM_USE: Final = (
    "Click an arrow to see its message, or a name to see only its messages. Search for types, nodes and text in bodies."
)
_LATENCY_HELP: Final = (
    "A point is an operation: when it began, how long it took, and how it ended. A line shows, over time, how long half"
    " of the operations took at most (p50), or 95 or 99 of 100 (p95, p99), or all (max)."
)
_RATE_HELP: Final = "The number of operations that ended in each second, by how they ended."
_FAULT_HELP: Final = (
    "The simulator caused these faults. Each time that a fault drops a message, kills a node or changes anything else,"
    " it takes effect. Times are in seconds since the clients began to ask."
)
_LINK_HELP: Final = " A link n1 -&gt; n2 is for messages from n1 to n2; a partition drops them."

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
    node: str = ""
    """What was tested, such as ``board:node``; empty if no command line can name it."""
    rules: str = ""
    """What clients do in this workload, and what it demands of the nodes; empty to leave it out."""
    store_page: str = ""
    """The path of the page that lists all runs; empty to leave it out."""
    commands: Sequence[tuple[str, str]] = ()
    """Pairs of a description and a command to run next, such as ``replay``."""
    figures: Sequence[tuple[str, str | float]] = ()
    """Key figures: pairs of a name and a value, as text if it has a unit."""
    faults: Sequence[tuple[str, str, int]] = ()
    """The schedule: for each fault its description, its time, and how often it took effect."""
    results: Results = attrs.field(factory=dict)
    """The results of the workload's checker."""
    pictures: Sequence[Picture] = ()
    """The pictures of the workload."""
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
    subject = element("p", f"seed {summary.seed}", _node(summary.node), class_="seed")
    is_explained = bool(summary.reasons) or summary.verdict is True
    body = [
        element(
            "header",
            element("p", verdict, class_="verdict"),
            element("h1", escape(summary.title)),
            subject,
            element("p", escape(summary.rules)) if summary.rules else "",
            element("p", MEANINGS[summary.verdict]) if is_explained else "",
            _findings(summary, summary.reasons, "reasons"),
            _noted("Also worth knowing:", _findings(summary, summary.remarks, "remarks")),
            _noted("What this run does not show:", unordered(map(escape, summary.warnings), "warnings")),
            class_=verdict_class,
        ),
        *(
            element("section", element("h2", escape(heading)), content)
            for heading, content in _sections(summary)
            if content
        ),
    ]
    return html_document(f"{verdict}: {summary.title}", body)


def _sections(summary: PageSummary) -> list[tuple[str, str]]:
    """Return the sections of a page, each a heading and its content: what explains the verdict comes first."""
    return [
        ("What to do next", _commands(summary)),
        ("Faults", _faults(summary.faults)),
        *(
            (each.title, _chart(each.name, each.title, escape(each.explanation), summary.files))
            for each in summary.pictures
        ),
        ("Messages", _messages(summary)),
        ("Figures", _figures(summary.figures) + define(name for name, _ in summary.figures)),
        ("Latencies", _chart(_LATENCY_CHART, "Latencies", _LATENCY_HELP, summary.files)),
        ("Rates", _chart(_RATE_CHART, "Rates", _RATE_HELP, summary.files)),
        ("Results of the checker", _results(summary.results, summary.files)),
        ("Files", _files(summary)),
    ]


def _node(node: str) -> str:
    return f", node under test: {element('code', escape(node))}" if node else ""


def _noted(label: str, content: str) -> str:
    return element("p", label, class_="label") + content if content else ""


def _findings(summary: PageSummary, findings: Iterable[Finding], class_: str) -> str:
    """Return a list of *findings*; those that are details are in a list of their own below the one they explain."""
    groups: list[list[str]] = []
    for finding in findings:
        text = _sentence(finding, summary)
        if finding.is_detail and groups:
            groups[-1].append(text)
        else:
            groups.append([text])
    return unordered((text + unordered(details, "details") for text, *details in groups), class_)


def _sentence(finding: Finding, summary: PageSummary) -> str:
    """Return the text of *finding*, with links to the faults that it names and to its messages in the diagram."""

    def link(found: re.Match[str]) -> str:
        is_known = int(found[1]) < len(summary.faults)
        return element("a", found[0], href=f"#fault-{found[1]}") if is_known else found[0]

    text = re.sub(r"\bfault ([0-9]{1,6})\b", link, escape(finding.text))
    drawn = _drawn([finding], summary.files)
    if not drawn:
        return text
    label = "show the message" if len(drawn) == 1 else f"show {len(drawn)} messages"
    return text + " " + element("a", label, href=_diagram_of(drawn), class_="shown")


def _drawn(findings: Iterable[Finding], files: Sequence[str]) -> list[int]:
    """Return the messages of *findings* that the diagram has, if there is one: only the first `LIMIT`."""
    numbers = dict.fromkeys(number for finding in findings for number in finding.messages if number < LIMIT)
    return list(numbers) if _MESSAGES in files else []


def _diagram_of(numbers: Iterable[int]) -> str:
    return f"{_MESSAGES}#messages={','.join(map(str, numbers))}"


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
        (element("span", f"{number}", id=f"fault-{number}"), escape(text), escape(when), _effects(effects))
        for number, (text, when, effects) in enumerate(faults)
    ]
    if not rows:
        return ""
    links = _LINK_HELP if any("->" in text for text, _, _ in faults) else ""
    headings = ["fault", "what it did", "when", "times it took effect"]
    return element("p", _FAULT_HELP, links) + table(headings, rows, label="Faults")


def _effects(count: int) -> str:
    return f"{count:,}" if count else element("em", "no effect", class_="inert")


def _results(results: Results, files: Sequence[str]) -> str:
    """Return the results: first single values, then a part for each list or map that is not empty."""
    parts = []
    plain = {name: value for name, value in results.items() if not isinstance(value, (list, dict))}
    if plain:
        parts.append(_figures(plain.items()))
    for name, value in results.items():
        if isinstance(value, (list, dict)) and value:
            parts.append(element("h3", escape(name)) + _found(name, value, files))
    shown = (name for name, value in results.items() if value not in ([], {}))
    return "".join(parts) + define(shown)


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


def _messages(summary: PageSummary) -> str:
    """Return the diagram; at first it shows only the messages of the reasons, if there are any."""
    if _MESSAGES not in summary.files:
        return ""
    shown = _drawn(summary.reasons, summary.files)
    source, chosen = _MESSAGES, ""
    if shown:
        source = _diagram_of(shown)
        which = "message" if len(shown) == 1 else f"{len(shown)} messages"
        chosen = element(
            "p", f"At first the diagram shows only the {which} that the reasons above link to; “reset” shows all."
        )
    alone = element("a", "open the whole diagram", href=_MESSAGES)
    lost = element("a", "show only lost messages", href=f"{_MESSAGES}#show=lost")
    return (
        chosen
        + element("p", _DIAGRAM_HELP)
        + element("p", f"{_DIAGRAM_USE} You can also {alone} or {lost}.")
        + element("iframe", "", src=source, title="Messages", class_="messages", loading="lazy")
    )


def _chart(name: str, label: str, explanation: str, files: Sequence[str]) -> str:
    if name not in files:
        return ""
    fallback = element("a", name, href=name)
    picture = element("object", fallback, type="image/svg+xml", data=name, aria_label=label)
    return element("p", explanation) + wide(picture, label=label, class_="wide picture")


def _files(summary: PageSummary) -> str:
    files = summary.files
    known = _FILES | {each.name: escape(each.title) for each in summary.pictures}

    def link(name: str, text: str) -> str:
        return element("a", escape(text), href=quote(name))

    items = [
        element("li", link(name, name), f" - {known[name]}" if name in known else "")
        for name in files
        if not name.startswith(_LOGS)
    ]
    logs = [link(name, name.removeprefix(_LOGS).removesuffix(".log")) for name in files if name.startswith(_LOGS)]
    if logs:
        items.append(element("li", "what each node logged: ", ", ".join(logs)))
    listed = element("p", element("code", escape(summary.store_page)), " lists all runs.") if summary.store_page else ""
    return (element("ul", *items, class_="files") if items else "") + listed
