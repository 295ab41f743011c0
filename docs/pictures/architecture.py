"""Pictures of the architecture, from the code and from a node that runs: layers, tasks, the path of a message.

- ``layers.svg``, ``simulator_layers.svg``: the layers of the package, and those of the simulator, and what really
  imports what, by the functions that check it, of ``tests/test_structure.py``.
- ``task_tree.svg``: the nurseries of a node that serves, each with its tasks and what they wait in, as Trio tells them.
- ``path.svg``: each step that a task makes from a request to its reply, as a Trio instrument sees it.
"""

from __future__ import annotations

import html
import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, ModuleType

import attrs
import msgspec
import trio
import trio.testing
from drawing import WIDTH, arrow, box, code_width, picture, text

from trio_messenger import Body, Message, Node, Request
from trio_messenger.testing import Network, running
from trio_messenger.transports import Transport

ROOT = Path(__file__).parents[2]

TREE_WIDTH = 540
"""Pixels for what a task is in, from the outermost function to where it waits; on a telephone it scrolls."""

# The layers


def layers() -> str:
    """Draw the layers of the package."""
    structure = load(ROOT / "tests" / "test_structure.py")
    label = "The layers of the package; each imports only from those below it"
    return draw_layers(structure, structure.LAYERS, structure.unit, structure.ALL, label)


def simulator_layers() -> str:
    """Draw the layers of the simulator."""
    structure = load(ROOT / "tests" / "test_structure.py")
    label = "The layers of the simulator; each imports only from those below it"
    return draw_layers(structure, structure.SIM_LAYERS, structure.sim_unit, structure.in_units("sim"), label)


def draw_layers(
    structure: ModuleType,
    layers: tuple[tuple[str, tuple[str, ...]], ...],
    unit: Callable[[str], str],
    modules: list[str],
    label: str,
) -> str:
    """Draw *layers* with their folders, the highest at the top, and from which ones each really imports."""
    content = []
    y = 12.0
    for number, (title, units) in reversed(list(enumerate(layers))):
        used = {name for module in modules if unit(module) in units for name in structure.own_imports(module)}
        imported = {structure.layer(unit(name), layers) for name in used & set(modules)} - {number}
        rows = list(in_rows([name or "the root" for name in units], WIDTH - 60))
        height = 52 + 30 * len(rows)
        below = "imports " + ", ".join(map(str, sorted(imported))) if imported else "imports nothing"
        content += [
            box(12, y, WIDTH - 24, height, "box"),
            text(24, y + 20, str(number), "strong"),
            text(44, y + 20, title),
            text(44, y + height - 10, below, "muted"),
        ]
        for line, row in enumerate(rows):
            x = 44.0
            for name in row:
                slash = "/" * is_folder(structure, modules, name)
                width = code_width(name + slash) + 16
                content.append(box(x, y + 30 + 30 * line, width, 22, "chip"))
                content.append(text(x + 8, y + 45 + 30 * line, name + slash, "code"))
                x += width + 8
        y += height + 8
    return picture(y + 4, label, content)


def is_folder(structure: ModuleType, modules: list[str], name: str) -> bool:
    """Tell whether the unit *name*, of the package or of the simulator, is a folder."""
    place = structure.PACKAGE if "_node" in modules else structure.PACKAGE / "sim"
    return bool((place / name).is_dir())


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def in_rows(names: list[str], width: float) -> Iterator[list[str]]:
    row: list[str] = []
    for name in names:
        if row and sum(code_width(each) + 32 for each in [*row, name]) > width:
            yield row
            row = []
        row.append(name)
    yield row


# A node that serves


def a_node() -> Node:
    """Return a node with a plain handler, one that waits for a reply, and a background task."""
    node = Node(seed=1)

    @node.on("echo")
    def echo(request: Request) -> Body:
        return {"echo": request.require("echo")}

    @node.on("relay")
    async def relay() -> Body:
        return {"value": (await node.rpc("n2", {"type": "read"}))["value"]}

    @node.background
    async def gossip() -> None:
        for peer in itertools.cycle(node.peers):
            await trio.sleep(1)
            await node.send(peer, {"type": "gossip"})

    return node


# Its tasks


def task_tree() -> str:
    """Draw the nurseries of a node, one in another, while a handler waits for a reply and another one has ended."""
    return run(look_at_tasks)


