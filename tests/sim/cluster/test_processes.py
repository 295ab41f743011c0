"""Nodes that are executables: real processes on real pipes in real time, right ones and wrong ones."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import msgspec
import pytest
import trio
import trio.testing
from support.paths import EXECUTABLES
from support.processes import LIMIT, NODE, child, needs_proc, until

from trio_messenger import Body, Message
from trio_messenger.sim import (
    ClockSkew,
    Fault,
    Journal,
    Kill,
    Latency,
    Options,
    Partition,
    Pause,
    SetUpError,
)
from trio_messenger.sim._cluster import cluster, processes
from trio_messenger.sim._cluster.clients import Client, Clients
from trio_messenger.sim._cluster.cluster import Cluster
from trio_messenger.sim._cluster.hosts import NodeLog
from trio_messenger.sim._cluster.processes import LOG_LINE_LIMIT, ProcessHost
from trio_messenger.sim._determinism.random_streams import Streams
from trio_messenger.sim._judging.judgement import judge, warnings
from trio_messenger.sim._network.network import SimulatedNetwork
from trio_messenger.sim._runaways.traffic import Traffic
from trio_messenger.sim._runs.real_time import check_faults, process_hosts, run_real
from trio_messenger.sim._runs.run import Run
from trio_messenger.sim._system.children import Child, LineSplitter
from trio_messenger.sim._system.executables import check_executable

pytestmark = needs_proc


PYTHON = (sys.executable, "-I", "-S")
"""A Python that starts fast: without the environment that the tests have."""

FOREIGN = (*PYTHON, str(EXECUTABLES / "broadcast.py"))
WRONG = (*PYTHON, str(EXECUTABLES / "wrong.py"))
NOTHING_SAID = "its last lines on stderr:\n  (nothing)"


def processes_in(folder: Path) -> list[int]:
    """Return the numbers of the processes that run in *folder* or below."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if (entry / "cwd").readlink().is_relative_to(folder):
                    found.append(int(entry.name))
            except OSError:
                pass  # it is gone, or is nobody's any more
    return found


def states(folder: Path) -> list[str]:
    """Return the states of the processes that run in *folder*, as Linux abbreviates them: T for a stopped one."""
    stats = [Path(f"/proc/{number}/stat").read_text() for number in processes_in(folder)]
    return [stat.rpartition(")")[2].split()[0] for stat in stats]


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def await_death(number: int) -> None:
    """Wait until a child has ended, without a checkpoint, so that Trio cannot have noticed."""
    while Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)


def assert_nothing_is_left(folder: Path) -> None:
    """Assert that no process runs in *folder*. What was killed may take a moment, if it is not our child."""
    deadline = time.monotonic() + LIMIT
    while (left := processes_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.01)
    for number in left:
        os.kill(number, signal.SIGKILL)
    assert left == []


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for nodes, in which nothing runs after the test."""
    yield tmp_path
    assert_nothing_is_left(tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients, and who sends init, wait for 2 s only, in which even a busy machine starts a node."""
    rpc = Client.rpc

    async def short(self: Client, dest: str, body: Body, timeout: float = 2.0) -> Body:
        return await rpc(self, dest, body, min(timeout, 2.0))

    monkeypatch.setattr(Client, "rpc", short)


def make_run(
    folder: Path,
    workload: str,
    command: Sequence[str],
    *,
    nodes: Sequence[str] = ("n1",),
    faults: Sequence[Fault] = (),
    rate: float = 50.0,
    time_limit: float = 0.4,
    latency: float = 0.0,
    concurrency: int | None = None,
    watch: Callable[[Run], object] = lambda _: None,
) -> Run:
    options = Options(
        workload=workload,
        nodes=nodes,
        faults=faults,
        rate=rate,
        time_limit=time_limit,
        latency=Latency(latency, "uniform"),
        concurrency=concurrency or len(nodes),
    )
    return Run(options, process_hosts(command, folder), recovery=0.2, watch=watch)


def problems(run: Run) -> list[str]:
    return [problem for host in run.hosts.values() for problem in host.problems]


def assert_valid(run: Run) -> None:
    """Fail if *run* is not valid, or nothing was asked: on a busy machine it may have come to a single operation."""
    results = judge(run)
    assert results["valid?"] is True, results
    assert any(op.type == "ok" for op in run.history)


def sent_by(run: Run, src: str) -> list[bytes]:
    """Return the messages of *src*, as the journal has them."""
    lines = [bytes(entry.message or b"") for entry in run.journal if entry.event == "send"]
    return [line for line in lines if msgspec.json.decode(line)["src"] == src]


@attrs.define(eq=False)
class Stage:
    """A node named n1 on a network of its own; the test is its client, c1."""

    host: ProcessHost
    network: SimulatedNetwork
    received: list[Message] = attrs.field(factory=list)

    def send(self, body: Body, dest: str = "n1") -> None:
        """Send *body* to the node."""
        self.network.send(msgspec.json.encode({"src": "c1", "dest": dest, "body": body}))

    async def ask(self, body: Body) -> Body:
        """Send *body* to the node and return the body of what it sends next."""
        count = len(self.received)
        self.send({**body, "msg_id": count})
        await until(lambda: len(self.received) > count)
        return self.received[count].body

    async def init(self) -> None:
        """Send ``init``; does not wait if the node is dead."""
        self.send({"type": "init", "node_id": "n1", "node_ids": ["n1"], "msg_id": 0})
        await until(lambda: self.received != [] or not self.host.is_alive)


