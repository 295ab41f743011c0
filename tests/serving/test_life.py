"""The life of a node: the whole table of its transitions, and what the life tells and closes on the way."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from support.lines import INIT, line
from trio.testing import MockClock, wait_all_tasks_blocked

import trio_messenger
from trio_messenger import Identity, Message, Node, PendingRpc, Stats
from trio_messenger._rpc.reaper import Reaper
from trio_messenger._rpc.table import PendingTable
from trio_messenger._sending.envelopes import EnvelopeLog
from trio_messenger._sending.outbox import Outbox
from trio_messenger._sending.sender import Sender
from trio_messenger._serving.life import TRANSITIONS, Event, Life, Phase, next_phase
from trio_messenger.transports import Transport
from trio_messenger.transports.memory import memory_transport_pair

PACKAGE = Path(trio_messenger.__file__).parent

N1 = Identity("n1", ("n1", "n2"))

# What each event leads to, phase by phase, written down once more by hand; a dash stands for an error.
TABLE = """
                BEGIN        INIT     INIT_DONE  INIT_FAILED  INPUT_ENDED  OUTPUT_ENDED  END
    NEW         BEFORE_INIT  -        -          -            -            -             -
    BEFORE_INIT -            IN_INIT  -          -            CLOSING      CUT_OFF       ENDED
    IN_INIT     -            -        SERVING    BEFORE_INIT  CLOSING      CUT_OFF       ENDED
    SERVING     -            -        -          -            CLOSING      CUT_OFF       ENDED
    CLOSING     -            CLOSING  CLOSING    CLOSING      -            CLOSED        ENDED
    CUT_OFF     -            CUT_OFF  CUT_OFF    CUT_OFF      CLOSED       -             ENDED
    CLOSED      -            CLOSED   CLOSED     CLOSED       -            CLOSED        ENDED
    ENDED       -            -        -          -            -            -             -
