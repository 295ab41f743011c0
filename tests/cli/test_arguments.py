"""The arguments of the simulator's commands: what is wrong with one is told with what would be right."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from support.command_line import README, in_folder, outcome, wrong
from support.paths import DOCS

from trio_messenger import _cli
from trio_messenger._cli.arguments import make_options, read_faults
from trio_messenger._cli.subject import name_of_subject
from trio_messenger.nodes import NODES
from trio_messenger.sim import WORKLOADS, Kill, Latency, Options, Partition
from trio_messenger.sim._faults.schedules import NEMESES

NODE_NAMES = ", ".join(NODES)
WORKLOAD_NAMES = ", ".join(WORKLOADS)
OF_WORKLOADS = f"{WORKLOAD_NAMES}. Give your own as MODULE:CLASS"
KILL = '[{"kind":"kill","nodes":["n1"],"at":5,"until":10}]'
PAGE = DOCS / "reference" / "cli.md"
USAGE = "usage: trio-messenger test -w WORKLOAD [--node NAME | --bin FILE] [options] [-- ARGUMENTS]\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a module to name on the command line."""
    (tmp_path / "my_node.py").write_text(README)
    (tmp_path / "ids.txt").write_text("n7\n\n  e\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff")
    for _ in in_folder(tmp_path, monkeypatch):
        yield tmp_path


def options(*argv: str) -> Options:
    """Return what the arguments of a test stand for."""
    return make_options(_cli.parse(["test", "-w", "echo", *argv])[0])


# What is right


def test_defaults_are_those_of_maelstrom() -> None:
    """Five nodes, a client for each, five operations a second for a minute, no latency, no faults; and seed 0."""
    assert options() == Options(workload="echo")
    made = options()
    assert (made.nodes, made.concurrency, made.seed) == (("n1", "n2", "n3", "n4", "n5"), 5, 0)
    assert (made.rate, made.time_limit, made.latency) == (5.0, 60.0, Latency(0, "constant"))


@pytest.mark.parametrize(
    ("argv", "changes"),
    [
        (("--node-count", "2"), {"nodes": ("n0", "n1"), "concurrency": 2}),
        (("--node-count", "5"), {"nodes": ("n0", "n1", "n2", "n3", "n4")}),
        (("--nodes", "a, b,d"), {"nodes": ("a", "b", "d"), "concurrency": 3}),
        (("--concurrency", "10"), {"concurrency": 10}),
        (("--concurrency", "2n"), {"concurrency": 10}),
        (("--concurrency", "4n", "--node-count", "3"), {"nodes": ("n0", "n1", "n2"), "concurrency": 12}),
        (("--rate", "0"), {"rate": 0.0}),
        (("--time-limit", "1.5"), {"time_limit": 1.5}),
        (("--latency", "20"), {"latency": Latency(20, "constant")}),
        (("--latency", "0", "--latency-dist", "uniform"), {"latency": Latency(0, "uniform")}),
        (("--loss", "0.5", "--duplicate", "1"), {"loss": 0.5, "duplicate": 1.0}),
        (("-n", "a", "-n", "b"), {"nodes": ("a", "b"), "concurrency": 2}),
        (("-n", "a", "--nodes-file", "ids.txt", "--nodes", "d,b"), {"nodes": ("n7", "e", "d", "b", "a")}),
        (("--test-count", "1"), {"seed": 0}),
        (("--topology", "tree3"), {"topology": "tree3"}),
        (("--lww-kv", "merging"), {"lww_kv": "merging"}),
        (("--availability", "total"), {"availability": "total"}),
        (("--availability", "0.9"), {"availability": 0.9}),
        (("--seed", "-3"), {"seed": -3}),
        (("--faults", KILL), {"faults": (Kill(nodes=["n1"], at=5, until=10),)}),
        (("--faults", " []"), {}),
    ],
)
def test_each_argument_is_its_option(argv: tuple[str, ...], changes: dict[str, object]) -> None:
    """Arguments change the options of their names, and no others."""
    assert options(*argv) == attrs.evolve(Options(workload="echo"), **changes)  # type: ignore[arg-type]