@asynccontextmanager
async def staged(folder: Path, *command: str, burst: int = 10**9) -> AsyncIterator[Stage]:
    """Start *command* as a node."""
    program, *arguments = command
    async with trio.open_nursery() as nursery:
        network = SimulatedNetwork(Streams(0), Journal(), Latency())
        network.start()
        nursery.start_soon(network.run)
        host = ProcessHost(
            "n1",
            network,
            NodeLog("n1"),
            command=[str(check_executable(program)), *arguments],
            folder=folder,
            nursery=nursery,
            traffic=Traffic(rate=1000, burst=burst),
        )
        stage = Stage(host, network)
        network.attach("c1", "clients", lambda delivery: stage.received.append(delivery.message))
        try:
            with trio.fail_after(LIMIT):
                await host.start()
                yield stage
        finally:
            await host.aclose()
            nursery.cancel_scope.cancel()


# Right nodes


def test_our_own_executable_is_valid(folder: Path) -> None:
    """The node that this package brings, as an executable, passes in real time."""
    run = make_run(folder, "echo", (sys.executable, "-m", "trio_messenger", "node"), nodes=["n1", "n2"])
    run_real(run)
    assert_valid(run)


def test_a_foreign_node_is_valid_under_all_faults(folder: Path, impatient: None) -> None:
    """A node in no language of ours is partitioned, killed and paused, each of which shows, and loses nothing."""
    faults = [
        Partition.between(["n1"], ["n2", "n3"], at=0.1, until=0.4),
        Kill(nodes=["n2"], at=0.5, until=0.7),
        Pause(nodes=["n3"], at=0.8, until=1.0),
    ]
    run = make_run(folder, "broadcast", FOREIGN, nodes=["n1", "n2", "n3"], faults=faults, time_limit=1.3, latency=5)
    run_real(run)
    assert_valid(run)
    assert all(run.network.bites[index] > 0 for index in range(3))
    assert [host.lives for host in run.hosts.values()] == [1, 2, 1]
    last = [op.time for op in run.history if op.final]
    assert last[0] - run.history[0].time < 6e9  # and not after the 10 s that nodes have to recover, but for tests
    events = [entry.event for entry in run.journal if entry.node == "n2"]
    assert events == ["start", "ready", "kill", "start", "ready"]
    assert all(line.startswith(b'{"src"') and line.endswith(b"}") for line in sent_by(run, "n1"))


def test_executables_are_read_in_two_rounds_in_the_end(folder: Path) -> None:
    """In real time as in virtual time, though the clients are fewer than the nodes."""
    run = make_run(folder, "broadcast", FOREIGN, nodes=["n1", "n2"], concurrency=1)
    run_real(run)
    assert_valid(run)
    audits = [op for op in run.history if op.audit and op.type == "ok"]
    assert sorted(f"{op.node}" for op in audits) == ["n1", "n2", "n2"]
    assert judge(run)["audit"]["ok-reads"] == {"n1": 2, "n2": 2}


def test_lives_that_begin_with_the_clock_repeat_no_number(folder: Path) -> None:
    """A node of ours that is killed and started again uses no number a second time, if it is told to use the clock."""
    command = (*NODE, "echo", "--first-msg-id", "clock")
    run = make_run(folder, "echo", command, faults=[Kill(nodes=["n1"], at=0.2, until=0.3)], time_limit=0.6)
    run_real(run)
    assert_valid(run)
    assert run.hosts["n1"].lives == 2
    sent = [msgspec.json.decode(line)["body"] for line in sent_by(run, "n1")]
    assert [body["type"] for body in sent].count("init_ok") == 2
    numbers = [body["msg_id"] for body in sent]
    assert numbers == sorted(set(numbers))
    assert 1.7e15 < numbers[0] < numbers[-1] < 2**53


def test_services_answer_processes(folder: Path) -> None:
    """What the services offer to nodes in process they offer to executables."""
    run = make_run(folder, "unique-ids", FOREIGN, nodes=["n1", "n2"])
    run_real(run)
    assert_valid(run)
    assert sent_by(run, "lin-tso")


def test_what_a_script_starts_dies_with_it(folder: Path) -> None:
    """A node behind a shell script works, and its processes end with the run, together with all others of it."""
    seen: list[int] = []

    def watch(run: Run) -> None:
        if run.phase == "main":
            seen.append(len(processes_in(folder)))

    run = make_run(folder, "echo", (str(EXECUTABLES / "wrapper.sh"), *FOREIGN), watch=watch)
    run_real(run)
    assert_valid(run)
    assert max(seen) == 3


def test_each_node_has_a_folder_of_its_own(folder: Path) -> None:
    """Nodes run in folders by their ids, which are made, and find there what they wrote in earlier lives."""
    run = make_run(folder / "deep" / "down", "echo", FOREIGN, nodes=["n1", "n2"], rate=0, time_limit=0)
    run_real(run)
    assert (folder / "deep" / "down" / "n1" / "messages").exists()
    assert (folder / "deep" / "down" / "n2" / "messages").exists()


# Nodes that do not come up


