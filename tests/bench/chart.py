"""The chart: a bar for each ratio, and a mark where its goal is. SVG, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from bench.table import Result

WIDTH = 800
LABELS = 300  # width of the column of names: about 44 characters
BARS = 300  # length of a bar at twice its goal
LINE = 30
TOP = 64

# Both colours of each pair reach a contrast of 4.5 with the background of their scheme.
STYLE = """\
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .small { font-size: 12px; fill: #59636e }
  .met { fill: #1a7f37 }
  .missed { fill: #bc4c00 }
  .goal { stroke: #1f2328; stroke-width: 2 }
  .paper { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .small { fill: #9198a1 }
    .met { fill: #3fb950 }
    .missed { fill: #f0883e }
    .goal { stroke: #f0f6fc }
    .paper { fill: #0d1117 }
  }"""


def chart(results: Sequence[Result]) -> str:
    """Return a chart of those *results* that are ratios with a goal. A bar that ends left of the mark meets it."""
    shown = [result for result in results if result.row.goals and result.reference is not None]
    height = TOP + LINE * len(shown) + 16
    goal_x = LABELS + BARS / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' role="img" aria-labelledby="title">',
        '<title id="title">Ratios to the reference against their goals</title>',
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        '<text class="title" x="16" y="28">Cost relative to the reference: less is better</text>',
        f'<text class="small" x="{goal_x}" y="{TOP - 10}" text-anchor="middle">goal</text>',
    ]
    for number, result in enumerate(shown):
        parts += _bar(result, TOP + LINE * number)
    parts += [f'<line class="goal" x1="{goal_x}" x2="{goal_x}" y1="{TOP - 4}" y2="{height - 14}"/>', "</svg>", ""]
    return "\n".join(parts)


def _bar(result: Result, y: int) -> list[str]:
    goal = result.row.goals[-1]
    share = result.median / goal
    length = BARS / 2 * min(share, 2.0)
    state = "met" if share <= 1 else "missed"
    text = f"{result.median:.2f} x {result.row.reference_name}, goal {goal:g}"
    name = escape(result.row.title)
    # The figure stands behind the bar, and behind the mark of the goal, which it must not cross.
    after = LABELS + max(length, BARS / 2) + 8
    return [
        f'<text x="{LABELS - 10}" y="{y + 17}" text-anchor="end">{name}</text>',
        f'<rect class="{state}" x="{LABELS}" y="{y + 4}" width="{length:.1f}" height="18" rx="2"/>',
        f'<text class="small" x="{after:.1f}" y="{y + 17}">{escape(text)}</text>',
    ]
