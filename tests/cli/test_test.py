"""``trio-messenger test``: what it runs, what it says, what it leaves, and how it ends."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import GOSSIP, OWN, README, Outcome, in_folder, outcome, wrong

from trio_messenger._cli import outcome as outcome_module, test as test_command
from trio_messenger.sim import Options, simulate
from trio_messenger.sim._campaigns import determinism_check as determinism
from trio_messenger.sim._campaigns.determinism_check import Difference, RunFailedError
from trio_messenger.sim._judging.store import load
from trio_messenger.sim._runs.run import Run
from trio_messenger.sim._system.ending_signals import EndedBySignal

SHORT = ("--time-limit", "5")

BROKEN = """
from trio_messenger import Node, RpcError

def shouting():
    node = Node()
    node.on("echo")(lambda request: {"echo": request.body["echo"].upper()})
    return node

def refusing():
    node = Node()
    @node.on_init
    def begin():
        raise ValueError("not today")
    return node

def failing():
    raise OSError("no such luck")

def exits():
    raise SystemExit(1)

def interrupted():
    raise KeyboardInterrupt

def is_odd():
    raise GeneratorExit

def fickle():
    from helper import things
    return things.pop()

def busy():
    node = Node()
    @node.on("echo")
    def echo():
        raise RpcError(11, "try again later")
    return node

def talking():
    node = Node()
    @node.on("echo")
    def echo(request):
        print("heard", request.body["echo"])
        return {"echo": request.body["echo"]}
    return node