def set_up_error(folder: Path, *command: str) -> str:
    """Run a node that does not come up, and return what is said of it."""
    run = make_run(folder, "echo", command)
    with pytest.raises(SetUpError) as caught:
        run_real(run)
    assert_nothing_is_left(folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            ["dies"],
            "it exited with status 3\nits last lines on stderr:\n  about to die\n  of nothing in particular",
        ),
        (["ends"], f"it exited with status 0\n{NOTHING_SAID}"),
        (["dies-of", "11"], f"it was killed by SIGSEGV\n{NOTHING_SAID}"),
        (["dies-of", "9"], f"it was killed by SIGKILL\n{NOTHING_SAID}"),
        (["dies-of", "40"], f"it was killed by signal 40\n{NOTHING_SAID}"),
        (["refuses"], f"crash (13): no disk\n{NOTHING_SAID}"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_a_node_that_does_not_come_up_is_named(
    folder: Path, wrong: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps a node from coming up is told at once, with the node's name and what it said last."""
    monkeypatch.setattr("trio_messenger.sim._cluster.cluster.INIT_TIMEOUT", 2 * LIMIT)  # is not waited for
    start = time.monotonic()
    assert set_up_error(folder, *WRONG, *wrong) == f"node 'n1' did not answer 'init': {said}"
    assert time.monotonic() - start < LIMIT


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            ["prints", "Hello, world"],
            "it printed a line on stdout that is not JSON; write logs to stderr:"
            f" 'Hello, world' (JSON is malformed: invalid character (byte 0))\n{NOTHING_SAID}",
        ),
        (
            ["prints", ""],
            "it printed a line on stdout that is not JSON; write logs to stderr:"
            f" '' (Input data was truncated)\n{NOTHING_SAID}",
        ),
        (
            ["prints", '{"src": "n1", "dest": "c0"}'],
            "it printed a line on stdout that is not a message:"
            f' \'{{"src": "n1", "dest": "c0"}}\' (Object missing required field `body`)\n{NOTHING_SAID}',
        ),
        (
            ["prints", '{"src": "n1", "dest": "c0", "body": {}, "time": 1}'],
            'it printed a line on stdout that is not a message: \'{"src": "n1", "dest": "c0", "body": {}, "time": 1}\''
            f" (Object contains unknown field `time`)\n{NOTHING_SAID}",
        ),
        (
            ["prints", '{"src": "n1", "dest": "c0", "body": []}'],
            'it printed a line on stdout that is not a message: \'{"src": "n1", "dest": "c0", "body": []}\''
            f" (Expected `object`, got `array` - at `$.body`)\n{NOTHING_SAID}",
        ),
        (
            ["prints", '{"src": "n2", "dest": "c0", "body": {}}'],
            "it printed a message whose src is not its own id:"
            f' \'{{"src": "n2", "dest": "c0", "body": {{}}}}\'\n{NOTHING_SAID}',
        ),
        (
            ["prints", '{"src": "n1", "dest": "n9", "body": {}}'],
            "it printed a message to a dest that does not exist:"
            f' \'{{"src": "n1", "dest": "n9", "body": {{}}}}\'\n{NOTHING_SAID}',
        ),
        (
            ["prints", '{"src": "n1", "dest": "c0", "body": {"a": ' + "[" * 100_000],
            "it printed a line on stdout that is not JSON; write logs to stderr:"
            f' \'{{"src": "n1", "dest": "c0", "body": {{"a": {"[" * 38}\'...'
            f" (maximum recursion depth exceeded while deserializing an object)\n{NOTHING_SAID}",
        ),
        (
            ["prints-overlong"],
            f"it printed a line on stdout that is longer than 16 MiB: '{'x' * 80}'...\n{NOTHING_SAID}",
        ),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_a_bad_line_before_init_ok_is_shown(folder: Path, wrong: list[str], said: str) -> None:
    """Such a node does not come up, for Maelstrom would not hear it any more; that it works otherwise is told."""
    assert set_up_error(folder, *WRONG, *wrong) == f"node 'n1' answered 'init', but before that {said}"


def test_a_bad_line_instead_of_init_ok_is_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no ``init_ok`` comes afterwards, nobody waits for it for long."""
    monkeypatch.setattr(cluster, "LINGER", 0.01)
    assert set_up_error(folder, "sh", "-c", "echo ready; sleep 1000") == (
        "node 'n1' did not answer 'init': it printed a line on stdout that is not JSON; write logs to stderr:"
        f" 'ready' (JSON is malformed: invalid character (byte 0))\n{NOTHING_SAID}"
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            ["answers", '{"type": "init_ok"}'],
            'it sent {"type": "init_ok"} without in_reply_to: a reply must repeat the msg_id of its request there,'
            " as the integer 1",
        ),
        (
            ["answers", '{"type": "init_ok", "in_reply_to": "1"}'],
            'it sent {"type": "init_ok", "in_reply_to": "1"} with the in_reply_to "1" (a string): a reply must repeat'
            " the msg_id of its request there, as the integer 1",
        ),
        (
            ["answers-half", '{"type": "init_ok", "in_reply_to": 1}'],
            "it had not ended a line on stdout:"
            ' \'{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1}}\' (74 bytes);'
            " end each message with a newline, then flush",
        ),
    ],
    ids=["without in_reply_to", "text as in_reply_to", "no newline"],
)
def test_what_came_instead_of_init_ok_is_shown(folder: Path, wrong: list[str], said: str, impatient: None) -> None:
    """A node that answers wrongly is told from one that is silent."""
    assert set_up_error(folder, *WRONG, *wrong) == (
        f"node 'n1' did not answer 'init': no reply from 'n1' to msg_id 1 within 2 s; {said}\n{NOTHING_SAID}"
    )


def test_replies_to_nothing_and_unfinished_lines_are_told(
    folder: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later in a run, too, it is told what did arrive of a node whose operations have no replies."""
    monkeypatch.setattr(processes, "STALE", 0)
    run = make_run(folder, "echo", (*WRONG, "replies-to-nothing"), rate=100, concurrency=2)
    run_real(run)
    results = judge(run)
    assert results["valid?"] is False
    first, second = warnings(results)[-2:]
    assert first.endswith(
        ' from n1 to clients reply to none of their requests; first: {"type": "echo_ok"} without in_reply_to:'
        " a reply must repeat the msg_id of its request there, as the integer 1"
    )
    assert second.startswith("node 'n1': when it was killed, it had not ended a line on stdout: ")


def test_a_node_that_answers_init_with_something_else_is_named(folder: Path) -> None:
    """Only ``init_ok`` answers ``init``."""
    assert set_up_error(folder, *WRONG, "answers-otherwise") == (
        "node 'n1' answered 'init' with {'type': 'hello', 'in_reply_to': 1} instead of 'init_ok'\n" + NOTHING_SAID
    )


def test_a_silent_node_is_named(folder: Path, impatient: None) -> None:
    """Of a node that never answers ``init`` is told what it said, and what programs forget."""
    assert set_up_error(folder, *WRONG, "is-silent") == (
        "node 'n1' did not answer 'init': no reply from 'n1' to msg_id 1 within 2 s; its process is running: does it"
        " read its stdin, and flush its stdout after each line?\nits last lines on stderr:\n  thinking about it"
    )


def test_what_cannot_be_started_is_named(folder: Path) -> None:
    """What the system refuses to start is told with its reason."""
    program = folder / "program"
    program.write_bytes(b"\x7fELF\0 of no machine")
    program.chmod(0o755)
    assert set_up_error(folder / "nodes", str(program)) == (
        f"node 'n1' could not be started: OSError: [Errno 8] Exec format error: '{program}'\n{NOTHING_SAID}"
    )


def test_an_argument_that_was_a_relative_path_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is where the simulator runs is not where the node does, as the message says."""
    monkeypatch.chdir(EXECUTABLES)
    error = set_up_error(folder, *PYTHON, "wrong.py", "dies", "x" * 5000, str(EXECUTABLES / "wrong.py"))
    assert error.startswith(
        "node 'n1' did not answer 'init': it exited with status 2; it runs in its own folder: give the absolute"
        " path of 'wrong.py'\nits last lines on stderr:\n  "
    )
    assert "No such file" in error
    (folder / "n1" / "wrong.py").write_bytes((EXECUTABLES / "wrong.py").read_bytes())
    error = set_up_error(folder, *PYTHON, "wrong.py", "dies")
    assert error.startswith("node 'n1' did not answer 'init': it exited with status 3\nits last")


# Nodes that go wrong later


def test_a_node_that_dies_is_a_problem_of_the_run(folder: Path) -> None:
    """The run goes on without a node that has ended, and says how it ended and what it said last."""
    run = make_run(folder, "echo", (*WRONG, "dies-later"), rate=0)
    run_real(run)
    assert problems(run) == [
        "node 'n1' exited with status 7\n  its last lines on stderr:\n  line 6\n  line 7\n  line 8\n  line 9\n"
        "  the last \ufffd line"
    ]
    assert judge(run)["valid?"] is False
    [exit_] = [entry for entry in run.journal if entry.event == "exit"]
    assert (exit_.node, exit_.text) == ("n1", "exited with status 7")


def test_bad_lines_are_counted_by_kind(folder: Path) -> None:
    """The first bad line of each kind is shown, the others are counted, and the node goes on."""
    run = make_run(folder, "echo", (*WRONG, "prints-later"))
    run_real(run)
    assert problems(run) == [
        "node 'n1' printed a line on stdout that is not JSON; write logs to stderr: 'Hello'"
        " (JSON is malformed: invalid character (byte 0)), and 4 more of this kind",
        "node 'n1' printed a line on stdout that is not a message: '\"World\"' (Expected `object`, got `str`)",
    ]
    results = judge(run)
    assert results["workload"]["valid?"] is True
    assert results["valid?"] is False


@pytest.mark.parametrize(
    ("wrong", "least_lines", "least_megabytes"), [("floods", 5000, 0), ("floods-without-end", 0, 20)]
)
async def test_a_flood_is_ended(folder: Path, wrong: str, least_lines: int, least_megabytes: int) -> None:
    """A node that prints without end, lines or none, is killed before it fills the memory."""
    async with staged(folder, *WRONG, wrong, burst=5000) as stage:
        await stage.init()
        await until(lambda: not stage.host.is_alive)
        [problem] = stage.host.problems
        told = re.fullmatch(
            r"node 'n1' floods its stdout: ([\d,]+) lines \(([\d.]+) MB\) within [\d.]+ s(?:, most often .*)?; if this"
            r" is intended, give a --busy-limit \(busy_limit=\) above 5000; it was killed",
            problem,
        )
        assert told, problem
        assert int(told[1].replace(",", "")) >= least_lines
        assert float(told[2]) >= least_megabytes
        assert_nothing_is_left(folder)


async def test_a_flood_of_many_small_parts_is_ended(mock_clock: trio.testing.MockClock) -> None:
    """Who prints the most is the one to stop, when all together print more than they may for too long."""
    traffic = Traffic(rate=100, burst=1000)
    ended = []
    for _ in range(100):
        mock_clock.jump(0.125)
        for node_id, count in [("leader", 9), ("one", 50), ("other", 40), ("quiet", 1)]:
            if node_id not in ended and traffic.add(node_id, count, 0):
                ended.append(node_id)
                assert traffic.describe(node_id)
    assert ended == ["one", "other"]


async def test_old_lines_are_forgotten(mock_clock: trio.testing.MockClock) -> None:
    """Whoever printed much over a long time is not to blame for the flood of another."""
    traffic = Traffic(rate=100, burst=1000)
    for _ in range(100):
        mock_clock.jump(1.0)
        assert not traffic.add("leader", 99, 0)
    mock_clock.jump(1.0)
    assert not traffic.add("leader", 500, 0)
    assert not traffic.add("flooder", 400, 0)
    mock_clock.jump(2.0)
    assert not traffic.add("flooder", 300, 0)
    assert not traffic.add("leader", 50, 0)
    assert traffic.add("flooder", 0, 4096)
    assert traffic.describe("flooder") == ("700 lines (0.0 MB)", 2.0)


async def test_a_flood_of_stderr_hinders_nobody(folder: Path) -> None:
    """However much a node says on stderr, it is served; what is kept of it is bounded, line by line."""
    async with staged(folder, *WRONG, "floods-stderr") as stage:
        await stage.init()
        await until(lambda: len(stage.host.log.lines()) > 100)
        for number in range(5):
            assert (await stage.ask({"type": "echo", "echo": number}))["echo"] == number
        assert set(stage.host.log.lines()) == {"x" * LOG_LINE_LIMIT + "..."}
        assert stage.host.problems == []


async def test_a_node_that_does_not_read_is_ended(folder: Path) -> None:
    """Messages that nobody reads do not fill the memory: beyond a limit their receiver is killed."""
    async with staged(folder, "sleep", "1000") as stage:
        for _ in range(63):
            stage.send({"type": "big", "text": "x" * 1024 * 1024})
            assert stage.host.problems == []
        stage.send({"type": "big", "text": "x" * 1024 * 1024})
        assert stage.host.problems == [
            "node 'n1' does not read its stdin: more than 64 MiB are waiting there; it was killed"
        ]
        assert not stage.host.is_alive
        stage.send({"type": "late"})
        assert stage.network.journal[-1].reason == "down"


async def test_what_was_read_does_not_wait_to_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what waits counts, however much a node is sent over time."""
    monkeypatch.setattr("trio_messenger.sim._system.children.INBOX_LIMIT", 1024 * 1024)
    async with staged(folder, *FOREIGN) as stage:
        await stage.init()
        for number in range(4):
            for _ in range(9):
                stage.send({"type": "big", "text": "x" * 100 * 1024})
            assert (await stage.ask({"type": "echo", "echo": number}))["echo"] == number
        assert stage.host.problems == []


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
async def test_a_node_that_closes_a_pipe_is_named(folder: Path, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that can no longer hear, or be heard, though it runs, has a problem."""
    monkeypatch.setattr("trio_messenger.sim._cluster.processes.PIPE_GRACE", 0.05)
    async with staged(folder, *WRONG, f"closes-{stream}") as stage:
        await stage.init()
        while stage.host.problems == []:  # it may not have closed it yet
            stage.send({"type": "echo"})
            await trio.sleep(0.01)
        assert stage.host.problems == [f"node 'n1' closed its {stream}, although it still runs"]
        assert stage.host.is_alive


async def test_what_a_node_started_ends_with_it(folder: Path) -> None:
    """When a node ends of itself, what it has left running in its group of processes is killed."""
    async with staged(folder, "sh", "-c", "sleep 1000 & exit 1") as stage:
        await until(lambda: not stage.host.is_alive)
        assert stage.host.problems == ["node 'n1' exited with status 1"]
        assert_nothing_is_left(folder)


async def test_what_is_left_running_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What left the node's group of processes is not killed with it, but the node's end does not wait for it."""
    monkeypatch.setattr("trio_messenger.sim._cluster.processes.PIPE_GRACE", 0.05)
    async with staged(folder, *WRONG, "leaves-something") as stage:
        await until(lambda: len(stage.host.problems) == 2)
        assert stage.host.problems == [
            "node 'n1' exited with status 0",
            "node 'n1' left a process running outside of its process group, which keeps its stdout or stderr open",
        ]
    [left] = processes_in(folder)
    os.kill(left, signal.SIGKILL)


async def test_a_node_that_was_dead_before_it_was_killed_has_a_problem(folder: Path) -> None:
    """That a node ended of itself is told also if it did so in the last moment."""
    async with staged(folder, "sleep", "1000") as stage:
        [number] = processes_in(folder)
        os.kill(number, signal.SIGSEGV)
        await_death(number)
        stage.host.kill()
        assert stage.host.problems == ["node 'n1' was killed by SIGSEGV"]


# Pipes


async def test_a_process_gets_lines_as_maelstrom_writes_them(folder: Path) -> None:
    """A message comes as one line with the network's number of it in front, whatever its sender wrote around it."""
    async with staged(
        folder, "sh", "-c", 'IFS= read -r a; IFS= read -r b; printf \'%s\\n\' "$a" "$b" >&2; read c'
    ) as stage:
        stage.send({"type": "nobody's"}, dest="c1")
        stage.send({"type": "echo", "text": "\u00fc\n"})
        stage.network.send(b'{ "body": {}, "dest": "n1", "src": "c1"}')
        await until(lambda: len(stage.host.log.lines()) == 2)
        assert stage.host.log.lines() == [
            '{"id":1,"src":"c1","dest":"n1","body":{"type":"echo","text":"\u00fc\\n"}}',
            '{"id":2, "body": {}, "dest": "n1", "src": "c1"}',
        ]


async def test_white_space_around_a_message_is_not_passed_on(folder: Path) -> None:
    """A message goes into the journal, and to others, without what its sender left around it."""
    line = '{"src": "n1", "dest": "c1", "body": {}}'
    async with staged(folder, "sh", "-c", f"printf '\\t %s \\r\\n' '{line}'; read line") as stage:
        await until(lambda: stage.received != [])
        assert [bytes(entry.message or b"") for entry in stage.network.journal if entry.event == "send"] == [
            line.encode()
        ]


async def test_no_depth_of_nesting_is_too_much(folder: Path) -> None:
    """A message is either taken or refused, however close its nesting comes to what Python can decode."""
    async with staged(folder, "sleep", "1000") as stage:
        limit = sys.getrecursionlimit()
        for depth in range(limit - 150, limit + 10):
            body = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
            for start in (b"{", b'{"id":0,'):
                stage.host._take(start + b'"src":"n1","dest":"c1","body":' + body + b"}")
        # Python 3.12 and later count calls of C apart, and take them all.
        refused = [1 + int(problem.split(", and ")[1].split()[0]) for problem in stage.host.problems]
        assert len(stage.received) + sum(refused) == 2 * (150 + 10)


async def test_what_a_node_said_last_is_heard(folder: Path) -> None:
    """Messages that a node sent before it ended, and the last line, though unfinished, are carried."""
    line = msgspec.json.encode({"src": "n1", "dest": "c1", "body": {"text": "bye"}}).decode()
    async with staged(folder, "sh", "-c", f"echo '{line}'; printf '%s' '{line}'") as stage:
        await until(lambda: not stage.host.is_alive)
        assert [message.body for message in stage.received] == [{"text": "bye"}] * 2


async def test_what_the_dead_have_said_is_not_heard(folder: Path) -> None:
    """Once a node is killed nothing more comes from it, though it was printed before."""
    async with staged(folder, *WRONG, "floods") as stage:
        await stage.init()
        await until(lambda: len(stage.network.journal) > 100)
        await trio.sleep(0.05)  # the pipe is full
        stage.host.kill()
        count = len(stage.network.journal)
        await stage.host.aclose()
        assert len(stage.network.journal) == count
        assert stage.host.problems == []


def test_lines_are_cut_wherever_the_stream_is() -> None:
    """Lines come out the same however their bytes come in; of long ones no more than a byte past the limit is kept."""
    stream = b"one\n\nabcdefgh\n12345\n123456\nabcdefghijk\nlast"
    for size in range(1, len(stream) + 1):
        splitter = LineSplitter(5)
        found = []
        for start in range(0, len(stream), size):
            found += splitter.receive_data(stream[start : start + size])
            assert len(splitter._held) <= 6
        found += splitter.receive_eof()
        assert found == [b"one", b"", b"abcdef", b"12345", b"123456", b"abcdef", b"last"]
    assert LineSplitter(5).receive_eof() == []


# Lives


async def test_pausing_stops_the_whole_group(folder: Path) -> None:
    """A paused node's processes stand still, what is for it waits, and all of it goes on afterwards."""
    async with staged(folder, str(EXECUTABLES / "wrapper.sh"), *FOREIGN) as stage:
        await stage.init()
        assert len(states(folder)) == 3
        assert "T" not in states(folder)
        stage.host.pause()
        await until(lambda: states(folder) == ["T", "T", "T"])
        stage.send({"type": "echo", "echo": 1, "msg_id": 2})
        await trio.sleep(0.05)
        assert (len(stage.received), stage.host.held) == (1, 1)
        stage.host.resume()
        await until(lambda: len(stage.received) == 2)
        assert stage.received[1].body["echo"] == 1
        assert "T" not in states(folder)


async def test_a_paused_node_can_be_killed(folder: Path) -> None:
    """A node that stands still dies as any other; its next life does not stand still, and the dead cannot be paused."""
    async with staged(folder, *FOREIGN) as stage:
        stage.host.pause()
        stage.host.kill()
        stage.host.kill()
        stage.host.pause()
        stage.host.resume()
        await stage.host.start()
        await stage.init()
        assert stage.host.lives == 2


async def test_one_life_ends_before_the_next_begins(folder: Path) -> None:
    """There are never two processes of a node, so that no file of it has two writers; the older one dies."""
    async with staged(folder, "sleep", "1000") as stage:
        [first] = processes_in(folder)
        await stage.host.start()
        [second] = processes_in(folder)
        assert second != first
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)


async def test_the_next_life_waits_until_nothing_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started before the last one is gone, its pipes and what it left running included."""
    released, aclose = trio.Event(), Child.aclose

    async def aclose_late(child: Child) -> bool:
        with trio.CancelScope(shield=True):
            await released.wait()
        return await aclose(child)

    monkeypatch.setattr(Child, "aclose", aclose_late)
    async with staged(folder, "sleep", "1000") as stage, trio.open_nursery() as nursery:
        last = stage.host._last
        assert last is not None
        nursery.start_soon(stage.host.start)
        await last.ended.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert last.gone.statistics().tasks_waiting == 1
        released.set()


async def test_who_has_ended_gets_no_signal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a process that has ended, and of its group, may be another's by then."""
    sent: list[object] = []
    async with staged(folder, "sleep", "1000") as stage:
        last = stage.host._last
        assert last is not None
        await stage.host.aclose()
        monkeypatch.setattr(os, "killpg", lambda *signalled: sent.append(signalled))
        last.kill()
    assert sent == []


@asynccontextmanager
async def beginning(stage: Stage, outcome: list[BaseException]) -> AsyncIterator[trio.CancelScope]:
    """Let another life begin, so far that a process is being started."""

    async def start() -> None:
        try:
            await stage.host.start()
        except trio.ClosedResourceError as exc:
            outcome.append(exc)

    stage.host.kill()
    last = stage.host._last
    assert last is not None
    await last.gone.wait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(start)
        await trio.testing.wait_all_tasks_blocked()
        yield nursery.cancel_scope
    assert stage.host._last is not last
    assert (stage.host.lives, stage.host.is_alive) == (1, False)


async def test_a_host_that_is_closed_while_a_life_begins_leaves_nothing(folder: Path) -> None:
    """The process that is just being started when the run ends is killed as well."""
    outcome: list[BaseException] = []
    async with staged(folder, "sleep", "1000") as stage:
        async with beginning(stage, outcome):
            await stage.host.aclose()
            assert processes_in(folder) == []
        assert [str(exc) for exc in outcome] == ["the run is over"]


async def test_a_host_that_is_closed_begins_no_life(folder: Path) -> None:
    """Once a run is over, nothing is started, and nothing is open that was for the node."""
    before = descriptors()
    async with staged(folder, "sleep", "1000") as stage:
        assert descriptors() > before
        await stage.host.aclose()
        assert descriptors() == before
        last = stage.host._last
        with pytest.raises(trio.ClosedResourceError, match=r"^the run is over$"):
            await stage.host.start()
        assert stage.host._last is last


async def test_the_end_of_a_run_is_no_problem_of_a_node(folder: Path) -> None:
    """A node that could not be started again because the run was over has no problem."""
    async with staged(folder, "sleep", "1000") as stage, trio.open_nursery() as nursery:
        cluster = Cluster({"n1": stage.host}, stage.network, Clients(stage.network))
        stage.host.kill()
        nursery.start_soon(cluster.restart, stage.host)
        await trio.testing.wait_all_tasks_blocked()
        await cluster.aclose()
    assert stage.host.problems == []


async def test_waiting_for_a_node_ends_with_its_life(folder: Path) -> None:
    """Whoever waits for something of a node does so until its life ends, if it has not ended already."""
    async with staged(folder, "sleep", "1000") as stage:
        with stage.host.until_trouble() as waiting:
            stage.host.kill()
            await trio.sleep(60)
        assert waiting.cancelled_caught
        with stage.host.until_trouble() as waiting:
            await trio.sleep(60)
        assert waiting.cancelled_caught
        await stage.host.start()
        with stage.host.until_trouble() as waiting:
            await trio.testing.wait_all_tasks_blocked()
        assert not waiting.cancelled_caught


async def test_a_life_that_is_cancelled_while_it_begins_is_none(folder: Path) -> None:
    """If a fault strikes a node while its process is being started, that process is killed."""
    async with staged(folder, "sleep", "1000") as stage:
        async with beginning(stage, []) as scope:
            scope.cancel()
        await stage.host.start()
        assert (stage.host.lives, len(processes_in(folder))) == (2, 1)


async def test_what_cannot_be_killed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not die, as one of another user's, is given up after a while, and named."""
    for module in ("_system.children", "_cluster.processes"):
        monkeypatch.setattr(f"trio_messenger.sim.{module}.KILL_TIMEOUT", 0.05)
    async with staged(folder, "sleep", "1000") as stage:
        with monkeypatch.context() as patch:
            patch.setattr(Child, "signal", lambda *_: None)
            await stage.host.aclose()
        stuck = stage.host._last
        assert stuck is not None
        assert stage.host.problems == [f"node 'n1' could not be killed within 0.05 s: process {stuck.pid} still runs"]
        stuck.signal(signal.SIGKILL)
        await stuck.wait()


def test_a_node_that_does_not_come_up_again_has_a_problem(folder: Path, impatient: None) -> None:
    """A node that was killed and does not answer in its next life has a problem; the run goes on."""
    faults = [Kill(nodes=["n1"], at=0.1, until=0.2)]
    run = make_run(folder, "echo", (*WRONG, "is-silent-in-second-life"), faults=faults, rate=0, time_limit=3)
    run_real(run)
    [problem] = problems(run)
    assert problem.startswith(
        "after it was killed and started again, node 'n1' did not answer 'init': no reply from 'n1' to msg_id 1"
    )


def test_a_node_that_dies_in_its_next_life_has_one_problem(folder: Path) -> None:
    """That a node ended after it was started again is told once."""
    faults = [Kill(nodes=["n1"], at=0.1, until=0.2)]
    run = make_run(folder, "echo", (*WRONG, "dies-in-second-life"), faults=faults, rate=0, time_limit=3)
    run_real(run)
    assert problems(run) == ["node 'n1' exited with status 1\n  its last lines on stderr:\n  not again"]


async def test_nobody_waits_for_the_answer_of_the_dead(folder: Path) -> None:
    """Once a node is killed that was to answer ``init``, that is over, and no problem of the node."""
    async with staged(folder, "sleep", "1000") as stage:
        cluster = Cluster({"n1": stage.host}, stage.network, Clients(stage.network))
        stage.host._take(b"rubbish of an earlier life")
        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cluster.restart, stage.host)
                await until(lambda: stage.host.lives == 2)
                await trio.testing.wait_all_tasks_blocked()
                stage.host.kill()
        assert len(stage.host.problems) == 1
        assert [entry.event for entry in stage.network.journal if entry.node] == ["start", "start"]


