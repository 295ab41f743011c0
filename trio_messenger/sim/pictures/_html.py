"""The common part of the HTML pages: the document, its style sheet, lists and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from string import Template
from typing import Final

from .._checkers import Valid
from ._svg import DARK, LIGHT, asset, element, escape

VERDICT_MARKS: Final[dict[Valid, tuple[str, str]]] = {
    True: ("valid", "valid"),
    False: ("invalid", "INVALID"),
    "unknown": ("unknown", "unknown"),
}
"""The CSS class and the word for each verdict."""


def html_document(title: str, body: Iterable[str], *, script: str | None = None) -> str:
    """Return an HTML document that loads nothing: the style sheet and the *script* are in it.

    Args:
      title: The title, as text.
      body: The content, which is markup.
      script: The name of a script in the folder of this module; None for a document without one.
    """
    content = "\n".join(body)
    code = "" if script is None else f"<script>\n{asset(script)}</script>\n"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n"
        f"<body>\n<main>\n{content}\n</main>\n{code}</body>\n</html>\n"
    )


def unordered(texts: Iterable[str], class_: str) -> str:
    """Return an HTML list of *texts*, which are markup; an empty text if there are none."""
    items = [element("li", text) for text in texts]
    return element("ul", *items, class_=class_) if items else ""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, label: str) -> str:
    """Return a table whose cells are markup; for *label* see `wide`."""
    head = element("tr", *(element("th", escape(heading), scope="col") for heading in headings))
    body = [element("tr", *(element("td", cell) for cell in row)) for row in rows]
    return wide(element("table", element("thead", head), element("tbody", *body)), label=label)


def wide(content: str, *, label: str, class_: str = "wide") -> str:
    """Return a box around *content*, which is markup. If the content is too wide, it scrolls within the box.

    The box takes the focus, so that the arrow keys scroll it; *label* names it for screen readers.
    """
    return element("div", content, class_=class_, role="region", tabindex="0", aria_label=label)


def _style() -> str:
    def variables(colours: Mapping[str, str]) -> str:
        return " ".join(f"--{name}: {colour};" for name, colour in colours.items())

    return Template(asset("page.css")).substitute(light=variables(LIGHT), dark=variables(DARK))
