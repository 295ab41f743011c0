"""The guard of virtual time: a run that gets nowhere ends, and says who keeps it busy with what."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from support.command_line import in_folder, outcome

from trio_messenger import Body, Node, Request
from trio_messenger.nodes import echo
from trio_messenger.sim import Kill, Options, Pause, Report, SetUpError, simulate
from trio_messenger.sim._runaways.guard import kinds_of_messages
from trio_messenger.sim._runaways.watchdog import watching

LIMIT = 5000


def run(build: Callable[[], Node], workload: str = "echo", **options: Any) -> Report:
    """Make a short run with a low limit."""
    return simulate(workload, build, **{"nodes": 1, "time_limit": 3, "busy_limit": LIMIT, **options})


def stuck(report: Report) -> str:
    """Return why *report* says that the run is stuck, which makes it invalid, and is told first."""
    assert report.valid is False
    text = report.results["nodes"]["stuck"]
    assert isinstance(text, str)
    assert report.reasons()[0] == text
    return text


def echoing(spin: Callable[[Node, Request], Any]) -> Callable[[], Node]:
    """Return what makes a node that does *spin* before it answers an echo."""

    def build() -> Node:
        node = Node()

        @node.on("echo")
        async def answer(request: Request) -> Body:
            await spin(node, request)
            return {"echo": request.body["echo"]}

        return node

    return build


# Storms


def storm() -> Node:
    """Forward every broadcast to all others, known or not."""
    node = Node()
    seen: list[Any] = []

    @node.on("topology")
    def topology() -> Body:
        return {}

    @node.on("broadcast")
    def broadcast(request: Request) -> Body:
        seen.append(request.body["message"])
        for other in node.peers:
            node.send_nowait(other, {"type": "broadcast", "message": request.body["message"]})
        return {}

    @node.on("read")
    def read() -> Body:
        return {"messages": seen}

    return node


def ping_pong() -> Node:
    """Answer each ping by another one, at once."""
    node = echo.build()

    @node.on("ping")
    def ping(request: Request) -> None:
        node.send_nowait(request.src, {"type": "ping"})

    @node.background
    async def begin() -> None:
        await trio.sleep(10)  # until the other one has come up
        if node.id == "n1":
            await node.send("n2", {"type": "ping"})

    return node


@pytest.mark.parametrize("latency", [0, 1, 50])
def test_a_storm_ends_the_run(latency: float) -> None:
    """Messages that multiply end the run, at one instant or in time; it says how many, of which type, between whom."""
    text = stuck(run(storm, "broadcast", nodes=3, latency=latency, time_limit=30))
    assert re.fullmatch(
        r"stuck at [\d.]+ s of virtual time: 5,000 messages within [\d.]+ s from nodes \((?:n[123] [\d,]+(?:, )?)+\),"
        r" most often 'broadcast' n[123] -> n[123] \([\d,]+\)(?:, '\w+' n\d -> n\d \([\d,]+\))*;"
        r" if this is intended, give a --busy-limit \(busy_limit=\) above 5000",
        text,
    )


@pytest.mark.slow
def test_two_nodes_that_ping_each_other_at_one_instant_are_stuck() -> None:
    """A ping-pong at no latency ends the run at its instant; with latency it is a ping-pong."""
    text = stuck(run(ping_pong, nodes=2, time_limit=12))
    assert re.match(r"stuck at \d+\.\d+ s of virtual time: 5,000 messages within [\d.]+ s from nodes \(n[12] 2,", text)
    assert re.search(r", most often 'ping' n. -> n. \(2,\d{3}\), 'ping' n. -> n. \(2,\d{3}\)[;,]", text)
    assert run(ping_pong, nodes=2, time_limit=12, latency=1).valid is True


def test_the_messages_of_one_node_are_told_apart() -> None:
    """Of a node that floods its stdout, only its own messages are named; and none, if it sent none."""
    journal = run(echo.build, nodes=1).journal
    assert kinds_of_messages(journal, src="n1").startswith(", most often 'echo_ok' n1 -> c1 (")
    assert kinds_of_messages(journal, src="n2") == ""


@pytest.mark.slow
def test_a_storm_is_bounded_in_memory() -> None:
    """While a storm is detected, memory grows no further than the limit: each message takes about a kilobyte."""
    limit = 2000
    run(storm, "broadcast", nodes=3, busy_limit=limit)
    tracemalloc.start()
    try:
        report = run(storm, "broadcast", nodes=3, busy_limit=limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(report.journal) < 5 * limit
    assert peak < 4000 * limit


@pytest.mark.slow
def test_a_paused_node_that_storms_is_stuck_as_well() -> None:
    """What is held back counts too, although nobody receives it."""

    def build() -> Node:
        node = echo.build()

        @node.background
        async def send() -> None:
            await trio.sleep(1)
            for number in range(10 * LIMIT):
                await node.send("n1", {"type": "number", "number": number})

        return node

    text = stuck(run(build, faults=[Pause(nodes=["n1"], at=0.5, until=2)]))
    assert text.startswith("stuck at 1 s of virtual time: 5,000 messages within 0 s from nodes (n1 5,000)")


# Tasks that only yield


async def yields(_: Node, __: Request) -> None:
    """Wait by yielding for what needs time."""
    while True:
        await trio.lowlevel.checkpoint()


async def polls_the_clock(_: Node, __: Request) -> None:
    """Poll the clock for a second."""
    then = trio.current_time() + 1
    while trio.current_time() < then:
        await trio.lowlevel.checkpoint()


async def polls_a_channel(_: Node, __: Request) -> None:
    """Poll a channel."""
    _send, receive = trio.open_memory_channel[None](1)
    while True:
        try:
            receive.receive_nowait()
        except trio.WouldBlock:
            await trio.lowlevel.checkpoint()


async def naps(_: Node, __: Request) -> None:
    """Sleep so little that time hardly moves."""
    while True:  # noqa: ASYNC110 - the mistake
        await trio.sleep(1e-12)


async def hands_over(_: Node, __: Request) -> None:
    """Start another task that does the same, again and again: none takes many turns."""

    async def hands_over_again() -> None:
        nursery.start_soon(hands_over_again)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hands_over_again)


async def hides(_: Node, __: Request) -> None:
    """Yield in a shield, so that it cannot be cancelled."""
    with trio.CancelScope(shield=True):
        while True:
            await trio.lowlevel.checkpoint()


async def swallows(_: Node, __: Request) -> None:
    """Go on after every cancellation."""
    while True:
        with contextlib.suppress(BaseException):  # the mistake
            await trio.lowlevel.checkpoint()


SPINS = [yields, polls_the_clock, polls_a_channel, naps, hands_over, hides, swallows]


@pytest.mark.parametrize("spin", SPINS)
def test_a_task_that_only_yields_ends_the_run(spin: Callable[[Node, Request], Any]) -> None:
    """A run whose virtual time hardly moves ends, and names node and function, whatever that function catches."""
    text = stuck(run(echoing(spin)))
    told = re.fullmatch(
        r"stuck at ([\d.e-]+) s of virtual time: ([\d,]+) turns of tasks within [\d.e-]+ s, the last of them by"
        r" node 'n1' in (\w+) \(test_guard\.py:\d+\) \((\d+)% of the turns\)(?:, .+)?;"
        r" if this is intended, give a --busy-limit \(busy_limit=\) above 5000",
        text,
    )
    assert told, text
    assert float(told[1]) < 0.001
    assert LIMIT <= int(told[2].replace(",", "")) < 2 * LIMIT
    assert told[3].startswith(spin.__name__)
    assert int(told[4]) >= 50


@pytest.mark.slow
def test_the_same_seed_is_stuck_in_the_same_way() -> None:
    """What is counted is not time: two runs of one seed give the same report, with the same journal."""
    first, second = (run(storm, "broadcast", nodes=3, seed=7, latency=20, latency_dist="exponential") for _ in "12")
    assert stuck(first) == stuck(second)
    assert first.digest == second.digest


@pytest.mark.slow
def test_messages_pay_for_the_turns_that_it_takes_to_handle_them() -> None:
    """A lively cluster takes more turns than the limit has messages, and is not stuck."""

    def build() -> Node:
        node = echo.build()

        @node.on("ask")
        async def ask() -> Body:
            for _ in range(4):
                await trio.sleep(0.0001)
            return {}

        @node.background
        async def ask_all() -> None:
            while True:
                await trio.sleep(0.01)
                await node.rpc("n1", {"type": "ask"})

        return node

    assert run(build, nodes=3, busy_limit=2000).valid is True


# Nodes that do not come up, and dead ones


def test_a_storm_of_nodes_that_do_not_come_up_is_no_verdict() -> None:
    """As always when a node does not come up, nothing was tested; and the text says why."""

    def build() -> Node:
        node = Node()

        @node.on_init
        async def spin() -> None:
            while True:
                await trio.lowlevel.checkpoint()

        return node

    with pytest.raises(SetUpError, match=r"^the nodes did not start: stuck at 0 s .* in spin \(test"):
        run(build)


@pytest.mark.slow
@pytest.mark.parametrize("spin", [hides, swallows])
def test_a_dead_node_holds_nobody_up(spin: Callable[[Node, Request], Any]) -> None:
    """What goes on after its node was killed is ended by force, as SIGKILL would; its log says so, the run goes on."""

    def build() -> Node:
        node = echo.build()

        @node.background
        async def wait() -> None:
            try:
                await trio.sleep_forever()
            finally:
                await spin(node, None)  # type: ignore[arg-type]

        return node

    report = run(build, faults=[Kill(nodes=["n1"], at=0.25, until=0.75)])
    assert report.valid is True
    assert report.results["stats"]["ok-count"] > 0
    # It was killed twice: by the fault, and at the end.
    forced = [line for line in report.logs["n1"] if "ended by force" in line]
    assert len(forced) == 2
    assert re.match(
        rf"{spin.__name__} \(test_guard\.py:\d+\) keeps running although the node is dead; it was", forced[0]
    )


async def waits_shielded() -> None:
    """Wait forever, in a shield."""
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


async def waits_shielded_again_and_again() -> None:
    """Wait forever, in a shield, whatever happens."""
    while True:
        with contextlib.suppress(BaseException):
            await waits_shielded()


async def ticks_shielded() -> None:
    """Take a turn each second, in a shield."""
    with trio.CancelScope(shield=True):
        while True:  # noqa: ASYNC110 - the mistake
            await trio.sleep(1)


@pytest.mark.parametrize("wait", [waits_shielded, waits_shielded_again_and_again, ticks_shielded])
def test_a_task_that_is_shielded_does_not_keep_a_run_from_its_end(wait: Callable[[], Any]) -> None:
    """A node that shields a wait forever is ended with the run, which stays valid: a killed process cannot refuse."""

    def build() -> Node:
        node = echo.build()

        @node.background
        async def tasks() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)

        return node

    report = run(build)
    assert report.valid is True
    assert report.results["stats"]["ok-count"] > 0


# The option


def test_the_limit_is_an_option() -> None:
    """It is checked, saved, and in the command that runs the test again."""
    with pytest.raises(ValueError, match=r"^busy_limit is 10; give 1000 or more$"):
        Options(workload="echo", busy_limit=10)
    options = Options(workload="echo", busy_limit=2000)
    assert Options.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert Options.from_json({"workload": "echo"}).busy_limit == 200_000
    report = simulate("echo", echo.build, time_limit=1, busy_limit=2000)
    assert report.command == "trio-messenger test -w echo --node echo --seed 0 --time-limit 1 --busy-limit 2000"


# The command line


STORMY = """
import time, trio
from trio_messenger import Node, RpcTimeout
from trio_messenger.nodes import echo

