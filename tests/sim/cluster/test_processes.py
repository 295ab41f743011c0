"""Nodes that are executables: right ones on real pipes, in real time."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from support.paths import EXECUTABLES
from support.process_runs import (
    FOREIGN,
    WRONG,
    make_run,
    processes_in,
    staged,
)
from support.processes import NODE, needs_proc, until

from trio_messenger.sim import (
    ClockSkew,
    Fault,
    Kill,
    Partition,
    Pause,
    Storage,
)
from trio_messenger.sim._judging.judgement import judge
from trio_messenger.sim._runs.real_time import check_faults, run_real
from trio_messenger.sim._runs.run import Run
from trio_messenger.sim._system.children import LineSplitter

pytestmark = needs_proc


def assert_valid(run: Run) -> None:
    """Fail if *run* is not valid, or nothing was asked: on a busy machine it may have come to a single operation."""
    results = judge(run)
    assert results["valid?"] is True, results
    assert any(op.type == "ok" for op in run.history)


def sent_by(run: Run, src: str) -> list[bytes]:
    """Return the messages of *src*, as the journal has them."""
    lines = [bytes(entry.raw or b"") for entry in run.journal if entry.event == "send"]
    return [line for line in lines if msgspec.json.decode(line)["src"] == src]


# Right nodes


@pytest.mark.slow
@pytest.mark.every_python
def test_our_own_executable_is_valid(folder: Path) -> None:
    """The node that this package brings, as an executable, passes in real time."""
    run = make_run(folder, "echo", (sys.executable, "-m", "trio_messenger", "node"), nodes=["n1", "n2"])
    run_real(run)
    assert_valid(run)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workload", "node"),
    [
        ("lin-kv", "lin-kv-proxy"),
        ("kafka", "kafka"),
        ("txn-list-append", "txn-list-append"),
        ("txn-rw-register", "txn-rw-register"),
    ],
)
def test_executables_with_services_are_valid(folder: Path, workload: str, node: str) -> None:
    """The workloads whose checkers search for an order judge processes too, which ask services in real time."""
    command = (sys.executable, "-m", "trio_messenger", "node", node)
    run = make_run(folder, workload, command, nodes=["n1", "n2"], concurrency=4, time_limit=1, rate=40)
    run_real(run)
    # Not the whole verdict: in a second, it may be that no compare-and-set finds the value that it expects.
    assert judge(run)["workload"]["valid?"] is True
    assert any(op.type == "ok" for op in run.history)


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


@pytest.mark.slow
@pytest.mark.every_python
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
        assert [bytes(entry.raw or b"") for entry in stage.network.journal if entry.event == "send"] == [line.encode()]


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


# What is looked at before anything starts


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (ClockSkew(nodes=["n1"], seconds=1.0), "use the system's clock"),
        (Storage(nodes=["n1"]), "keep their data in real files"),
    ],
)
def test_clocks_of_processes_cannot_be_wrong(fault: Fault, why: str) -> None:
    """Faults that a process cannot be made to suffer are refused by name, the others taken."""
    check_faults([Kill(nodes=["n1"]), Pause(nodes=["n1"]), Partition()])
    with pytest.raises(
        ValueError,
        match=rf"^a fault of kind '{fault.kind}' cannot be applied to executables, which {why}; leave it out,"
        r" or test a node in process$",
    ):
        check_faults([Partition(), fault])