"""

HEAD, *ROWS = [row.split() for row in TABLE.strip().splitlines()]
CELLS = [
    (Phase[row[0]], Event[event], following) for row in ROWS for event, following in zip(HEAD, row[1:], strict=True)
]


@pytest.mark.parametrize(("phase", "event", "following"), CELLS, ids=lambda cell: getattr(cell, "name", cell))
def test_each_event_in_each_phase(phase: Phase, event: Event, following: str) -> None:
    """An event leads from a phase to the one in the table; if there is none, the error says what would be right."""
    if following != "-":
        assert next_phase(phase, event) is Phase[following]
        return
    with pytest.raises(RuntimeError) as caught:
        next_phase(phase, event)
    text = str(caught.value)
    assert text.startswith(f"not possible in phase {phase.value!r}: {event.value}; this leads from ")
    for row in ROWS:
        right, leads_to = Phase[row[0]], row[1 + HEAD.index(event.name)]
        way = f"from {right.value!r} to {Phase[leads_to].value!r}" if leads_to != "-" else "from nowhere"
        assert (way in text) == (leads_to not in ("-", right.name))


def test_the_table_is_complete() -> None:
    """The table above has each phase and each event once."""
    assert [event.name for event in Event] == HEAD
    assert [row[0] for row in ROWS] == [phase.name for phase in Phase]
    assert len(TRANSITIONS) == len(Phase)


def test_an_illegal_transition_names_both_phases() -> None:
    """The error names the phase that the node is in and the one that the event would lead to."""
    with pytest.raises(RuntimeError) as caught:
        next_phase(Phase.ENDED, Event.INIT_DONE)
    assert str(caught.value) == (
        "not possible in phase 'ended': the hooks of on_init have ended; this leads from 'in init' to 'serving'"
    )


def test_only_the_life_closes_parts_and_tells_the_id() -> None:
    """No other module of the package closes the outbox, the table or the reaper, or sets what the life keeps."""
    parts = {name.removeprefix("_") for name in vars(Stage().life)} & {"outbox", "table", "reaper", "sender"}
    assert len(parts) == 4
    kept = {"src", *(name for name in vars(Stage().life) if not name.startswith("_"))}
    found: set[tuple[str, str]] = set()
    for path in PACKAGE.glob("_*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Attribute(attr=part), attr="close" | "refuse_requests" as name)
                ):
                    if part.removeprefix("_") in parts:
                        found.add((path.stem, name))
                case ast.Attribute(value=ast.Attribute(attr=owner), attr=name, ctx=ast.Store()):
                    if owner.removeprefix("_") in {*parts, "life"} and name in kept:
                        found.add((path.stem, name))
    assert found == {("life", "close"), ("life", "refuse_requests"), ("life", "src")}


class Stage:
    """A life with its parts, but without a node."""

    def __init__(self) -> None:
        self.outbox = Outbox(100, busy_from=25)
        self.table = PendingTable(Stats(), trio.open_memory_channel[PendingRpc](math.inf)[0])
        self.sender = Sender(self.outbox, Stats(), EnvelopeLog(0, lambda: 0.0))
        self.life = Life(self.sender, self.outbox, self.table, Reaper(self.table, lambda: "n1"))

    def is_open(self) -> tuple[bool, bool]:
        """Tell whether RPCs can begin, and whether something can be sent."""
        try:
            self.outbox.put(b"x")
        except trio.ClosedResourceError:
            return not self.table.is_closed, False
        return not self.table.is_closed, True


async def test_a_life_from_init_to_the_end() -> None:
    """The sender learns the id at once; each part is closed in its phase, and the transport last; the id stays."""
    stage = Stage()
    life = stage.life
    there, here = memory_transport_pair()
    assert (life.phase, life.is_closing) == (Phase.NEW, False)
    async with here, life.on(there, None) as transport:
        assert transport is there
        assert (life.phase, life.identity, life.node_id) == (Phase.BEFORE_INIT, None, "")
        life.begin_init(N1)
        assert (life.phase, life.identity, life.node_id, stage.sender.src) == (Phase.IN_INIT, N1, "n1", "n1")
        life.take_back_init()
        assert (life.phase, life.identity, life.node_id, stage.sender.src) == (Phase.BEFORE_INIT, None, "", "")
        life.begin_init(N1)
        assert not life.is_initialised
        life.finish_init()
        assert (life.phase, life.is_initialised, life.is_closing) == (Phase.SERVING, True, False)
        assert stage.is_open() == (True, True)
        life.end_input()
        assert (life.phase, life.is_initialised, life.is_closing) == (Phase.CLOSING, True, True)
        assert stage.is_open() == (False, True)
        life.end_output()
        assert (life.phase, stage.is_open()) == (Phase.CLOSED, (False, False))
        await there.send([b"{}"])  # the transport is open
        assert life.phase is Phase.CLOSED
    assert (life.phase, life.is_closing, life.identity, stage.sender.src) == (Phase.ENDED, True, N1, "n1")
    with pytest.raises(trio.ClosedResourceError):
        await there.send([b"{}"])


async def test_a_life_that_is_cut_off() -> None:
    """If the output ends first, RPCs go on until the input ends, too."""
    stage = Stage()
    there, here = memory_transport_pair()
    async with here, stage.life.on(there, None):
        stage.life.begin_init(N1)
        stage.life.end_output()
        assert (stage.life.phase, stage.life.is_closing) == (Phase.CUT_OFF, True)
        assert stage.is_open() == (True, False)
        stage.life.finish_init()
        assert (stage.life.phase, stage.life.is_initialised) == (Phase.CUT_OFF, True)
        stage.life.end_input()
        assert (stage.life.phase, stage.is_open()) == (Phase.CLOSED, (False, False))


CLOSINGS: list[list[Callable[[Life], None]]] = [
    [Life.end_input],
    [Life.end_output],
    [Life.end_input, Life.end_output],
]


@pytest.mark.parametrize("endings", CLOSINGS)
@pytest.mark.parametrize("finish", [Life.finish_init, Life.take_back_init])
async def test_hooks_end_only_if_they_run_while_a_node_closes(
    endings: list[Callable[[Life], None]], finish: Callable[[Life], None]
) -> None:
    """The phases of closing do not show whether hooks run; the life knows, and refuses what cannot be."""
    stage = Stage()
    life = stage.life
    there, here = memory_transport_pair()
    async with here, life.on(there, None):
        for end in endings:
            end(life)
        phase = life.phase
        with pytest.raises(RuntimeError, match=rf"^not possible in phase '{phase.value}': .*; this comes once after"):
            finish(life)
        life.begin_init(N1)
        with pytest.raises(RuntimeError, match=rf"^not possible in phase '{phase.value}': .*; this comes only once$"):
            life.begin_init(N1)
        finish(life)
        with pytest.raises(RuntimeError, match=r"this comes once after each init$"):
            finish(life)
        assert (life.phase, life.is_initialised) == (phase, finish is Life.finish_init)


class Connecting(Transport):
    """A transport that connects when it is entered. Its ``__aenter__`` returns nothing, which is easily forgotten."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.steps: list[str] = []

    async def __aenter__(self) -> None:  # type: ignore[override]
        await trio.lowlevel.checkpoint()
        self.steps.append("connected")

    async def receive(self) -> list[Message]:
        return await self._inner.receive()

    async def send(self, value: list[bytes]) -> None:
        self.steps.append("sent")
        await self._inner.send(value)

    async def aclose(self) -> None:
        self.steps.append("closed")
        await self._inner.aclose()


