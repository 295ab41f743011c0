"""What the pictures share that no journal makes: the style, and the shapes.

A picture is light or dark as its reader's system is. An SVG file on a page knows nothing of the page's own theme.
"""

from __future__ import annotations

import html
import math

WIDTH = 420
"""Pixels: a telephone shows it whole, and its words can be read."""

STYLE = """
text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
.code { font: 11px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
.strong { font-weight: 600 }
.muted { fill: #59636e }
.right { text-anchor: end }
.middle { text-anchor: middle }
.paper { fill: #ffffff }
.box { fill: #8c959f; fill-opacity: .07; stroke: #8c959f }
.chip { fill: #ffffff; stroke: #8c959f }
.own { fill: #0969da; fill-opacity: .12; stroke: #0969da }
.line { stroke: #d1d9e0; fill: none }
.wakes { stroke: #59636e; stroke-width: 1.25; fill: none }
.tip { fill: #59636e }
.step { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.muted { fill: #9198a1 }
.paper { fill: #0d1117 }
.chip { fill: #151b23; stroke: #656c76 }
.own { stroke: #58a6ff; fill: #58a6ff; fill-opacity: .16 }
.line { stroke: #3d444d }
.wakes { stroke: #9198a1 }
.tip { fill: #9198a1 }
.step { fill: #58a6ff }
}
"""


def text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{html.escape(words, quote=False)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" class="{kind}"/>'


def picture(height: float, label: str, content: list[str], width: int = WIDTH) -> str:
    size = f'width="{width}" height="{height:g}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" {size} role="img"'
        f' aria-label="{html.escape(label)}">',
        f"<style>{STYLE}</style>",
        f'<rect {size} class="paper"/>',
        *content,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def code_width(words: str) -> float:
    """Return about how many pixels *words* take as code."""
    return len(words) * 6.7


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    length = math.hypot(x2 - x1, y2 - y1)
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    x, y = x2 - 7 * dx, y2 - 7 * dy
    points = [(x, y), (x - 8 * dx - 4 * dy, y - 8 * dy + 4 * dx), (x - 8 * dx + 4 * dy, y - 8 * dy - 4 * dx)]
    tip = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return f'<path d="M{x1:g} {y1:g}L{x:.1f} {y:.1f}" class="wakes"/><polygon points="{tip}" class="tip"/>'
