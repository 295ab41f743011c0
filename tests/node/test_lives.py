"""The lives of a node: where its numbers begin, so that a later life never takes what an earlier one was sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
from support.far_away import FarAway
from support.lines import INIT
from support.processes import NODE, bodies, echo, run
from trio.testing import MockClock

from trio_messenger import AtMostOnce, Body, KeyValue, Node, Request, RpcError, Transport
from trio_messenger.sim import ClockSkew, Kill, Report, simulate
from trio_messenger.sim._cluster.in_process import EPOCH
from trio_messenger.testing import running
from trio_messenger.transports.memory import memory_transport_pair

MIDNIGHT = int(FarAway.MIDNIGHT) * 1_000_000


async def first_of(node: Node, **options: Any) -> int:
    """Let *node* serve with these options, and return the number of its first message, which is ``init_ok``."""
    there, here = memory_transport_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(node.serve, there, **options))
        async with here:
            await here.send_bytes(INIT)
            [init_ok] = await here.receive()
    assert init_ok.body["type"] == "init_ok"
    return int(init_ok.body["msg_id"])


# Where the numbers begin


@pytest.mark.parametrize(
    ("own", "given", "first"),
    [(0, None, 0), (7, None, 7), (0, 7, 7), (5, 7, 7), (7, 5, 7), (2**53 - 1, None, 2**53 - 1)],
)
async def test_numbers_begin_with_the_larger_of_what_node_and_serve_were_given(
    own: int, given: int | None, first: int
) -> None:
    """Neither can take back what the other one asked for: both say what may be in use."""
    node = Node(first_msg_id=own)
    assert await first_of(node, **({} if given is None else {"first_msg_id": given})) == first
    assert node.next_msg_id == first + 1


async def test_numbers_grow_by_one_from_there(autojump_clock: MockClock) -> None:
    """With another first number, everything else is as always: RPCs find their replies, and tests their node."""
    node = Node(first_msg_id=1 << 40)
    async with running(node) as network, trio.open_nursery() as nursery:
        nursery.start_soon(node.rpc, "n2", {"type": "ask"})
        request = await network.receive()
        assert request.body["msg_id"] == (1 << 40) + 1
        await network.reply(request, {"type": "ask_ok"})
    assert (node.stats.answered, node.next_msg_id) == (1, (1 << 40) + 2)


@pytest.mark.parametrize("where", ["Node", "serve"])
async def test_the_clock_is_that_of_the_place_where_the_node_runs(where: str, mock_clock: MockClock) -> None:
    """``clock`` is the microseconds since 1970 at the beginning of serving, on the clock of the transport."""
    mock_clock.jump(1.5)
    here = {"first_msg_id": "clock"}
    node = Node(wrap_transport=FarAway, **(here if where == "Node" else {}))  # type: ignore[arg-type]
    assert await first_of(node, **(here if where == "serve" else {})) == MIDNIGHT + 1_500_000


@pytest.mark.parametrize("wrong", [-1, 2**53, 10**30, 1.5, True, None, "now"])
async def test_a_first_number_that_cannot_be_is_refused(wrong: Any) -> None:
    """Whoever is given it refuses it, before anything is served; the text says what to give."""
    text = f"first_msg_id is {wrong!r}; give a whole number from 0 to 9007199254740991 (2**53 - 1, "
    takers: list[Callable[[], object]] = [
        lambda: Node(first_msg_id=wrong),
        lambda: Node().run(first_msg_id=wrong),
    ]
    for taker in takers:
        with pytest.raises(ValueError, match="first_msg_id") as caught:
            taker()
        assert str(caught.value).startswith(text)
    there, here = memory_transport_pair()
    with pytest.raises(ValueError, match="first_msg_id") as caught:
        await Node().serve(there, first_msg_id=wrong)
    assert str(caught.value).startswith(text)
    with pytest.raises(trio.BrokenResourceError):
        await here.send([b"{}"])  # whatever `serve` raises, it has closed its transport


class _Wrong(FarAway):
    def wall_time(self) -> float:
        return self.ahead


@pytest.mark.parametrize("shows", [-1.0, 2.0**53])
async def test_a_clock_that_is_far_off_is_refused(shows: float) -> None:
    """A clock before 1970, or after 2255, gives no number that a peer could read."""

    def wrap(transport: Transport) -> Transport:
        far = _Wrong(transport)
        far.ahead = shows
        return far

    text = rf"^first_msg_id is 'clock', and the clock shows {shows:.0f} s since 1970; set it to 1970 to 2255$"
    with pytest.raises(ValueError, match=text):
        await Node(wrap_transport=wrap, first_msg_id="clock").serve(memory_transport_pair()[0])


@pytest.mark.slow
@pytest.mark.every_python
async def test_the_executable_begins_where_it_is_told() -> None:
    """On real pipes, ``--first-msg-id`` gives the first number, and a later life has larger ones by ``clock``."""
    status, output, _ = await run(*NODE, "--first-msg-id", "41", input=INIT + echo(2))
    assert (status, [body["msg_id"] for body in bodies(output)]) == (0, [41, 42])
    lives = [await run(*NODE, "--first-msg-id", "clock", input=INIT + echo(2) * 100) for _ in range(2)]
    numbers = [[body["msg_id"] for body in bodies(output)] for _, output, _ in lives]
    assert EPOCH * 1_000_000 < numbers[0][0] <= numbers[0][-1] < numbers[1][0] < 2**53


# Lives in the simulator


def numbers_of(report: Report) -> list[list[int]]:
    """Return the numbers of the messages that each life of n1 sent."""
    lives: list[list[int]] = []
    for entry in report.journal:
        if (entry.event, entry.node) == ("start", "n1"):
            lives.append([])
        if entry.event == "send" and entry.raw is not None:
            message = msgspec.json.decode(bytes(entry.raw))
            if message["src"] == "n1":
                lives[-1].append(message["body"]["msg_id"])
    return lives


KILLS = [Kill(nodes=["n1"], at=at, until=at + 0.25) for at in (2, 10)]
OFTEN: dict[str, Any] = {"nodes": 1, "rate": 20, "time_limit": 20}


def echo_from(first_msg_id: Any) -> Callable[[], Node]:
    """Return a function that makes nodes whose numbers begin with *first_msg_id*."""

    def build() -> Node:
        node = Node(first_msg_id=first_msg_id)
        node.on("echo")(lambda request: {"echo": request.body["echo"]})
        return node

    return build


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize(("own", "first"), [(0, 0), (5, 5), ("clock", int(EPOCH) * 1_000_000)])
def test_a_later_life_goes_on_after_all_numbers_of_the_earlier_ones(own: Any, first: int) -> None:
    """The first life has the numbers that it has anywhere; no later one repeats any of them, whatever was asked for."""
    report = simulate("echo", echo_from(own), faults=KILLS, **OFTEN)
    lives = numbers_of(report)
    numbers = [number for life in lives for number in life]
    assert [len(life) > 10 for life in lives] == [True] * 3
    assert numbers == sorted(set(numbers))
    assert numbers[0] == first
    if own != "clock":
        assert numbers == list(range(first, first + len(numbers)))


def test_what_was_asked_for_is_a_lower_bound() -> None:
    """A life that asks for larger numbers gets them; one that asks for numbers in use gets the next ones."""
    wanted = iter([100, 10, 5000])

    def build() -> Node:
        return echo_from(next(wanted))()

    report = simulate("echo", build, faults=KILLS, **OFTEN)
    first, second, third = numbers_of(report)
    assert (first[0], second[0], third[0]) == (100, first[-1] + 1, 5000)


def test_a_clock_that_was_set_back_repeats_no_number_in_the_simulator() -> None:
    """A life that begins while the clock is wrong still goes on after the numbers of the one before."""
    faults = [*KILLS[:1], ClockSkew(nodes=["n1"], seconds=-3600, at=1, until=15)]
    report = simulate("echo", echo_from("clock"), faults=faults, **OFTEN)
    first, second = numbers_of(report)
    assert second == list(range(first[-1] + 1, first[-1] + 1 + len(second)))


def test_runs_that_begin_with_the_clock_are_the_same_again() -> None:
    """In the simulator the clock is the simulated one, so the same seed gives the same run."""
    one, other = (simulate("echo", echo_from("clock"), faults=KILLS, **OFTEN) for _ in range(2))
    assert one.digest == other.digest


def test_a_reply_to_the_former_life_is_not_taken_for_one_to_this_life() -> None:
    """A node that was killed with a write on its way does not take its acknowledgement for that of its own cas."""
    outcomes: list[str] = []

    def build(store: MutableMapping[str, Any]) -> Node:
        node = Node(rpc_timeout=5)
        life = store["life"] = store.get("life", 0) + 1
        kv = KeyValue(node, "lin-kv")

        @node.on("echo")
        def echo(request: Request) -> Body:
            return {"echo": request.body["echo"]}

        @node.background
        async def ask() -> None:
            if life == 1:
                await kv.write("mine", "old")
            else:
                try:
                    await kv.cas("mine", "never this", "new")
                    outcomes.append("set")
                except RpcError as exc:
                    outcomes.append(str(exc))

        return node

    kill = Kill(nodes=["n1"], at=0.5, until=0.7)
    report = simulate("echo", build, nodes=1, rate=1, time_limit=10, latency=800, faults=[kill])
    assert report.valid is True
    assert outcomes == ['precondition-failed (22): current value "old" is not "never this"']


def asks_once_a_life(ask: Callable[[Node, int], Awaitable[object]], store: MutableMapping[str, Any]) -> Node:
    """Return a node that does *ask* when a client first asks it; after a restart at once, as the others are up then."""
    node = Node()
    life = store["life"] = store.get("life", 0) + 1
    asked = False

    @node.on("echo")
    async def echo(request: Request) -> Body:
        nonlocal asked
        if node.id == "n1" and life == 1 and not asked:
            asked = True
            await ask(node, life)
        return {"echo": request.body["echo"]}

    @node.background
    async def ask_at_once() -> None:
        if node.id == "n1" and life > 1:
            await ask(node, life)

    return node


@pytest.mark.slow
def test_a_vote_of_an_earlier_term_is_not_counted_in_a_later_one() -> None:
    """A candidate that was killed does not count the votes of its former term in its new one."""
    votes: list[tuple[int, int]] = []  # the term of the candidate that counts a vote, and the term that it is for

    async def stand(node: Node, term: int) -> None:
        gathered = await node.rpc_all(node.peers, {"type": "request_vote", "term": term}, timeout=5)
        votes.extend((term, reply["term"]) for reply in gathered.replies.values())

    def build(store: MutableMapping[str, Any]) -> Node:
        node = asks_once_a_life(stand, store)

        @node.on("request_vote")
        def vote(request: Request) -> Body:
            return {"term": request.body["term"]}

        return node

    simulate(
        "echo", build, nodes=3, rate=50, time_limit=10, latency=800, faults=[Kill(nodes=["n1"], at=0.5, until=0.7)]
    )
    assert votes == [(2, 2), (2, 2)]


def test_at_most_once_serves_the_requests_of_a_restarted_caller() -> None:
    """What a caller asks after its restart is served, and not taken for what it asked with those numbers before."""
    served: list[int] = []
    answers: list[tuple[int, int]] = []

    async def pay(node: Node, life: int) -> None:
        answers.append((life, (await node.rpc("n2", {"type": "pay", "life": life}))["life"]))

    def build(store: MutableMapping[str, Any]) -> Node:
        node = asks_once_a_life(pay, store)

        @node.on("pay", at_most_once=AtMostOnce())
        def serve(request: Request) -> Body:
            served.append(request.body["life"])
            return {"life": request.body["life"]}

        return node

    simulate("echo", build, nodes=2, rate=50, time_limit=5, faults=[Kill(nodes=["n1"], at=1, until=2)])
    assert served == [1, 2]
    assert answers == [(1, 1), (2, 2)]
