"""The pictures of the tutorial's chapter 4.

``leak.svg``: an RPC that is answered and one that never will be, from a simulated run; also for the front page.
``leak_memory.svg``: what the callbacks of the chapter's ``leaky.py`` cost. ``leak_memory.json`` has the figures, put
together from the three files that ``flood.py`` of that chapter wrote with ``for loss in 0.0 0.01 0.05; do python
flood.py leaky.py $loss 100000; done``.
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

from trio_messenger import Node, Request
from trio_messenger.sim import simulate
from trio_messenger.sim.pictures import space_time

FIGURES = Path(__file__).with_name("leak_memory.json")


def build() -> Node:
    """Return the chapter's node in a form that can be simulated: a callback is kept until its reply comes."""
    node = Node()
    node.on("topology")(lambda: {})
    node.on("read")(lambda: {"messages": []})
    node.on("tell")(lambda: {})

    @node.on("broadcast")
    def broadcast(request: Request) -> None:
        missing = set(node.peers)

        def told(peer: str, _: object) -> None:
            missing.remove(peer)
            if not missing:
                node.reply_nowait(request, {})

        for peer in node.peers:
            note = {"type": "tell", "message": request.body["message"]}
            node.rpc_callback(peer, note, partial(told, peer), timeout=math.inf)

    return node


def leak() -> str:
    """Draw two broadcasts: the first is told and answered, of the second the network loses the RPC."""
    report = simulate("broadcast", build, nodes=2, seed=75, rate=4, time_limit=3, latency=60, loss=0.3, concurrency=2)
    return space_time(report.journal, since=1.05, until=1.37, scripted=False)


WIDTH, HEIGHT = 420, 310  # a phone shows it whole, and its words can be read
LEFT, RIGHT, TOP, BOTTOM = 44, WIDTH - 124, 44, HEIGHT - 44
MOST_NOTES, MOST_MEGABYTES = 100_000, 50

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328 }
.title { font-size: 14px; font-weight: 600 }
.muted { fill: #59636e }
.right { text-anchor: end }
.middle { text-anchor: middle }
.paper { fill: #ffffff }
.rule { stroke: #d1d9e0 }
.none, .few { stroke: #59636e; stroke-width: 2; fill: none }
.few { stroke: #9a6700 }
.many { stroke: #cf222e; stroke-width: 2; fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.muted { fill: #9198a1 }
.paper { fill: #0d1117 }
.rule { stroke: #3d444d }
.none { stroke: #9198a1 }
.few { stroke: #d29922 }
.many { stroke: #ff7b72 }
}
"""


def leak_memory() -> str:
    """Draw the memory of the leaking node against the notes that it was told, for each rate of loss."""
    curves = json.loads(FIGURES.read_text(encoding="utf-8"))
    label = "Memory of a node that keeps every callback, while messages are lost"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' role="img" aria-label="{label}">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="{LEFT}" y="22">Memory of the node, in MB</text>',
    ]
    for megabytes in range(0, MOST_MEGABYTES + 1, 10):
        y = height_of(megabytes)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{RIGHT}" y1="{y:g}" y2="{y:g}"/>')
        parts.append(f'<text class="muted right" x="{LEFT - 8}" y="{y + 4:g}">{megabytes}</text>')
    for notes in range(0, MOST_NOTES + 1, 50_000):
        x = place_of(notes)
        parts.append(f'<text class="muted middle" x="{x:g}" y="{BOTTOM + 18}">{notes:,}</text>')
    parts.append(f'<text class="muted right" x="{RIGHT}" y="{BOTTOM + 36}">notes that clients have pinned</text>')
    for kind, (loss, points) in zip(("none", "few", "many"), curves.items(), strict=True):
        corners = " ".join(f"{place_of(point['notes']):g},{height_of(point['megabytes']):g}" for point in points)
        last = points[-1]
        x, y = RIGHT + 8, height_of(last["megabytes"])
        parts.append(f'<polyline class="{kind}" points="{corners}"/>')
        parts.append(f'<text x="{x}" y="{y - 4:g}">{float(loss):.0%} lost</text>')
        parts.append(f'<text class="muted" x="{x}" y="{y + 10:g}">{last["callbacks"]:,} callbacks</text>')
    return "\n".join([*parts, "</svg>", ""])


def place_of(notes: int) -> float:
    return round(LEFT + (RIGHT - LEFT) * notes / MOST_NOTES, 1)


def height_of(megabytes: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * megabytes / MOST_MEGABYTES, 1)


PICTURES = {"leak.svg": leak, "leak_memory.svg": leak_memory}