async def look_at_tasks() -> str:
    async with running(a_node()) as network:
        await relay_twice_and_answer_one(network)
        (serving,) = [task for task in all_tasks(trio.lowlevel.current_root_task()) if task.name.endswith("Node.serve")]
        content: list[str] = []
        y = 16.0
        content += task_line(serving, 12, y)
        y = nested(serving, list(serving.child_nurseries), 12, y + 32, content)
    return picture(y + 8, "The nurseries of a node, one in another, with their tasks", content, TREE_WIDTH)


async def relay_twice_and_answer_one(network: Network) -> None:
    for msg_id in (1, 2):
        await network.send("c1", {"type": "relay", "msg_id": msg_id})
    first, _ = [await network.receive() for _ in range(2)]
    await network.reply(first, {"type": "read_ok", "value": 7})
    await network.receive()
    await trio.testing.wait_all_tasks_blocked()


def all_tasks(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from all_tasks(child)


def nested(task: trio.lowlevel.Task, nurseries: list[trio.Nursery], x: float, y: float, content: list[str]) -> float:
    """Add the boxes of *nurseries*, which *task* has opened one in another, and return where they end."""
    if not nurseries:
        return y
    nursery, *inner = nurseries
    opened_in, name = next(
        (frame.f_code.co_qualname, name)
        for frame in frames(task)
        for name, value in frame.f_locals.items()
        if value is nursery
    )
    place = len(content)
    content += [
        text(x + 10, y + 19, name, "strong"),
        text(TREE_WIDTH - x - 10, y + 19, f"opened in {opened_in}", "code muted right"),
    ]
    bottom = y + 30
    for child in sorted(nursery.child_tasks, key=lambda child: (child.name, -len(list(frames(child))))):
        content += task_line(child, x + 10, bottom)
        bottom += 30
    bottom = nested(task, inner, x + 10, bottom + 4, content)
    content.insert(place, box(x, y, TREE_WIDTH - 2 * x, bottom - y, "box"))
    return bottom + 10


def task_line(task: trio.lowlevel.Task, x: float, y: float) -> list[str]:
    """Return the chip of a task: the functions it is in, the one it began with first."""
    names = [frame.f_code.co_qualname.rpartition("<locals>.")[2] for frame in frames(task) if is_ours(frame)]
    first, rest = names[0], "".join(f" > {name}" for name in names[1:])
    return [
        box(x, y, code_width(first + rest) + 16, 24, "own"),
        f'<text x="{x + 8:g}" y="{y + 16:g}" class="code"><tspan class="strong">{html.escape(first)}</tspan>'
        f'<tspan class="muted">{html.escape(rest)}</tspan></text>',
    ]


def frames(task: trio.lowlevel.Task) -> Iterator[FrameType]:
    """Yield the frames of *task*, from the function it began with to where it waits."""
    awaited = task.coro
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            yield frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


def is_ours(frame: FrameType) -> bool:
    return frame.f_globals["__name__"].partition(".")[0] in (__name__, "trio_messenger")


def run(async_fn: Callable[..., object], *args: object) -> str:
    return trio.run(async_fn, *args, clock=trio.testing.MockClock())


# The path of a message

LANES = {"_read": "reader", "serve": "router", "_work": "handler", "_write": "writer"}
"""The tasks that may be in the picture, by the function that each began with; those that take no step are left out."""

LANE_WIDTH = 58


@attrs.define
class Step:
    """What a task does from one wait to its next."""

    lane: str
    does: list[str] = attrs.field(factory=list)
    wakes: list[str] = attrs.field(factory=list)


class Tracer(trio.abc.Instrument):
    """Notes the steps of the tasks in `LANES`, whom each wakes or starts, and what the table and the network see."""

    def __init__(self, node: Node) -> None:
        self.steps: list[Step] = []
        self._node = node
        self._pending = 0
        self._runs = False  # one of the tasks in the picture, and none of those that play the peers

    def note(self, what: str) -> None:
        self.steps[-1].does.append(what)

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        lane = lane_of(task)
        if lane and self._runs:
            self.steps[-1].wakes.append(lane)
            if lane == "handler":
                self.note("wakes the handler" if task.coro.cr_await else "starts the handler")

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._pending = len(self._node.pending)
        lane = lane_of(task)
        self._runs = lane is not None
        if lane:
            self.steps.append(Step(lane))

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        change = len(self._node.pending) - self._pending
        if lane_of(task) and change:
            does = self.steps[-1].does
            place = 1 if does and does[0].startswith("reads") else 0
            does.insert(place, "opens a record" if change > 0 else "settles it")


def lane_of(task: trio.lowlevel.Task) -> str | None:
    return LANES.get(task.name.rpartition(".")[2])


class Wire(Transport):
    """A transport that tells *tracer* what passes, and sends at once what it can, as that on stdout does."""

    def __init__(self) -> None:
        self.tracer: Tracer | None = None
        self.to_node, self._from_peers = trio.open_memory_channel[list[Message]](1)

    async def receive(self) -> list[Message]:
        batch = await self._from_peers.receive()
        if self.tracer:
            self.tracer.note(f"reads {batch[0].body['type']} from {batch[0].src}")
        return batch

    async def send(self, value: list[bytes]) -> None:
        self.send_now(value)

    def send_now(self, value: list[bytes]) -> list[bytes]:
        if self.tracer:
            for message in map(msgspec.json.Decoder(Message).decode, value):
                self.tracer.note(f"writes {message.body['type']} to {message.dest}")
        return []

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def trace(batches: list[Message]) -> list[Step]:
    """Serve *batches*, each after the node has come to rest, and return the steps that the node made."""
    node, wire = a_node(), Wire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, wire)
        init = {"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1", "n2"]}
        await wire.to_node.send([Message("c0", "n1", init)])
        await trio.testing.wait_all_tasks_blocked()
        wire.tracer = Tracer(node)
        trio.lowlevel.add_instrument(wire.tracer)
        for message in batches:
            await wire.to_node.send([message])
            await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(wire.tracer)
        nursery.cancel_scope.cancel()
    return wire.tracer.steps