def test_a_node_that_is_killed_while_it_comes_up_has_no_problem(folder: Path) -> None:
    """Nobody waits for the answer of a life that a fault has ended."""
    faults = [Kill(nodes=["n1"], at=at, until=at + 0.1) for at in (0.1, 0.4)]
    run = make_run(folder, "echo", (*WRONG, "is-silent-in-second-life"), faults=faults, rate=0, time_limit=0.9)
    run_real(run)
    assert problems(run) == []
    assert [host.lives for host in run.hosts.values()] == [3]


@pytest.mark.parametrize("until", [0.2, 0.5])
def test_a_node_that_is_started_again_at_the_end_has_no_problem(folder: Path, until: float) -> None:
    """The end of the run is the end of a node that is just coming up, of which nothing is left."""
    faults = [Kill(nodes=["n1"], at=0.1, until=until)]
    run = make_run(folder, "echo", (*WRONG, "is-silent-in-second-life"), faults=faults, rate=0, time_limit=0.5)
    run_real(run)
    assert problems(run) == []


# The end of it all


def test_an_exception_leaves_nothing(folder: Path) -> None:
    """Whatever goes wrong in the simulator, it kills the nodes before it says so."""

    def watch(run: Run) -> None:
        if run.phase == "main":
            raise RuntimeError("of the simulator")

    run = make_run(folder, "echo", (str(EXECUTABLES / "wrapper.sh"), *FOREIGN), nodes=["n1", "n2"], watch=watch)
    with pytest.raises(ExceptionGroup) as caught:
        run_real(run)
    assert caught.group_contains(RuntimeError, match=r"^of the simulator$")
    assert_nothing_is_left(folder)