@pytest.mark.parametrize("is_wrapping", [False, True])
async def test_a_transport_is_used_whatever_entering_it_returns(is_wrapping: bool, autojump_clock: MockClock) -> None:
    """The node serves the transport that it was given, or that wraps this one, and closes it."""
    there, here = memory_transport_pair()
    transport = Connecting(there)
    node = Node(wrap_transport=lambda _: transport) if is_wrapping else Node()
    async with here, trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, there if is_wrapping else transport)
        await here.send_bytes(INIT)
        here.send_eof()
        assert [message.body["type"] for message in await here.receive()] == ["init_ok"]
    assert transport.steps == ["connected", "sent", "closed"]


async def test_an_error_in_a_life_ends_it() -> None:
    """Whatever ends serve(), and wherever, all parts are closed, and the error is the one that was raised."""
    stage = Stage()
    there, here = memory_transport_pair()
    async with here:
        with pytest.raises(KeyError):
            async with stage.life.on(there, None):
                raise KeyError
        assert (stage.life.phase, stage.is_open()) == (Phase.ENDED, (False, False))
        with pytest.raises(trio.EndOfChannel):
            await here.receive()


async def test_a_node_whose_transport_cannot_be_wrapped_has_ended() -> None:
    """If serve() fails before it begins, the node is closed for good, and tells whoever calls it."""

    def fail(_: Transport) -> Transport:
        raise OSError("no such network")

    node = Node(wrap_transport=fail)
    there, here = memory_transport_pair()
    async with there, here:
        with pytest.raises(OSError, match=r"^no such network$"):
            await node.serve(there)
        with pytest.raises(RuntimeError, match=r"^this node has served already"):
            await node.serve(there)
        with pytest.raises(trio.ClosedResourceError):
            await node.rpc("n2", {"type": "ask"})
        with pytest.raises(trio.ClosedResourceError):
            node.every(1, lambda: None)


async def test_a_node_goes_through_its_phases(autojump_clock: MockClock) -> None:
    """The hooks of init, handlers and background tasks see the phases in which they run."""
    node = Node()
    life = node._service.life
    seen: dict[str, Phase] = {"made": life.phase}

    @node.on_init
    async def hook() -> None:
        await trio.sleep(1)
        seen["hook"] = life.phase

    @node.background
    async def work() -> None:
        seen["background"] = life.phase
        await trio.sleep_forever()

    @node.on("ask")
    async def ask() -> None:
        try:
            await node.rpc("n2", {"type": "question"})
        finally:
            seen["after the input"] = life.phase

    there, here = memory_transport_pair()
    async with here, trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, there)
        await wait_all_tasks_blocked()
        seen["begun"] = life.phase
        await here.send_bytes(INIT)
        await here.receive()
        await here.send_bytes(line({"type": "ask", "msg_id": 2}))
        await here.receive()
        here.send_eof()
    seen["returned"] = life.phase
    assert seen == {
        "made": Phase.NEW,
        "begun": Phase.BEFORE_INIT,
        "hook": Phase.IN_INIT,
        "background": Phase.SERVING,
        "after the input": Phase.CLOSING,
        "returned": Phase.ENDED,
    }


async def test_hooks_that_end_while_the_node_closes_start_no_background_task(autojump_clock: MockClock) -> None:
    """If the input ends while the hooks run, they have time to end; init_ok leaves, and nothing else begins."""
    node = Node()
    began = []

    @node.on_init
    async def hook() -> None:
        await trio.sleep(0.5)

    @node.background
    async def work() -> None:
        began.append(node.id)

    there, here = memory_transport_pair()
    async with here, trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, there)
        await here.send_bytes(INIT)
        here.send_eof()
        assert [message.body["type"] for message in await here.receive()] == ["init_ok"]
    assert (began, node.id, node._service.life.phase) == ([], "n1", Phase.ENDED)
