"""The picture of the tutorial's chapter 12: what its script kills, and what is left.

``machines.svg``: three nodes, a client and a NATS server; then without `n3`; then with `n3` again, but no server.
"""

from __future__ import annotations

from drawing import WIDTH, box, picture, text

PANEL = 156
"""Pixels from one panel to the next."""
SERVER = WIDTH / 2
NODES = {"n1": 75.0, "n2": SERVER, "n3": WIDTH - 75.0}
"""Where the middle of each is."""


def machines() -> str:
    """Draw the three states, one below another."""
    content = [
        *panel(0, "All are connected", "each message goes through the server", ["sum 3", "sum 3", "sum 3"]),
        *panel(1, "n3 is killed", "the others go on; the server keeps nothing for n3", ["sum 7", "sum 7", ""]),
        *panel(2, "The server is killed", "no message arrives; each node keeps its state", ["sum 7"] * 3, served=False),
    ]
    return picture(3 * PANEL, "Three nodes and a client around a server; n3 is killed, later the server", content)


def panel(number: int, title: str, meaning: str, states: list[str], *, served: bool = True) -> list[str]:
    """Draw the cluster at one time: a node without a state is dead."""
    y = PANEL * number
    content = [text(12, y + 22, title, "strong"), text(12, y + 39, meaning, "muted")]
    content += [line(75, y + 66, SERVER - 55, y + 66, served), *place(42, y + 52, 66, "client", alive=True)]
    for (name, x), state in zip(NODES.items(), states, strict=True):
        content.append(line(SERVER, y + 80, x, y + 106, served and bool(state)))
        content += place(x - 55, y + 106, 110, f"{name}: {state}" if state else name, alive=bool(state))
    return content + place(SERVER - 55, y + 52, 110, "nats-server", alive=served)


def line(x1: float, y1: float, x2: float, y2: float, is_whole: bool) -> str:
    dashes = "" if is_whole else ' stroke-dasharray="2 5"'
    return f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" class="wakes"{dashes}/>'


def place(x: float, y: float, width: float, words: str, *, alive: bool) -> list[str]:
    """Draw a process. A dead one has a dashed border and a cross."""
    middle, height = x + width / 2, 28
    content = [box(x, y, width, height, "paper"), box(x, y, width, height, "own" if alive else "chip")]
    content.append(text(middle, y + 18, words, "middle code" if alive else "middle code muted"))
    if not alive:
        content[1] = content[1].replace("/>", ' stroke-dasharray="4 4"/>')
        cross = f"M{x + width - 5:g} {y - 5:g}l10 10m0 -10l-10 10"
        content.append(f'<path d="{cross}" fill="none" stroke="#d1242f" stroke-width="2.5"/>')
    return content


PICTURES = {"machines.svg": machines}