REAL_RUN = """
import sys
from pathlib import Path
from trio_messenger.sim import Options
from trio_messenger.sim._runs.real_time import process_hosts, run_real
from trio_messenger.sim._runs.run import Run

folder, time_limit, *command = sys.argv[1:]
options = Options(workload="echo", nodes=["n1", "n2"], time_limit=float(time_limit), rate=0)
try:
    run_real(Run(options, process_hosts(command, Path(folder)), watch=lambda run: print(run.phase, flush=True)))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    """Ctrl-C, and the signals by which others end a run, kill all nodes before the simulator ends."""
    command = (sys.executable, "-c", REAL_RUN, folder, "60", EXECUTABLES / "wrapper.sh", *FOREIGN)
    async with child(*command) as simulator:
        assert [await simulator.read_line() for _ in range(2)] == [b"set-up\n", b"main\n"]
        assert len(processes_in(folder)) == 6
        simulator.signal(number)
        assert (await simulator.wait(), simulator.errors) == (128 + number, b"")
    assert_nothing_is_left(folder)


async def test_nohup_stays_in_force(folder: Path) -> None:
    """A signal that is ignored does not end a run."""
    command = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", REAL_RUN, folder, "0.2", *FOREIGN)
    async with child(*command) as simulator:
        assert [await simulator.read_line() for _ in range(2)] == [b"set-up\n", b"main\n"]
        simulator.signal(signal.SIGHUP)
        assert await simulator.finish() == b"done\n"


def test_signals_are_as_before_after_a_run(folder: Path) -> None:
    """A run gives back the signals that it handles, and does without them outside the main thread."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    failures = []

    def run_in_thread() -> None:
        try:
            run_real(make_run(folder, "echo", FOREIGN, rate=0, time_limit=0))
        except BaseException as exc:  # noqa: BLE001 - it is for the main thread
            failures.append(exc)

    thread = threading.Thread(target=run_in_thread)
    thread.start()
    thread.join()
    assert failures == []
    run_real(make_run(folder, "echo", FOREIGN, rate=0, time_limit=0))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers


