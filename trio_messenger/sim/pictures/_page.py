"""The page of a run: the verdict first, then why, how to see it again, what it rests on, and the pictures.

It needs nothing from anywhere but the other files of its folder, and no script.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from string import Template
from typing import Any, Final, final
from urllib.parse import quote

import attrs

from .._checkers import Results, Valid
from .._explanation import Finding
from ._space_time import LIMIT
from ._svg import DARK, LIGHT, NS, asset, element, escape

_VERDICTS: Final[dict[Valid, tuple[str, str]]] = {
    True: ("valid", "valid"),
    False: ("invalid", "INVALID"),
    "unknown": ("unknown", "unknown"),
}
"""The class and the word of each verdict."""

_FILES: Final = {
    "results.json": "what the checkers found",
    "history.jsonl": "what clients asked and how it ended, an operation's beginning or end a line",
    "journal.jsonl": "every message and every fault, an event a line",
    "schedule.json": "what was run: the options, the seed, the faults",
    "messages.svg": "who sent what to whom, over time",
    "latency.svg": "how long operations took",
    "rate.svg": "how many operations were completed in a second",
}
"""What there is to say of each file."""

_MESSAGES, _LATENCY, _RATE, _RESULTS = "messages.svg", "latency.svg", "rate.svg", "results.json"

_LOGS: Final = "node-logs/"

_ROWS: Final = 20
"""Rows of a table of anomalies; the file has all of them."""
_ITEMS: Final = 60
"""Values of a list."""
_AFTER: Final = 2
"""Seconds of messages that a time links to."""


@final
@attrs.frozen(kw_only=True)
class PageSummary:
    """What the page of a run says."""

    title: str
    """What was run, such as ``broadcast, 5 nodes``."""
    verdict: Valid
    """How it ended."""
    reasons: Sequence[Finding] = ()
    """Why it is not valid; each links to the messages that show it."""
    remarks: Sequence[Finding] = ()
    """What else there is to say, likewise."""
    warnings: Sequence[str] = ()
    """What makes the verdict say less than it seems to."""
    seed: int
    """What the run was made from."""
    commands: Sequence[tuple[str, str]] = ()
    """What one may do next, such as ``replay``, each with the command that does it."""
    figures: Sequence[tuple[str, str | float]] = ()
    """Key figures, each with its name and, in words, its unit."""
    faults: Sequence[tuple[str, str, int]] = ()
    """The schedule: what each fault is, when, and how often it took effect."""
    results: Results = attrs.field(factory=dict)
    """What the workload's checker found."""
    files: Sequence[str] = ()
    """The run's files, as paths relative to the page."""


def page(summary: PageSummary) -> str:
    """Return a page of HTML for a run.

    It is to stand in the run's folder as ``index.html``: links are relative, and the pictures, if they are among the
    files, are embedded from there.
    """
    verdict_class, verdict = _VERDICTS[summary.verdict]
    sections = [
        ("Run it again", _commands(summary)),
        ("Figures", _figures(summary.figures)),
        ("Faults", _faults(summary.faults)),
        ("What the checker found", _results(summary.results, summary.files)),
        ("Messages", _messages(summary.files)),
        ("Latencies", _chart(_LATENCY, "Latencies", summary.files)),
        ("Rates", _chart(_RATE, "Rates", summary.files)),
        ("Files", _files(summary.files)),
    ]
    body = [
        element(
            "header",
            element("p", verdict, class_="verdict"),
            element("h1", escape(summary.title)),
            element("p", f"seed {summary.seed}", class_="seed"),
            _list((_sentence(finding, summary.files) for finding in summary.reasons), "reasons"),
            _list((_sentence(finding, summary.files) for finding in summary.remarks), "remarks"),
            _list(map(escape, summary.warnings), "warnings"),
            class_=verdict_class,
        ),
        *(element("section", element("h2", heading), content) for heading, content in sections if content),
    ]
    content = "\n".join(body)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{verdict}: {escape(summary.title)}</title>\n<style>\n{_style()}</style>\n</head>\n"
        f"<body>\n<main>\n{content}\n</main>\n</body>\n</html>\n"
    )


def _style() -> str:
    def variables(colours: Mapping[str, str]) -> str:
        return " ".join(f"--{name}: {colour};" for name, colour in colours.items())

    return Template(asset("page.css")).substitute(light=variables(LIGHT), dark=variables(DARK))


def _list(texts: Iterable[str], class_: str) -> str:
    """Return a list of *texts*, which are markup."""
    items = [element("li", text) for text in texts]
    return element("ul", *items, class_=class_) if items else ""


def _sentence(finding: Finding, files: Sequence[str]) -> str:
    """Return the text of *finding*, with a link to its messages if the diagram has them: it has the first ones."""
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
    return _table(["", "fault", "when, in the main phase", "took effect"], rows) if rows else ""


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are markup; where it is too wide, it scrolls by itself."""
    head = element("tr", *(element("th", escape(heading)) for heading in headings))
    body = [element("tr", *(element("td", cell) for cell in row)) for row in rows]
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="wide")


def _results(results: Results, files: Sequence[str]) -> str:
    """Return what was found: single values first, then a part for each list or map that has something in it."""
    parts = []
    plain = {name: value for name, value in results.items() if not isinstance(value, (list, dict))}
    if plain:
        parts.append(_figures(plain.items()))
    for name, value in results.items():
        if isinstance(value, (list, dict)) and value:
            parts.append(element("h3", escape(name)) + _found(value, files))
    return "".join(parts)


def _found(value: Any, files: Sequence[str]) -> str:
    if isinstance(value, dict):
        return _figures((key, each if isinstance(each, (int, float)) else _json(each)) for key, each in value.items())
    rest = len(value)
    if all(isinstance(each, dict) for each in value):
        names = list(dict.fromkeys(name for each in value for name in each))
        shown = value[:_ROWS]
        content = _table(names, ([_cell(name, each.get(name), files) for name in names] for each in shown))
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
    """Return a value as a person writes it."""
    if value is None or isinstance(value, bool):
        return _json(value)
    if isinstance(value, int):
        return f"{value:,}"
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def _messages(files: Sequence[str]) -> str:
    if _MESSAGES not in files:
        return ""
    alone = element("a", "open it alone", href=_MESSAGES)
    lost = element("a", "only those that were lost", href=f"{_MESSAGES}#show=lost")
    frame = element("iframe", "", src=_MESSAGES, title="Messages", class_="messages", loading="lazy")
    text = (
        "Click on an arrow to see its message, on a name to see only its messages; search for types, nodes, and what is"
        f" in bodies. Or {alone}, or {lost}."
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
