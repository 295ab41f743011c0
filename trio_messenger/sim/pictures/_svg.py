"""The common part of all pictures: text that is safe in XML, readable times, colours for light and dark mode.

Nodes under test write the texts of a run: ids, types, bodies, error texts. They may contain markup, or characters that
XML does not allow. `escape`, and `element` which uses it, are the only ways into a picture or a page.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from importlib.resources import files
from itertools import pairwise
from string import Template
from typing import Final

import attrs

_PLAIN_TEXT: Final = re.compile(r"[\w .:+/-]*", re.ASCII)

_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 does not allow, even escaped, and other control characters, which are unreadable."""

NS: Final = 1_000_000_000
"""Nanoseconds in a second."""

_UNITS: Final = ((NS, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))

_FINEST: Final = 6
"""The maximum number of decimals of a time: a run over real pipes is measured in microseconds."""

LIGHT: Final = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "muted": "#59636e",
    "faint": "#d1d9e0",
    "raised": "#f6f8fa",
    "client": "#0969da",
    "service": "#0f7b6c",
    "error": "#bf3989",
    "lost": "#cf222e",
    "fault": "#9a6700",
    "good": "#1a7f37",
}
"""Colours for light mode. Each text has a contrast of at least 4.5 with the paper; no two colours differ only in red
and green."""

DARK: Final = {
    "paper": "#0d1117",
    "ink": "#f0f6fc",
    "muted": "#9198a1",
    "faint": "#3d444d",
    "raised": "#151b23",
    "client": "#58a6ff",
    "service": "#3fc1ad",
    "error": "#f778ba",
    "lost": "#ff7b72",
    "fault": "#d29922",
    "good": "#3fb950",
}
"""The same colours for dark mode."""


def escape(text: str) -> str:
    """Return *text* escaped for an element or an attribute; characters that XML does not allow become U+FFFD."""
    if _PLAIN_TEXT.fullmatch(text):  # true of most ids and types
        return text
    return html.escape(_NOT_XML.sub("\ufffd", text))


def element(name: str, *content: str, **attributes: str | float | None) -> str:
    """Return an XML element.

    Args:
      name: The name of the element.
      content: Its content, which is markup: the caller must escape text.
      attributes: Its attributes, which this function escapes; it leaves out those that are None. ``_`` in a name
        becomes ``-``. ``_`` at the end is removed, so that ``class_`` can stand for Python's keyword.
    """
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value) if isinstance(value, str) else f"{value:.10g}"}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{pairs}>{''.join(content)}</{name}>" if content else f"<{name}{pairs}/>"


def document(name: str, width: float, height: float, label: str, content: Iterable[str]) -> str:
    """Return a picture, *width* by *height* pixels, with the style sheet *name*; *label* says what it shows."""
    size = {"width": f"{width:.0f}", "height": f"{height:.0f}"}
    parts = (f"<style>\n{_style(f'{name}.css')}</style>", element("rect", class_="paper", rx=6, **size), *content)
    return element(
        "svg",
        "\n",
        "\n".join(parts),
        "\n",
        xmlns="http://www.w3.org/2000/svg",
        class_=name.replace("_", "-"),
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        role="img",
        aria_label=label,
        **size,
    )


def asset(name: str) -> str:
    """Return the text of a file in the folder of this module."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _style(name: str) -> str:
    """Return the style sheet *name* with the light colours, followed by its dark colours.

    The colours are written out because programs that print pictures do not support CSS variables. The part above the
    line ``/* colours */`` has no colours and appears once.
    """
    shapes, _, colours = asset(name).partition("/* colours */\n")
    template = Template(colours)
    night = template.substitute(DARK)
    return f"{shapes}{template.substitute(LIGHT)}@media (prefers-color-scheme: dark) {{\n{night}}}\n"


def duration(nanoseconds: float) -> str:
    """Return a duration with three digits and its unit, such as ``12.5 ms``."""
    for size, unit in _UNITS:
        if nanoseconds >= size:
            value = nanoseconds / size
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"  # noqa: PLR2004 - three digits
    return "0 s"


def plural(count: int, word: str) -> str:
    """Return *count* and *word*, which gets a plural s unless *count* is 1."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


@attrs.frozen
class Clock:
    """Writes the times of a picture in seconds, all with enough decimals to distinguish its instants."""

    decimals: int

    @classmethod
    def of(cls, times: Iterable[int]) -> Clock:
        """Return the clock for *times*, in nanoseconds."""
        ascending = sorted(set(times))
        gaps = sorted(after - before for before, after in pairwise(ascending))
        # Ignore the shortest quarter of the gaps: two random times may be arbitrarily close.
        short = gaps[len(gaps) // 4] if gaps else NS
        for decimals in range(_FINEST):
            unit = 10 ** (9 - decimals)
            if unit <= short / 4 or all(time % unit == 0 for time in ascending):
                return cls(decimals)
        return cls(_FINEST)

    def text(self, nanoseconds: int) -> str:
        """Return a time in seconds, such as ``1.250``."""
        return f"{nanoseconds / NS:.{self.decimals}f}"

    def down(self, nanoseconds: int) -> str:
        """Return a time in seconds, rounded down."""
        unit = 10 ** (9 - self.decimals)
        return self.text(nanoseconds // unit * unit)


def text_width(text: str, size: float = 10.5) -> float:
    """Return the approximate width of *text* in pixels, in a sans-serif font of *size* pixels."""
    return len(text) * size * 0.56


def shorten(text: str, width: float, size: float = 10.5) -> str:
    """Return as much of *text* as fits into *width* pixels; an empty text if fewer than 4 letters fit."""
    if text_width(text, size) <= width:
        return text
    room = int(width / (size * 0.56)) - 1
    return f"{text[:room].rstrip()}…" if room >= 4 else ""  # noqa: PLR2004 - fewer letters say nothing