# What is looked at before anything starts


def test_clocks_of_processes_cannot_be_wrong() -> None:
    """Faults that a process cannot be made to suffer are refused by name, the others taken."""
    check_faults([Kill(nodes=["n1"]), Pause(nodes=["n1"]), Partition()])
    with pytest.raises(
        ValueError,
        match=r"^a fault of kind 'clock' cannot be applied to executables, which use the system's clock; leave it out,"
        r" or test a node in process$",
    ):
        check_faults([Partition(), ClockSkew(nodes=["n1"], seconds=1.0)])


def make_file(path: Path, content: bytes, mode: int = 0o755) -> None:
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize(
    "content",
    [
        b"#!/bin/sh\n",
        b"#! /bin/sh -e\necho",
        b"#!/usr/bin/env sh\n",
        b"#!/usr/bin/env -S sh -e\n",
        b"#!/usr/bin/env -u nothing sh\n",
        b"#!/usr/bin/env A=B sh\n",
        b"#!/usr/bin/env",
        b"\x7fELF\x02\x01\x01\x00",
    ],
)
def test_what_may_be_an_executable_is_taken(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts with a first line that works, and whatever is no text, are found by absolute and by relative paths."""
    monkeypatch.chdir(tmp_path)
    make_file(tmp_path / "my node", content)
    for name in (str(tmp_path / "my node"), "./my node", "my node"):
        assert check_executable(name) == tmp_path / "my node"


def test_a_file_goes_before_a_program_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without a slash is a file of the current folder if that can be executed, else a program on PATH."""
    monkeypatch.chdir(tmp_path)
    on_path = check_executable("sh")
    assert on_path.is_absolute()
    assert on_path.parent != tmp_path
    (tmp_path / "sh").mkdir()
    assert check_executable("sh") == on_path
    (tmp_path / "sh").rmdir()
    make_file(tmp_path / "sh", b"#!/bin/sh\n", 0o644)
    assert check_executable("sh") == on_path
    make_file(tmp_path / "sh", b"#!/bin/sh\n")
    assert check_executable("sh") == tmp_path / "sh"
    (tmp_path / "bin").mkdir()
    make_file(tmp_path / "bin" / "node", b"\x7fELF\0")
    monkeypatch.setenv("PATH", "bin")  # nodes run elsewhere
    assert check_executable("node") == tmp_path / "bin" / "node"


def test_an_executable_that_cannot_be_read_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To execute a program, one need not be able to read it."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    make_file(tmp_path / "secret", b"", 0o711)
    monkeypatch.setattr(Path, "open", refuse)
    assert check_executable(str(tmp_path / "secret")) == tmp_path / "secret"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "there is no file 'my node' in '{}', and no such program on PATH"),
        (b"#!/bin/sh\n", 0o644, "'my node' is not executable; run: chmod +x 'my node'"),
        (b"", 0o755, "'my node' is empty; begin it with, for example, #!/usr/bin/env python3"),
        (
            "print('\u00fc')\n".encode(),
            0o755,
            "'my node' is a text file whose first line does not name an interpreter; begin it with, for example,"
            " #!/usr/bin/env python3",
        ),
        (
            b"#!/bin/sh\r\necho\r\n",
            0o755,
            "'my node' has Windows line endings, which break its first line; convert them to Unix ones",
        ),
        (
            b"#!/opt/ruby\n",
            0o755,
            "the first line of 'my node' names '/opt/ruby' as its interpreter; name the path of an executable file",
        ),
        (
            b"#!sh\n",
            0o755,
            "the first line of 'my node' names 'sh' as its interpreter; name the path of an executable file",
        ),
        (
            b"#!\n",
            0o755,
            "the first line of 'my node' names '' as its interpreter; name the path of an executable file",
        ),
        (
            b"#!/usr/bin/env ruby9\n",
            0o755,
            "the first line of 'my node' names 'ruby9' as its interpreter, which is not on PATH; install it",
        ),
        (
            b"#!/usr/bin/env -S ruby9 -w\n",
            0o755,
            "the first line of 'my node' names 'ruby9' as its interpreter, which is not on PATH; install it",
        ),
    ],
)
def test_what_is_no_executable_is_named(
    tmp_path: Path, content: bytes | None, mode: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that will not run is refused with its name and with what to do."""
    monkeypatch.chdir(tmp_path)
    if content is not None:
        make_file(tmp_path / "my node", content, mode)
    with pytest.raises(ValueError, match=f"^{re.escape(said.format(tmp_path))}$"):
        check_executable("my node")


def test_what_is_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders, pipes and paths that lead nowhere are told apart."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o755)
    for name, said in [
        (".", "'.' is a folder; name the executable in it"),
        ("pipe", "'pipe' is not a regular file; name an executable file"),
        ("nodes/echo", f"there is no file 'nodes/echo' in '{tmp_path}'"),
        ("/nowhere/echo", "there is no file '/nowhere/echo'"),
        ("x" * 5000, f"there is no file '{'x' * 79}: File name too long"),
    ]:
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            check_executable(name)