def path() -> str:
    """Draw the steps of an echo and those of a request whose handler asks another node."""
    echo = Message("c1", "n1", {"type": "echo", "echo": "hi", "msg_id": 1})
    relay = Message("c1", "n1", {"type": "relay", "msg_id": 2})
    reply = Message("n2", "n1", {"type": "read_ok", "value": 7, "in_reply_to": 1, "msg_id": 9})
    stories = {
        "A plain handler": run(trace, [echo]),
        "A handler that asks another node": run(trace, [relay, reply]),
    }
    stepping = {step.lane for steps in stories.values() for step in steps}
    lanes = [lane for lane in LANES.values() if lane in stepping]
    content: list[str] = []
    y = 0.0
    for title, steps in stories.items():
        y = draw_steps(title, steps, {lane: 34 + LANE_WIDTH * n for n, lane in enumerate(lanes)}, y + 24, content)
    return picture(y, "The steps of the tasks from a request to its reply", content)


def draw_steps(title: str, steps: list[Step], lanes: dict[str, int], y: float, content: list[str]) -> float:
    content += [text(12, y, title, "strong")]
    content += [text(x, y + 26, lane, "middle muted") for lane, x in lanes.items()]
    top, bottom = y + 34, y + 34 + 34 * len(steps)
    content += [f'<path d="M{x} {top:g}V{bottom:g}" class="line"/>' for x in lanes.values()]
    for index, step in enumerate(steps):
        row = top + 18 + 34 * index
        for woken in step.wakes:
            later = next((n for n in range(index + 1, len(steps)) if steps[n].lane == woken), None)
            if later is not None:
                content.append(arrow(lanes[step.lane], row, lanes[woken], top + 18 + 34 * later))
        content.append(f'<circle cx="{lanes[step.lane]}" cy="{row:g}" r="6" class="step"/>')
        first, *rest = step.does or [f"wakes the {woken}" for woken in step.wakes]
        x = max(lanes.values()) + 30
        content.append(text(x, row - 2 if rest else row + 4, first))
        if rest:
            content.append(text(x, row + 12, ", ".join(rest)))
    return bottom + 8


PICTURES = {
    "layers.svg": layers,
    "simulator_layers.svg": simulator_layers,
    "task_tree.svg": task_tree,
    "path.svg": path,
}