def test_a_nemesis_makes_the_schedule_of_the_seed() -> None:
    """Kinds are given with commas between them, and the interval in seconds."""
    made = options("--nemesis", "partition, kill", "--nemesis-interval", "2", "--seed", "4")
    assert (made.nemesis, made.nemesis_interval) == (("partition", "kill"), 2.0)
    assert made.faults == made.nemesis_schedule()
    assert {fault.kind for fault in made.faults} == {Partition.kind, Kill.kind}


def test_a_schedule_may_be_in_a_file(folder: Path) -> None:
    """A file has a list of faults, or it is the schedule.json that a run has left."""
    (folder / "faults.json").write_text(KILL)
    assert read_faults("faults.json") == read_faults(KILL)
    outcome("test", "-w", "echo", "--time-limit", "1", "--faults", "faults.json")
    assert read_faults("store/latest/schedule.json") == read_faults(KILL)


# What is wrong


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("-w brodcast", f"there is no workload 'brodcast'; did you mean 'broadcast'? There are: {OF_WORKLOADS}"),
        ("-w quorum", f"there is no workload 'quorum'; there are: {OF_WORKLOADS}"),
        (
            "-w echo --topology gird",
            "there is no topology 'gird'; did you mean 'grid'? There are: grid, line, total, tree, tree2, tree3, tree4",
        ),
        (
            "-w echo --nemesis kill,partiton",
            "there is no nemesis 'partiton'; did you mean 'partition'? "
            f"There are: {', '.join(kind.name for kind in NEMESES)}",
        ),
        (
            "-w echo --latency 1 --latency-dist uniforn",
            "there is no distribution 'uniforn'; did you mean 'uniform'? There are: constant, uniform, exponential",
        ),
        (
            "-w echo --latency 1 --latency-dist exp",
            "there is no distribution 'exp'; did you mean 'exponential'? There are: constant, uniform, exponential",
        ),
        (
            "-w echo --nemesis kill --search Swarms",
            "there is no search 'Swarms'; did you mean 'swarm'? There are: uniform, aimed, swarm, swizzle, mix",
        ),
        ("-w echo --rate fast", "'fast' is not a number; give one such as 5 or 0.5"),
        ("-w echo --seed x", "'x' is not a whole number; give one such as 5"),
        ("-w echo --seeds -1", "-1 is too few; give 0 or more"),
        ("-w echo --seeds 0 --max-seconds 0", "'0' is not a duration; give seconds, such as 5 or 0.5"),
        ("-w echo --seeds 0 --max-seconds 1e10", "'1e10' is too long; give 1,000,000,000 seconds or less"),
        ("-w echo --seeds 0 --max-seconds nan", "'nan' is not a duration; give seconds, such as 5 or 0.5"),
        ("-w echo --seeds 1000000000000", "1000000000000 is too many; give 1,000,000 or fewer"),
        ("-w echo --seeds 1 --jobs 1001", "1001 is too many; give 1,000 or fewer"),
        ("-w echo --node-count 10001", "10001 is too many; give 10,000 or fewer"),
        (f"-w echo --seed {2**63}", f"{2**63} does not fit into 64 bits; give a number such as 5"),
        (f"-w echo --seed {'9' * 5000}", f"'{'9' * 79} is not a whole number; give one such as 5"),
        ("-w echo --store=", "it is empty; give a folder"),
        ("-w echo --nodes-file /dev/zero", "'/dev/zero': it is larger than 64 MiB; give a file with one id a line"),
        ("-w echo --test-count 0", "0 is too few; give 1 or more"),
        ("-w echo --nodes-file no/such", "'no/such': No such file or directory; give a file with one id a line"),
        ("-w echo --nodes-file empty.txt", "'empty.txt' has no ids; give a file with one id a line"),
        ("-w echo --nodes-file bytes.txt", "'bytes.txt': it is not UTF-8; give a file with one id a line"),
        ("-w echo --node-count 0", "0 is too few; give 1 or more"),
        (
            "-w echo --concurrency 2m",
            "'2m' is not a number of clients; give one such as 10, or 2n for two per node",
        ),
        ("-w echo --availability most", "'most' is not a fraction; give one from 0 to 1, or: total"),
        ("-w echo --nodes a --node-count 1", "not allowed with argument --nodes"),
    ],
)
def test_a_value_that_is_none_is_refused(argv: str, message: str) -> None:
    """The usage, in one line, then the option, the value, and what would do."""
    found = outcome("test", *argv.split())
    assert (found.status, found.output) == (254, "")
    usage, error = found.errors.split("\n", 1)
    assert usage + "\n" == USAGE
    assert re.fullmatch(rf"trio-messenger test: error: argument -[\w/-]+: {re.escape(message)}\n", error)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--sed", "3"), "there is no option '--sed'; did you mean --seed?"),
        (("--node-cont=3",), "there is no option '--node-cont'; did you mean --node-count?"),
        (("--quite-another",), "there is no option '--quite-another'; see trio-messenger test --help"),
        (("more",), "there is no argument 'more'; see trio-messenger test --help"),
        (("--rat", "3"), "there is no option '--rat'; did you mean --rate?"),
        (("--no-ssh",), "--no-ssh has no meaning here: nodes run on this machine, without SSH; omit it"),
        (
            ("--sed", "3", "--username", "root", "--leave-db-running", "--username=me"),
            "--username has no meaning here: nodes run on this machine, without SSH; omit it;"
            " --leave-db-running has no meaning here: nodes end with the run; omit it",
        ),
    ],
)
def test_an_option_that_is_not_there_is_refused(argv: tuple[str, ...], message: str) -> None:
    """It says which one was meant; options are not abbreviated."""
    assert wrong("test", "-w", "echo", *argv) == message


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), f"-w is missing: give a workload; there are: {WORKLOAD_NAMES}, or your own as MODULE:CLASS"),
        (("--rate", "-1"), "--rate is -1.0; give 0 or more"),
        (("--time-limit", "nan"), "--time-limit is nan; give 0 or more"),
        (("--time-limit", "1e300"), "--time-limit is 1e+300; give 1,000,000,000 or less"),
        (("--rate", "1e300"), "--rate is 1e+300; give 1,000,000 or less"),
        (("--concurrency", "1000000"), "--concurrency is 1e+06; give 100,000 or less"),
        (("--latency", "1e300"), "a latency in milliseconds is 1e+300; give 1,000,000,000 or less"),
        (
            ("--nemesis", "kill", "--nemesis-interval", "0.001", "--time-limit", "1e6"),
            "the nemesis interval of 0.001 s makes about 1e+09 faults of a kind in 1e+06 s; give a longer interval,"
            " for 100,000 faults or fewer",
        ),
        (
            ("--faults", '[{"kind":"kill","nodes":["n1"],"at":1e300}]'),
            "--faults: fault 0: at is 1e+300; give 1,000,000,000 or less",
        ),
        (
            ("--faults", '[{"kind":"loss","rate":1,"until":1e10}]'),
            "--faults: fault 0: until is 1e+10; give 1,000,000,000 or less",
        ),
        (
            ("--faults", '[{"kind":"clock","nodes":["n1"],"seconds":-1e10}]'),
            "--faults: fault 0: seconds is 1e+10; give 1,000,000,000 or less",
        ),
        (
            ("--faults", f'[{{"kind":"clock","nodes":["n1"],"seconds":{"1" * 5000}}}]'),
            "--faults: fault 0: seconds is inf; give a finite number",
        ),
        (("--faults", "[" * 100_000), f"--faults is not a list of faults; give one such as '{KILL}'"),
        (
            ("--faults", "bytes.txt"),
            f"--faults bytes.txt: it is not UTF-8; give a list of faults, such as '{KILL}', or a file",
        ),
        (("--loss", "2"), "--loss is 2.0; give a probability from 0 to 1"),
        (("--concurrency", "0"), "--concurrency is 0; give 1 or more"),
        (("--latency", "-2"), "a latency is -2.0 ms; give a finite number of 0 or more"),
        (("--availability", "2"), "--availability is 2.0; give 'total' or a fraction from 0 to 1"),
        (("--nodes", "c1,n2"), "a node cannot be named 'c1'; ids that begin with 'c' are for clients"),
        (("--nodes", "a,a"), "the nodes are ['a', 'a']; give at least one id, and each id only once"),
        (
            ("--nemesis", "kill", "--nemesis-interval", "0"),
            "the nemesis interval is 0.0 s; give a finite number of 0.001 or more",
        ),
        (
            ("--nemesis", "kill", "--faults", "[]"),
            "--faults and --nemesis both set the whole schedule; give one of them",
        ),
        (
            ("--nemesis-interval", "3"),
            "--nemesis-interval is the time between changes of --nemesis; give --nemesis, too",
        ),
        (("--search", "swarm"), "--search is how the faults of --nemesis are drawn; give --nemesis, too"),
        (
            ("--search", "aimed", "--nemesis", "loss"),
            "--search is 'aimed', which stops nodes or links, and the nemesis (loss) does not; give one of kill, pause,"
            " partition, oneway, links, services, or search with uniform or swarm",
        ),
        (
            ("--bin", "true", "--search", "mix", "--nemesis", "kill"),
            "--search mix makes a run without faults and repeats it with a fault at one of its events; executables run"
            " in real time, which cannot be repeated: search with swarm or swizzle",
        ),
        (
            ("--bin", "true", "--search", "swizzle", "--nemesis", "kill,clock"),
            "a fault of kind 'clock' cannot be applied to executables, which use the system's clock; "
            "leave it out, or test a node in process",
        ),
        (
            ("--latency-dist", "uniform"),
            "--latency-dist is the distribution of --latency, which is 0; give --latency, too",
        ),
        (("--jobs", "3"), "--jobs is for many seeds; give --seeds, too"),
        (("--keep-going",), "--keep-going is for many seeds; give --seeds, too"),
        (("--max-seconds", "5"), "--max-seconds is for many seeds; give --seeds, too"),
        (
            ("--seeds", "3", "--seed", "9223372036854775806"),
            "--seed is 9223372036854775806, so the last seed does not fit into 64 bits; give at most"
            " 9223372036854775805",
        ),
        (("--seeds", "2", "--log-stderr"), "--log-stderr is for one seed; leave --seeds out"),
        (("--test-count", "2", "--log-stderr"), "--log-stderr is for one seed; leave --test-count out"),
        (
            ("--test-count", "2", "--seeds", "2"),
            "--test-count and --seeds are two names of one option; give one of them",
        ),
        (
            ("--node-count", "2", "-n", "a"),
            "--node-count determines the ids; leave out either it, or -n, --nodes and --nodes-file",
        ),
        (("--seeds", "2", "--check-determinism"), "--check-determinism is for one seed; leave --seeds out"),
        (
            ("--node", "echo", "--bin", "cat"),
            "--node is for nodes in this process, --bin for executables; give one of them",
        ),
        (("--", "a", "b"), "'a' after -- is an argument for the executable of --bin; give --bin or leave it out"),
        (
            ("--node", "ecoh"),
            f"there is no node 'ecoh'; did you mean 'echo'? There are: {NODE_NAMES}. Give your own as MODULE:NODE",
        ),
        (
            ("--node", "my_node:nod"),
            "my_node:nod: module 'my_node' has no node or function 'nod'; did you mean 'node'?",
        ),
        (("--bin", "my_node.py"), "--bin: 'my_node.py' is not executable; run: chmod +x my_node.py"),
        (
            ("--bin", "true", "--check-determinism"),
            "--check-determinism is for nodes in this process; two runs in real time always differ",
        ),
        (
            ("--bin", "true", "--faults", '[{"kind":"clock","nodes":["n1"],"seconds":1}]'),
            "a fault of kind 'clock' cannot be applied to executables, which use the system's clock; "
            "leave it out, or test a node in process",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(argv: tuple[str, ...], message: str) -> None:
    """One line names the value, the limit and the remedy, and nothing is run."""
    workload = ("-w", "echo") if argv else ()
    assert outcome("test", *workload, *argv).errors == f"trio-messenger test: error: {message}\n"
    assert outcome("test", *workload, *argv).status == 254
    assert not Path("store", "latest").exists()


@pytest.mark.parametrize("workload", WORKLOADS)
def test_each_workload_has_a_node(workload: str) -> None:
    """Without ``--node``, a test takes the ready-made node with the name of the workload, and raft for lin-kv."""
    name = name_of_subject(workload, None, None, [])
    assert name == ("--node", "raft" if workload == "lin-kv" else workload)
    assert name[1] in NODES


@pytest.mark.slow
@pytest.mark.parametrize("workload", WORKLOADS)
def test_each_workload_runs_with_its_node(workload: str) -> None:
    """The run is valid."""
    assert outcome("test", "-w", workload, "--time-limit", "3", "--rate", "20").status == 0


def test_a_workload_without_a_node_of_its_name_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no ready-made node has the workload's name, one has to be given."""
    monkeypatch.delitem(NODES, "g-set")
    assert wrong("test", "-w", "g-set") == (
        "there is no ready-made node for 'g-set'; give your own with --node or --bin"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "nowhere.json",
            "--faults nowhere.json: No such file or directory; give a list of faults, such as {example}, or a file",
        ),
        ("[3]", "--faults is not a list of faults; give one such as {example}"),
        ("[{]", "--faults: Expecting property name enclosed in double quotes: line 1 column 3 (char 2)"),
        (
            '[{"kind":"kil"}]',
            "--faults: fault 0: there is no fault of kind 'kil'; did you mean 'kill'? There are: "
            "partition, loss, duplicate, reorder, slow, kill, pause, clock, storage",
        ),
        ('[{"kind":"partition"},{"kind":"loss"}]', "--faults: fault 1: Object missing required field `rate`"),
        ("other.json", "other.json is not a list of faults; give one such as {example}"),
        (
            '[{"kind":"kill","nodes":["n9"]}]',
            "a kill names 'n9'; name one of the nodes ['n1', 'n2', 'n3', 'n4', 'n5']",
        ),
    ],
)
def test_a_schedule_that_is_none_is_refused(text: str, message: str, folder: Path) -> None:
    """Whether as JSON or in a file, what is wrong with it is told, and how one looks."""
    (folder / "other.json").write_text('{"options": {}}')
    assert wrong("test", "-w", "echo", "--faults", text) == message.format(example=f"'{KILL}'")