def build():
    node = echo.build()

    @node.on("ping")
    def ping(request):
        node.send_nowait(request.src, {"type": "ping"})

    @node.background
    async def begin():
        while True:
            try:
                await node.rpc("n1", {"type": "echo", "echo": 1}, timeout=0.25)
            except RpcTimeout:
                await node.send("n1", {"type": "ping"})
            await trio.sleep(0.125)

    return node

def holds():
    node = Node()

    @node.on("echo")
    async def hold():
        while True:
            pass

    return node

def waits_outside():
    node = Node()

    @node.on("echo")
    async def wait(request):
        await trio.to_thread.run_sync(time.sleep, 2)

    return node
"""
"""A node that storms once it was cut off; and others that hold up a simulation."""


@pytest.fixture
def stormy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """The words that test that node; they run in its folder."""
    (tmp_path / "stormy.py").write_text(STORMY)
    for _ in in_folder(tmp_path, monkeypatch):
        yield (*_ECHO, "--node", "stormy:build", "--nodes", "n1,n2", "--time-limit", "4", "--busy-limit", "1000")


_ECHO = ("test", "-w", "echo")
_CUT = [
    {"kind": "partition", "at": 1, "until": 2, "links": [["nodes", "nodes"]]},
    {"kind": "loss", "at": 1.5, "until": 1.75, "links": [["nodes", "nodes"]], "rate": 0.5},
]


@pytest.mark.slow
def test_a_campaign_tells_it_of_each_seed(stormy: tuple[str, ...]) -> None:
    """A stuck run is an invalid one; --seeds tells why, for each seed, and goes on."""
    found = outcome(*stormy, "--seeds", "2", "--keep-going", "--json", "--faults", json.dumps(_CUT))
    assert found.status == 1
    seeds = found.json["seeds"]
    assert [each["valid?"] for each in seeds] == [False, False]
    for each in seeds:
        assert re.match(
            r"stuck at [12][.\d]* s of virtual time: 1,000 messages .* most often 'ping'", each["reasons"][0]
        )
        assert shlex.split(each["command"])[-4:-2] == ["--busy-limit", "1000"]


@pytest.mark.slow
def test_a_stuck_run_is_kept_replayed_and_shrunk(stormy: tuple[str, ...], tmp_path: Path) -> None:
    """Its status is 1, its files are written, it is the same again, and the fault that leads to it is found."""
    found = outcome(*stormy, "--faults", json.dumps(_CUT))
    assert found.status == 1
    assert "  because     stuck at " in found.output
    again = outcome("replay", "store/latest")
    assert again.status == 1
    assert "This is the same run, message by message." in again.output
    shrunk = outcome("shrink", "store/latest", "--json")
    assert shrunk.status == 0
    assert [fault["kind"] for fault in shrunk.json["smallest"]] == ["partition"]
    assert shrunk.json["reasons"][0].startswith("stuck at ")


# What nothing ends but Ctrl-C


@pytest.mark.slow
def test_a_node_that_never_yields_is_told_of_while_it_lasts_and_ctrl_c_ends_it(stormy: tuple[str, ...]) -> None:
    """The watchdog says on stderr who holds the run; Ctrl-C ends it, and names the function that it found."""
    words = [sys.executable, "-c", PATIENT, *_ECHO, "--node", "stormy:holds", "--nodes", "n1", "--no-store"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process, ended(process):
        assert process.stderr is not None
        told = r"seed 0: for \d+ s node 'n1' has been in hold \(stormy\.py:\d+\), and nothing else can run; Ctrl-C ends"
        assert re.match(told, process.stderr.readline())
        process.send_signal(signal.SIGINT)
        last = process.stderr.read().splitlines()[-1]
        assert re.fullmatch(r"trio-messenger test: interrupted; node 'n1' was in hold \(stormy\.py:\d+\)", last)
        assert process.wait() == 130


def test_a_factory_that_never_returns_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a function that makes a node."""
    spoken = threading.Event()

    class Listener(io.StringIO):
        def flush(self) -> None:
            spoken.set()

    def build() -> Node:
        assert spoken.wait(60)
        return echo.build()

    errors = Listener()
    monkeypatch.setattr(sys, "stderr", errors)
    impatient(monkeypatch)
    assert simulate("echo", build, nodes=1, time_limit=1).valid is True
    assert re.match(r"seed 0: for \d+ s node 'n1' has been in build \(test_guard\.py:\d+\), and", errors.getvalue())


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the watchdog speak almost at once."""
    monkeypatch.setitem(watching.__wrapped__.__kwdefaults__, "patience", 0.01)  # type: ignore[attr-defined]


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill *process* if it does not end for a long time."""
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def test_a_node_that_waits_for_a_thread_is_told_of(stormy: tuple[str, ...]) -> None:
    """That nothing runs because something outside of the simulation takes its time is told as well."""
    words = [sys.executable, "-c", PATIENT, *_ECHO, "--node", "stormy:waits_outside", "--nodes", "n1"]
    words += ["--time-limit", "1", "--no-store"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    told = (
        r"seed 0: for \d+ s no task has run: they wait for something outside the simulation, such as a thread or a file"
    )
    assert re.search(told, done.stderr)  # on a busy machine, others may be told of before


PATIENT = """
import signal
import subprocess
import sys
sys.path.insert(0, "")
from trio_messenger import _cli
from trio_messenger.sim._runaways import watchdog
watchdog.watching.__wrapped__.__kwdefaults__["patience"] = 0.1
sys.exit(_cli.main())
"""
"""The command line, with a watchdog of little patience."""


def test_the_watchdog_ends_with_the_run() -> None:
    """No thread is left of a run, however it ended."""
    before = threading.active_count()
    assert simulate("echo", echo.build, nodes=1, time_limit=1).valid is True
    with pytest.raises(SetUpError):
        simulate("echo", lambda: "no node", nodes=1)  # type: ignore[arg-type, return-value]
    assert threading.active_count() == before