"""


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the two runs that are compared begin at the same time; that they do not is a test of its own elsewhere."""
    monkeypatch.setattr(determinism, "LATER", 0.0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with modules to name on the command line."""
    for name, text in {"my_node": README, "gossip": GOSSIP, "broken": BROKEN, "own": OWN}.items():
        (tmp_path / f"{name}.py").write_text(text)
    for _ in in_folder(tmp_path, monkeypatch):
        yield tmp_path


def lost(*options: str) -> Outcome:
    """Return what comes of a run that loses broadcasts in a partition."""
    return outcome("test", "-w", "broadcast", "--node", "gossip:node", *SHORT, "--nemesis", "partition", *options)


# Verdicts


def test_a_valid_run_ends_with_status_0(folder: Path) -> None:
    """Verdict, what it rests on, and where the files are, are on stdout; without a terminal nothing is on stderr."""
    found = outcome("test", "-w", "echo", "--node", "my_node:node", *SHORT)
    assert (found.status, found.errors) == (0, "")
    assert found.output.splitlines()[0] == "echo, 5 nodes, seed 0: valid"
    assert found.line("operations").endswith("(100.0% ok)")
    assert found.line("files") == "store/echo/0/index.html"
    assert (folder / "store" / "latest").resolve() == folder / "store" / "echo" / "0"
    assert "replay" not in found.output


def test_the_workloads_own_node_is_tested_by_default() -> None:
    """Without ``--node`` and ``--bin`` the ready-made node of the workload's name is tested."""
    found = outcome("test", "-w", "unique-ids", *SHORT, "--json")
    assert found.status == 0
    assert found.json["command"] == "trio-messenger test -w unique-ids --node unique-ids --seed 0 --time-limit 5"


def test_an_invalid_run_ends_with_status_1_and_says_how_to_go_on() -> None:
    """Beside the reason it shows the seed, and the commands that replay it, shrink it, and run it without the files."""
    found = lost("--seed", "7")
    assert found.status == 1
    assert found.output.splitlines()[0] == "broadcast, 5 nodes, seed 7: INVALID"
    assert re.search(r"^n\d.* lacks? \d+ of the \d+ values at the end: ", found.line("because"))
    assert found.line("replay") == "trio-messenger replay store/broadcast/7"
    assert found.line("shrink") == "trio-messenger shrink store/broadcast/7"
    assert found.line("command") == (
        "trio-messenger test -w broadcast --node gossip:node --seed 7 --time-limit 5 --nemesis partition"
    )
    assert outcome(*shlex.split(found.line("command"))[1:]).output == found.output


def test_each_reason_has_a_line_of_its_own() -> None:
    """Who did what stands first; then what else is wrong."""
    found = outcome("test", "-w", "echo", "--node", "broken:busy", *SHORT)
    lines = found.output.partition("  because     ")[2].partition("\n  operations")[0].splitlines()
    said = r'n\d refused "Please echo \d+" at 0 s: temporarily-unavailable \(11\): try again later'
    assert re.fullmatch(said, lines[0])
    assert re.fullmatch(r" {14}\d+ more requests came back changed or were refused; see results\.json", lines[5])
    [rest] = lines[6:]
    assert re.fullmatch(r" {14}no 'echo' of \d+ was ok; most often: temporarily-unavailable \(11\): try .*", rest)
    shouting = outcome("test", "-w", "echo", "--node", "broken:shouting", *SHORT).line("because")
    assert re.fullmatch(r'n\d answered "Please echo (\d+)" with "PLEASE ECHO \1" at 0 s', shouting)


def test_a_run_without_faults_is_not_to_be_shrunk() -> None:
    """Where there is no fault to take away, shrinking is not recommended."""
    found = outcome("test", "-w", "echo", "--node", "broken:shouting", *SHORT)
    assert found.status == 1
    assert "replay" in found.output
    assert "shrink" not in found.output


@pytest.mark.slow
def test_a_run_that_says_too_little_ends_with_status_2() -> None:
    """Where nothing was broadcast nobody knows whether it would have been lost: neither valid nor invalid."""
    found = outcome("test", "-w", "broadcast", "--time-limit", "3", "--rate", "0", "--nemesis", "loss")
    assert found.status == 2
    assert found.output.splitlines()[0] == "broadcast, 5 nodes, seed 0: unknown"
    assert "replay" in found.output
    assert "shrink" not in found.output


def test_nothing_is_kept_if_nothing_is_to_be(folder: Path) -> None:
    """``--no-store`` leaves no file, and recommends no command that would need one."""
    found = lost("--no-store")
    assert found.status == 1
    assert not (folder / "store").exists()
    assert "replay" not in found.output
    assert "files" not in found.output
    assert "--nemesis partition" in found.line("command")


def test_what_is_kept_can_be_elsewhere(folder: Path) -> None:
    """``--store`` names the folder; names that a shell would take apart are quoted in the commands."""
    found = lost("--store", "here and there")
    assert found.line("replay") == "trio-messenger replay 'here and there/broadcast/0'"
    assert load(folder / "here and there" / "broadcast" / "0").node == ("--node", "gossip:node")


@pytest.mark.parametrize("options", [(), ("--log-stderr", "--log-net-send")])
def test_json_is_all_there_is_on_stdout(options: tuple[str, ...]) -> None:
    """``--json`` prints one object: results under Maelstrom's names, and what is needed to see the run again."""
    found = outcome("test", "-w", "echo", "--node", "broken:talking", *SHORT, "--json", *options)
    assert found.status == 0
    value = found.json
    stored = json.loads(Path("store/echo/0/results.json").read_text())
    assert {name: value[name] for name in stored} == stored
    assert (value["valid?"], value["seed"], value["folder"]) == (True, 0, "store/echo/0")
    assert (value["reasons"], value["warnings"]) == ([], [])
    assert value["digest"] == load(Path(value["folder"])).digest
    assert value["command"] == "trio-messenger test -w echo --node broken:talking --seed 0 --time-limit 5"


def test_json_of_what_is_not_kept_has_no_folder() -> None:
    """Without files there is none to name, and the reasons are there all the same."""
    value = lost("--no-store", "--json").json
    assert value["folder"] is None
    assert re.search(r"^n\d.* lacks? \d+ of the \d+ values at the end: ", value["reasons"][0])


def test_the_same_command_gives_the_same_run() -> None:
    """Nothing but the arguments decides what happens; a run in Python with the same ones is the same, too."""
    options = ("-w", "echo", "--node", "echo", *SHORT, "--latency", "20", "--latency-dist", "exponential")
    digests = [outcome("test", *options, "--json", "--seed", seed).json["digest"] for seed in ("3", "3", "4")]
    assert digests[0] == digests[1] != digests[2]
    build = sys.modules["trio_messenger.nodes.echo"].build
    report = simulate("echo", build, time_limit=5, latency=20, latency_dist="exponential", seed=3)
    assert report.digest == digests[0]


# What is said meanwhile


def test_logs_of_nodes_are_shown_as_they_come() -> None:
    """``--log-stderr`` shows what nodes log and print, with their ids."""
    found = outcome("test", "-w", "echo", "--node", "broken:talking", *SHORT, "--log-stderr", "--nodes", "a,b")
    lines = found.errors.splitlines()
    assert {line.partition(":")[0] for line in lines} == {"a", "b"}
    assert all("heard Please echo" in line for line in lines)
    assert sorted(line.removeprefix("a: ") for line in lines if line.startswith("a: ")) == sorted(
        Path("store/echo/0/node-logs/a.log").read_text().splitlines()
    )


def test_messages_are_shown_as_they_are_sent() -> None:
    """``--log-net-send`` shows each message with its time, those of ``init`` first, in the journal's order."""
    found = outcome("test", "-w", "echo", *SHORT, "--log-net-send", "--json")
    lines = found.errors.splitlines()
    assert lines[0].startswith('set-up 0.000000 send {"src":"c0","dest":"n')
    assert '"type":"init"' in lines[0]
    of_set_up = [line for line in lines if line.startswith("set-up ")]
    assert of_set_up == lines[: len(of_set_up)]
    assert 0 < len(of_set_up) <= sum("init" in line for line in lines)  # the last node may be initialised at 0
    assert len(lines) == found.json["net"]["all"]["send-count"]


def test_messages_are_shown_as_they_are_delivered_or_not() -> None:
    """``--log-net-recv`` shows each delivery, loss and copy, with why it was lost."""
    options = ("--log-net-recv", "--json", "--loss", "0.3", "--duplicate", "0.3", "--latency", "50")
    found = lost(*options)
    lines = [line.removeprefix("set-up ") for line in found.errors.splitlines()]
    kinds = [" ".join(line.split()[1:3]).partition(" {")[0] for line in lines]
    assert set(kinds) == {"recv", "drop (partition)", "drop (loss)", "copy"}
    audits = 2 * len(found.json["audit"]["ok-reads"])  # each node is asked once more, and answers; that is not counted
    assert kinds.count("recv") == found.json["net"]["all"]["recv-count"] + audits
    assert all(line.endswith("}") for line in found.errors.splitlines())


def test_messages_and_logs_are_in_their_order() -> None:
    """What a node logs on a message stands behind that message."""
    found = outcome("test", "-w", "echo", "--node", "broken:talking", *SHORT, "--log-stderr", "--log-net-recv")
    lines = found.errors.splitlines()
    heard = [index for index, line in enumerate(lines) if ": heard " in line or " heard " in line]
    assert heard
    for index in heard:
        text = lines[index].partition("heard ")[2]
        assert text in lines[index - 1]


def test_nothing_that_nodes_say_acts_on_a_terminal() -> None:
    """Messages and logs are shown on one line each, whatever they hold."""
    source = """
from trio_messenger import Node
HOSTILE = "\\x1b[2J\\n\\x85\\u202e\\u2028\\x9b31m"
def build():
    node = Node()
    @node.on("echo")
    def echo(request):
        print(HOSTILE)
        node.send_nowait(request.src, {"type": HOSTILE})
        raise ValueError(HOSTILE)
    return node
"""
    Path("hostile.py").write_text(source)
    found = outcome("test", "-w", "echo", "--node", "hostile:build", *SHORT, "--log-stderr", "--log-net-send")
    assert r"\x1b[2J" in found.errors
    assert r"\u202e" in found.errors
    assert all(line.isprintable() for line in found.errors.split("\n"))


# What comes to no verdict


def test_a_node_that_does_not_come_up_ends_the_run_with_status_255() -> None:
    """One line names the node, then come the last lines of its log; there is no traceback of ours."""
    found = outcome("test", "-w", "echo", "--node", "broken:refusing", *SHORT)
    assert (found.status, found.output) == (255, "")
    assert found.errors.startswith("trio-messenger test: error: node 'n1' did not answer 'init': crash (13)")
    assert found.errors.endswith("ValueError: not today\n")
    assert "_cli" not in found.errors


def test_messages_of_a_run_without_verdict_are_shown_too() -> None:
    """Where a node does not come up, one wants to see what it was sent, and what it answered."""
    found = outcome("test", "-w", "echo", "--node", "broken:refusing", "--nodes", "n1", "--log-net-recv")
    lines = found.errors.splitlines()
    assert ' recv {"src":"c0"' in lines[0]
    assert ' recv {"src": "n1", "dest": "c0", "body": {"type": "error"' in lines[1]
    assert lines[2].startswith("trio-messenger test: error: ")


def test_a_module_that_cannot_be_executed_shows_its_own_traceback(folder: Path) -> None:
    """The traceback begins in the author's file: nothing of what called it is of any use."""
    (folder / "bad.py").write_text("import my_node\n\n1 / 0\n")
    found = outcome("test", "-w", "echo", "--node", "bad:node")
    assert (found.status, found.output) == (255, "")
    lines = found.errors.splitlines()
    assert lines[:2] == [
        "trio-messenger test: error: bad:node cannot be made:",
        "Traceback (most recent call last):",
    ]
    assert lines[2].endswith('bad.py", line 3, in <module>')
    assert lines[-1] == "ZeroDivisionError: division by zero"
    found = outcome("test", "-w", "echo", "--node", "broken:failing")
    assert found.errors.splitlines()[2].endswith(", in failing")
    (folder / "bad.py").write_text("no Python")
    found = outcome("test", "-w", "echo", "--node", "bad:node")
    assert found.status == 255
    assert found.errors.splitlines()[-1].startswith("SyntaxError: ")


def test_a_node_that_cannot_be_made_in_a_later_life_is_told(folder: Path) -> None:
    """What goes wrong when a node of the cluster is made names that node."""
    (folder / "helper.py").write_text("from trio_messenger import Node\nthings = [5] * 9 + [Node()]\n")
    found = outcome("test", "-w", "echo", "--node", "broken:fickle")
    assert found.status == 255
    assert "node 'n1' could not be started" in found.errors
    assert "returned 5, which is not a trio_messenger.Node" in found.errors


def test_what_a_module_prints_is_no_result(folder: Path) -> None:
    """Output of a module that is executed goes to stderr at first, and to the logs of nodes later, never to stdout."""
    (folder / "loud.py").write_text(f"print('hello')\n{README}")
    found = outcome("test", "-w", "echo", "--node", "loud:node", *SHORT, "--json")
    assert found.json["valid?"] is True
    assert "hello" in found.errors
    assert Path("store/echo/0/node-logs/n1.log").read_text() == "hello\n"


def test_a_defect_of_our_own_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """What should not have happened is no verdict on the nodes, and is shown in full, to be reported."""

    def conduct(run: Run) -> None:
        raise LookupError("a defect")

    monkeypatch.setattr(Run, "conduct", conduct)
    found = outcome("test", "-w", "echo")
    assert (found.status, found.output) == (255, "")
    assert found.errors.startswith("Traceback")
    assert "LookupError: a defect\n" in found.errors
    assert found.errors.endswith(
        "\ntrio-messenger test: error: this is a bug in trio-messenger, and not in the nodes; please report it\n"
    )


@pytest.mark.parametrize("how", ["plain", "in a group"])
def test_an_interrupted_run_ends_with_status_130(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is no defect: one line, no traceback, and the status that shells have for it."""

    async def conduct(run: Run) -> None:
        plain = KeyboardInterrupt()
        raise plain if how == "plain" else BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [plain])])

    monkeypatch.setattr(Run, "conduct", conduct)
    assert outcome("test", "-w", "echo") == Outcome(130, "", "trio-messenger test: interrupted\n")


def test_a_signal_that_ended_the_run_is_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever ends the process by SIGTERM knows that: nothing is said, and the status is that of shells."""

    async def conduct(run: Run) -> None:
        raise EndedBySignal(143)

    monkeypatch.setattr(Run, "conduct", conduct)
    assert outcome("test", "-w", "echo") == Outcome(143, "", "")


def test_a_folder_that_cannot_be_is_told_before_the_run(folder: Path) -> None:
    """Nobody waits a minute to hear that nothing can be kept."""
    (folder / "store").write_text("a file")
    assert wrong("test", "-w", "echo") == (
        "cannot save runs in 'store': File exists; give another folder with --store, or --no-store"
    )


def test_a_run_that_cannot_be_kept_after_all_is_told(folder: Path) -> None:
    """Where the files cannot be written the verdict is told all the same, then why there are none: status 255."""
    (folder / "store").mkdir()
    (folder / "store" / "echo").write_text("a file")
    found = outcome("test", "-w", "echo", *SHORT)
    assert found.status == 255
    assert found.output.startswith("echo, 5 nodes, seed 0: valid\n  operations ")
    assert "files" not in found.output
    assert found.errors.startswith("trio-messenger test: error: cannot save the run in 'store': ")
    found = outcome("test", "-w", "echo", *SHORT, "--json")
    assert (found.status, found.json["valid?"], found.json["folder"]) == (255, True, None)


@pytest.mark.slow
def test_a_run_that_failed_and_cannot_be_kept_can_be_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict, and the command that makes the run again, are printed though the disk is full."""

    def full(*_: object, **__: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outcome_module, "save", full)
    for more in ((), ("--seeds", "5")):
        found = lost(*more)
        assert found.status == 255
        assert found.line("command").startswith("trio-messenger test -w broadcast --node gossip:node --seed ")
        assert "INVALID" in found.output
        assert "replay" not in found.output
        found = lost(*more, "--json")
        assert (found.status, found.json["valid?"]) == (255, False)


def test_the_verdict_comes_before_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever interrupts a long save has it; what was begun is taken away."""
    said = []

    def interrupted(*_: object, **__: object) -> Path:
        said.append(sys.stdout)
        raise KeyboardInterrupt

    monkeypatch.setattr(outcome_module, "save", interrupted)
    found = outcome("test", "-w", "echo", *SHORT)
    assert (found.status, len(said)) == (130, 1)
    assert found.output.startswith("echo, 5 nodes, seed 0: valid\n")


@pytest.mark.parametrize("is_grouped", [False, True])
def test_what_the_system_refuses_is_no_defect(is_grouped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many open files, or too little memory, is told in one line, with status 255."""

    async def conduct(run: Run) -> None:
        refused = OSError(24, "Too many open files")
        raise BaseExceptionGroup("", [ExceptionGroup("", [refused]), MemoryError()]) if is_grouped else refused

    monkeypatch.setattr(Run, "conduct", conduct)
    assert wrong("test", "-w", "echo", status=255) == (
        "the system refused a resource that the run needs: OSError(24, 'Too many open files')"
    )


@pytest.mark.parametrize("name", ["exits", "is_odd"])
def test_a_factory_that_ends_the_process_is_told(name: str) -> None:
    """`sys.exit` in a factory is no verdict: status 255, and its own traceback."""
    found = outcome("test", "-w", "echo", "--node", f"broken:{name}", *SHORT)
    assert (found.status, found.output) == (255, "")
    assert f"broken:{name} cannot be made:\n" in found.errors


def test_a_module_that_is_interrupted_is_interrupted() -> None:
    """Ctrl-C while the node's module is executed is Ctrl-C."""
    assert outcome("test", "-w", "echo", "--node", "broken:interrupted") == Outcome(
        130, "", "trio-messenger test: interrupted\n"
    )


@pytest.mark.parametrize("is_grouped", [False, True])
def test_other_exceptions_are_defects(is_grouped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 1 is a verdict, so not even a BaseException ends with it."""

    async def conduct(run: Run) -> None:
        raise BaseExceptionGroup("", [OSError(), GeneratorExit()]) if is_grouped else GeneratorExit

    monkeypatch.setattr(Run, "conduct", conduct)
    found = outcome("test", "-w", "echo")
    assert (found.status, "this is a bug in trio-messenger" in found.errors) == (255, True)


# Whether the seed decides


@pytest.mark.usefixtures("at_once")
def test_a_node_that_the_seed_decides_passes_the_check() -> None:
    """``--check-determinism`` says that two runs were the same, then goes on as ever."""
    found = outcome("test", "-w", "echo", *SHORT, "--check-determinism")
    assert found.status == 0
    assert found.errors == "two runs in two processes were the same, message by message\n"
    assert found.output.splitlines()[0] == "echo, 5 nodes, seed 0: valid"


@pytest.mark.usefixtures("at_once")
def test_a_node_that_the_seed_does_not_decide_is_found(folder: Path) -> None:
    """It shows where two runs differ, and ends with status 1: nothing else is worth looking at."""
    (folder / "chancy.py").write_text(
        "import uuid\nfrom trio_messenger import Node\nnode = Node()\n"
        "node.on('generate')(lambda: {'id': uuid.uuid4().hex})\n"
    )
    found = outcome("test", "-w", "unique-ids", "--node", "chancy:node", *SHORT, "--check-determinism")
    assert (found.status, found.errors) == (1, "")
    assert "  first:  " in found.output
    assert "  second: " in found.output
    assert "node.random" in found.output
    assert not (folder / "store" / "latest").exists()


def test_json_tells_where_two_runs_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program gets the same, in one object."""
    difference = Difference(index=3, first="this", second="that", before=("both",), causes=("chance",))
    monkeypatch.setattr(test_command, "check_determinism", lambda *_, **__: difference)
    found = outcome("test", "-w", "echo", "--check-determinism", "--seed", "5", "--json")
    assert found.status == 1
    assert found.json == {
        "valid?": False,
        "seed": 5,
        "difference": {"index": 3, "first": "this", "second": "that", "before": ["both"], "causes": ["chance"]},
    }


def test_a_run_that_fails_in_the_check_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that does not come up in the other process ends the check with status 255."""

    def fail(*_: object, **__: object) -> None:
        raise RunFailedError("node 'n1' did not come up")

    monkeypatch.setattr(test_command, "check_determinism", fail)
    found = outcome("test", "-w", "echo", "--check-determinism")
    assert found == Outcome(255, "", "trio-messenger test: error: node 'n1' did not come up\n")


# Options as a value


def test_options_reach_the_run() -> None:
    """Each argument is what it is called in the options that are kept, so that the run can be made again."""
    argv = [
        *("-w", "broadcast", "--nodes", "a, b", "--concurrency", "3n", "--rate", "2.5", "--time-limit", "4"),
        *("--latency", "10", "--latency-dist", "uniform", "--loss", "0.1", "--duplicate", "0.2", "--seed", "9"),
        *("--topology", "line", "--availability", "total", "--nemesis", "loss,kill", "--nemesis-interval", "3"),
        *("--lww-kv", "merging"),
    ]
    outcome("test", *argv)
    options = load(Path("store/broadcast/9")).options
    assert (options.nodes, options.concurrency, options.rate, options.time_limit) == (("a", "b"), 6, 2.5, 4.0)
    assert (options.latency.mean, options.latency.distribution) == (10.0, "uniform")
    assert (options.loss, options.duplicate, options.seed) == (0.1, 0.2, 9)
    assert (options.topology, options.availability) == ("line", "total")
    assert (options.nemesis, options.nemesis_interval) == (("loss", "kill"), 3.0)
    assert options.lww_kv == "merging"
    assert options.faults == options.nemesis_schedule() != ()


def test_what_is_not_said_is_as_in_maelstrom() -> None:
    """The defaults are those of `Options`, with the nodes n0 and up if only their number is given."""
    outcome("test", "-w", "echo", "--time-limit", "1", "--node-count", "2", "--concurrency", "3")
    wanted = Options(workload="echo", nodes=["n0", "n1"], time_limit=1, concurrency=3)
    assert load(Path("store/echo/0")).options == wanted