# Help


@pytest.mark.parametrize("command", ["test", "replay", "shrink"])
def test_help_shows_examples_and_statuses(command: str) -> None:
    """The help ends with commands to copy, all of which are taken, and with what the exit status means."""
    found = outcome(command, "--help")
    assert (found.status, found.errors) == (0, "")
    examples = re.findall(r"^  trio-messenger (\w[^#\n]*?)(?:   .*)?$", found.output, re.M)
    assert len(examples) >= 2
    for example in examples:
        _cli.parse(example.split())
    assert "\nexit status: " in found.output


@pytest.mark.slow
def test_help_lists_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workloads and kinds of faults are listed, each with what it does; names are never broken at their hyphens."""
    for columns in range(60, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert not re.search(r"\w-$", outcome("test", "--help").output, re.M)
    output = outcome("test", "--help").output
    for name, workload in WORKLOADS.items():
        assert re.search(rf"^  {name} +{re.escape(workload.summary)}$", output, re.M)
    for kind in NEMESES:
        assert re.search(rf"^  {kind.name} +{re.escape(kind.help)}$", output, re.M)


def test_help_says_what_differs_for_executables_and_for_many_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that means something else with ``--bin`` or ``--seeds`` says so; each text has one list at most."""
    monkeypatch.setenv("COLUMNS", "1000")
    texts = {
        words.split()[-2 if " " in words else 0]: text
        for words, text in re.findall(r"^  (-.*?)(?:   +|\n +)(\S.*)$", outcome("test", "--help").output, re.M)
    }
    for option in ("--seed", "--jobs", "--busy-limit", "--check-determinism", "--store"):
        assert "--bin" in texts[option], option
    for option in ("--check-determinism", "--store"):
        assert "--seeds" in texts[option], option
    for option, text in texts.items():
        assert text.partition(" (default: ")[0].count(": ") <= 1, option


def test_every_option_is_in_the_reference() -> None:
    """The page on the command line has a line for each option of each command."""
    page = PAGE.read_text(encoding="utf-8")
    for command in ("test", "replay", "shrink", "diagram"):
        section = page.partition(f"## `trio-messenger {command}")[2].partition("\n## ")[0]
        for option in re.findall(r"^  (?:-\w(?: \w+)?, )?(--[\w-]+)", outcome(command, "--help").output, re.M):
            assert option == "--help" or f"`{option}" in section, f"{command} {option}"


@pytest.mark.slow
def test_the_run_in_the_reference_is_what_comes_of_its_command() -> None:
    """What the page shows can be typed, and gives what it shows."""
    [(command, shown)] = re.findall(
        r"^    \$ trio-messenger (.*)\n((?:    .*\n)+)", PAGE.read_text(encoding="utf-8"), re.M
    )
    assert outcome(*command.split()).output == textwrap.dedent(shown)
