"""What all pictures share: text that is safe in XML, times as people read them, colours for day and night.

Whatever comes from a run - ids, types, bodies, texts of errors - was written by nodes under test, and may hold markup
or characters that XML does not know. `escape`, and `element` that uses it, are the only ways into a picture or a page.
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

_PLAIN: Final = re.compile(r"[\w .:+/-]*", re.ASCII)

_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 cannot carry, even escaped, and control characters that it can but nobody can read."""

NS: Final = 1_000_000_000
"""Nanoseconds in a second."""

_UNITS: Final = ((NS, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))

_FINEST: Final = 6
"""Decimals of a time at the most: a run over real pipes is measured in microseconds."""

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
"""Colours by day. Each text reaches a contrast of 4.5 with the paper; no two differ by red and green alone."""

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
"""The same by night."""


def escape(text: str) -> str:
    """Return *text* as it can stand in an element or an attribute; what XML cannot carry becomes U+FFFD."""
    if _PLAIN.fullmatch(text):  # as most ids and types are
        return text
    return html.escape(_NOT_XML.sub("\ufffd", text))


def element(name: str, *content: str, **attributes: str | float | None) -> str:
    """Return an element of XML.

    Args:
      name: What it is.
      content: What is in it: markup, so text has to be escaped before.
      attributes: Escaped here; one that is None is left out. ``_`` in their names stands for ``-``, at the end for
        nothing, which tells ``class_`` from Python's own word.
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
    """Return the text of a file beside this module."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _style(name: str) -> str:
    """Return the style sheet *name* with the colours of the day, then its colours of the night.

    The colours are written out, not left to variables of CSS, which programs that print pictures do not know. What
    stands above the line ``/* colours */`` has none, and is there once.
    """
    shapes, _, colours = asset(name).partition("/* colours */\n")
    template = Template(colours)
    night = template.substitute(DARK)
    return f"{shapes}{template.substitute(LIGHT)}@media (prefers-color-scheme: dark) {{\n{night}}}\n"


def duration(nanoseconds: float) -> str:
    """Return a duration with its unit and three digits, such as ``12.5 ms``."""
    for size, unit in _UNITS:
        if nanoseconds >= size:
            value = nanoseconds / size
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"  # noqa: PLR2004 - three digits
    return "0 s"


def plural(count: int, word: str) -> str:
    """Return *count* and *word*, in the plural where it is one."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


@attrs.frozen
class Clock:
    """How the times of a picture are written: in seconds, all with as many decimals as tell its instants apart."""

    decimals: int

    @classmethod
    def of(cls, times: Iterable[int]) -> Clock:
        """Return the clock for *times*, in nanoseconds."""
        ascending = sorted(set(times))
        gaps = sorted(after - before for before, after in pairwise(ascending))
        # All but the shortest of the gaps: two random times may be as close as they like.
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
        """Return a time that is written as no later than it is."""
        unit = 10 ** (9 - self.decimals)
        return self.text(nanoseconds // unit * unit)


def text_width(text: str, size: float = 10.5) -> float:
    """Return about how many pixels *text* is wide in a font of *size* pixels without serifs."""
    return len(text) * size * 0.56


def shorten(text: str, width: float, size: float = 10.5) -> str:
    """Return as much of *text* as fits into *width* pixels; nothing, if that is not even a few letters."""
    if text_width(text, size) <= width:
        return text
    room = int(width / (size * 0.56)) - 1
    return f"{text[:room].rstrip()}…" if room >= 4 else ""  # noqa: PLR2004 - fewer letters say nothing
