"""Campaigns: many seeds in many processes, and a report as if there were one after another."""

from __future__ import annotations

import io
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import attrs
import msgspec
import pytest
import trio
from support.paths import TESTS
from support.runs import run_as_told
from support.wrong_nodes import run_named

from trio_messenger.sim import Loss, Options, Report
from trio_messenger.sim._campaigns import interpreters
from trio_messenger.sim._campaigns.campaign import CampaignReport, _Campaign, run_campaign, with_seed
from trio_messenger.sim._campaigns.interpreters import SeedResult, main, open_interpreter, serve

OPTIONS = Options(workload="echo", rate=10.0, time_limit=1.0, nodes=["n1"])


def campaign(node: Sequence[str], seeds: range, **given: Any) -> CampaignReport:
    return run_campaign(OPTIONS, node, seeds, make_run=run_as_told, **given)


def seeds_of(results: Sequence[SeedResult]) -> list[int]:
    return [result.seed for result in results]


def test_campaign_makes_the_runs_that_simulate_would() -> None:
    """Each result is that of the run with its seed: verdict, digest and the command that makes it again."""
    options = attrs.evolve(OPTIONS, nemesis=["loss"], faults=OPTIONS.nemesis_schedule())
    came: list[SeedResult] = []
    report = run_campaign(options, ("--node", "echo"), range(10, 14), make_run=run_named, jobs=2, on_result=came.append)
    alone = [run_named(with_seed(options, seed), ("--node", "echo")) for seed in range(10, 14)]
    assert report.valid is True
    assert report.planned == 4
    assert [(result.seed, result.valid, result.digest, result.command) for result in report.results] == [
        (each.options.seed, True, each.digest, each.command) for each in alone
    ]
    assert all(result.seconds > 0 for result in report.results)
    assert sorted(came, key=lambda result: result.seed) == list(report.results)
    assert str(report).splitlines()[0] == "4 runs: 4 valid"


def test_campaign_tells_the_warnings_of_its_runs() -> None:
    """Those that differ in figures alone share a line, which says how many runs have them and quotes the first."""

    def result(seed: int, *warnings: str) -> SeedResult:
        return SeedResult(seed=seed, valid=True, warnings=warnings)

    report = CampaignReport(
        results=(
            result(3, "fault 0 (loss between n1 and n2) took no effect", "fault 2 (kill n1) took no effect"),
            result(4),
            result(5, "3 replies arrived after their clients had given up (n1 3)"),
            result(6, "fault 1 (kill n3) took no effect", "12 replies arrived after their clients had given up (n2 9)"),
            result(7, "fault 4 (kill n2) took no effect"),
        ),
        planned=5,
    )
    assert report.warnings == [
        "in 3 of 5 runs, for example seed 3: fault 0 (loss between n1 and n2) took no effect",
        "in 2 of 5 runs, for example seed 5: 3 replies arrived after their clients had given up (n1 3)",
    ]
    proof = "with 95% confidence, fewer than 60% of all seeds fail"
    assert str(report).splitlines() == ["5 runs: 5 valid", proof, *report.warnings]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_campaign_stops_at_the_first_failure(jobs: int, tmp_path: Path) -> None:
    """It ends with the first seed that fails, in their order, though a later one may have failed before."""
    came: list[int] = []

    def note(result: SeedResult) -> None:
        came.append(result.seed)
        if result.seed == 3:
            (tmp_path / "3 is there").touch()

    wait = [f"2:until:{tmp_path}/3 is there"] if jobs > 1 else []
    report = campaign([*wait, "2:fails", "3:fails"], range(8), jobs=jobs, on_result=note)
    assert came[-1:] == [2]
    assert (3 in came) == (jobs > 1)
    assert seeds_of(report.results) == [0, 1, 2]
    assert seeds_of(report.failures) == [2]
    assert report.valid is False
    assert report.planned == 8
    [failure] = report.failures
    assert re.match(r'n\d answered "Please echo \d+" with "Please echo " at ', failure.reasons[0])
    assert failure.error is None
    lines = str(report).splitlines()
    assert lines[:2] == ["3 runs: 1 INVALID, 2 valid; 5 were not run", "the first failed run has seed 2:"]
    assert lines[2] == f"  {failure.reasons[0]}"
    assert lines[-1] == f"run it again with: {failure.command}"
    assert "--seed 2 " in f"{failure.command} "


@pytest.mark.slow
@pytest.mark.every_python
def test_campaign_waits_for_the_seeds_before_a_failure(tmp_path: Path) -> None:
    """Runs of earlier seeds that are still under way when one fails are in the report, also if they are valid."""
    came: list[int] = []

    def note(result: SeedResult) -> None:
        came.append(result.seed)
        if result.seed == 1:
            (tmp_path / "1 is there").touch()

    report = campaign([f"0:until:{tmp_path}/1 is there", "1:fails"], range(4), jobs=2, on_result=note)
    assert seeds_of(report.results) == [0, 1]
    assert came == [1, 0]


@pytest.mark.slow
@pytest.mark.every_python
def test_campaign_cancels_the_seeds_after_a_failure() -> None:
    """A run of a later seed is not waited for."""
    begun = time.monotonic()
    report = campaign(["0:fails", "1:1000"], range(4), jobs=2)
    assert seeds_of(report.results) == [0]
    assert time.monotonic() - begun < 100


@pytest.fixture(scope="module")
def whole() -> CampaignReport:
    """A campaign that goes on after failures of all kinds."""
    return campaign(["0:0.4", "1:fails", "2:raises", "3:dies", "4:prints"], range(6), jobs=2, keep_going=True)


@pytest.mark.slow
def test_campaign_goes_on_if_told_to(whole: CampaignReport) -> None:
    """With keep_going every seed is in the report, in order, and what became of those that failed."""
    assert seeds_of(whole.results) == [0, 1, 2, 3, 4, 5]
    assert [result.valid for result in whole.results] == [True, False, None, None, True, True]
    assert seeds_of(whole.failures) == [1, 2, 3]
    assert str(whole).splitlines()[:2] == [
        "6 runs: 1 INVALID, 3 valid, 2 without a verdict",
        "the first failed run has seed 1:",
    ]


def test_a_run_without_a_verdict_says_why(whole: CampaignReport) -> None:
    """If a run raises, or takes its process with it, its result tells so; others have another process."""
    assert seeds_of(whole.errors) == [2, 3]
    raised, died = whole.errors
    assert (raised.error or "").splitlines()[-1] == "ZeroDivisionError: of all things"
    assert died.error == "the process that made the run ended with status 3; its output is on stderr"
    assert died.seconds > 0
    lines = str(CampaignReport(results=(died,), planned=1)).splitlines()
    assert lines == ["1 run: 1 without a verdict", "the first failed run has seed 3:", f"  {died.error}"]


def test_campaign_of_no_seeds_is_valid() -> None:
    """Where there is nothing to run, nothing failed."""
    report = campaign([], range(0))
    assert (report.valid, report.results, str(report)) == (True, (), "0 runs: none")


def test_verdict_is_the_worst() -> None:
    """One invalid run makes a campaign invalid, whatever is unknown of the others."""

    def verdict(*valid: Any) -> object:
        results = tuple(SeedResult(seed=seed, valid=each) for seed, each in enumerate(valid))
        return CampaignReport(results=results, planned=len(results)).valid

    assert verdict(True, "unknown", True) == "unknown"
    assert verdict("unknown", False, True) is False
    assert verdict(True, None, "unknown") is False


@pytest.mark.slow
@pytest.mark.every_python
def test_a_node_that_does_not_come_up_is_told_without_a_traceback() -> None:
    """The text of a `SetUpError` is all there is to say."""
    result = run_campaign(OPTIONS, ("--node", "support.chancy_nodes:refuses"), [7], make_run=run_named).results[0]
    assert (result.error or "").splitlines()[0] == "node 'n1' did not answer 'init': crash (13): no, thanks"
    assert result.seed == 7


def test_a_function_that_a_child_cannot_import_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes the runs has to be importable; if it is not, the result says what was not found."""
    monkeypatch.setitem(sys.modules, "only_here", SimpleNamespace(make_run=make_run))
    monkeypatch.setattr(make_run, "__module__", "only_here")
    [result] = run_campaign(OPTIONS, [], range(7, 9), make_run=make_run, jobs=1).results
    assert result.seed == 7
    assert (result.error or "").splitlines()[-1] == "ModuleNotFoundError: No module named 'only_here'"


def make_run(options: Options, node: tuple[str, ...]) -> Report:
    raise AssertionError


def test_arguments_are_checked() -> None:
    """No jobs at all is an error, and so is a campaign from within Trio."""
    with pytest.raises(ValueError, match=r"^jobs is 0; give 1 or more$"):
        campaign([], range(3), jobs=0)
    with pytest.raises(RuntimeError):
        trio.run(as_async(lambda: campaign([], range(3))))


def as_async(function: Callable[[], object]) -> Callable[[], Any]:
    async def call() -> None:
        function()

    return call


def test_a_later_failure_is_not_the_first() -> None:
    """One that comes after the first, since it had ended already when it was to be cancelled, does not matter."""
    made = _Campaign(OPTIONS, (), range(9), run_as_told, False, lambda _: None)
    for place in (5, 3, 4):
        made._take(place, SeedResult(seed=place, valid=False))
    assert made._end == 4


def test_what_the_callback_raises_ends_the_campaign() -> None:
    """An exception of on_result comes out as it is, not in a group, and no process is left."""

    def fail(_: SeedResult) -> None:
        raise BrokenPipeError("nobody reads")

    with pytest.raises(BrokenPipeError, match=r"^nobody reads$"):
        campaign(["1:1000"], range(4), jobs=2, on_result=fail)


# Seeds and schedules


def test_another_seed_means_another_schedule_of_the_nemesis() -> None:
    """A schedule that a nemesis made of the seed is made anew; one that was given stays as it is."""
    made = Options(workload="echo", nemesis=["partition", "kill"], seed=1)
    assert with_seed(made, 2) == Options(workload="echo", nemesis=["partition", "kill"], seed=2)
    assert with_seed(made, 2).faults != made.faults
    given = attrs.evolve(made, faults=[Loss(rate=0.5)])
    assert with_seed(given, 2) == attrs.evolve(given, seed=2)
    assert with_seed(given, 2).faults == (Loss(rate=0.5),)


# No process is left


Running: TypeAlias = tuple["subprocess.Popen[bytes]", int]

PROGRAM = """
import sys
sys.path[:0] = {path!r}
from support.runs import run_for_ever
from trio_messenger.sim import Options
from trio_messenger.sim._campaigns.campaign import run_campaign
options = Options(workload="echo")
try:
    run_campaign(options, [{notes!r}], range(10), make_run=run_for_ever, jobs=1)
except KeyboardInterrupt:
    sys.exit(42)
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A program that is in the midst of a campaign, and the id of the process that it has started."""
    notes = tmp_path / "notes"
    code = PROGRAM.format(path=[str(TESTS)], notes=str(notes))
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            give_up_at = time.monotonic() + 60
            while not (notes.exists() and notes.read_text().endswith("\n")):
                assert time.monotonic() < give_up_at
                time.sleep(0.01)
            yield process, int(notes.read_text())
        finally:
            process.kill()


def is_there(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


linux_only = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks for processes in /proc")


@pytest.mark.slow
@linux_only
def test_interrupted_campaign_leaves_no_process(running: Running) -> None:
    """Ctrl-C comes out as KeyboardInterrupt, when the processes are gone already."""
    process, child = running
    assert is_there(child)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 42
    assert not is_there(child)


@pytest.mark.slow
@linux_only
def test_children_die_with_their_parent(running: Running) -> None:
    """They do so in the midst of a run, even if their parent was killed and could end nothing."""
    process, child = running
    process.kill()
    give_up_at = time.monotonic() + 60
    while is_there(child):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


# A child, from within


def requests(*made: tuple[int, object]) -> io.BytesIO:
    return io.BytesIO(b"".join(pickle.dumps((seed, pickle.dumps(job))) for seed, job in made))


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that the child sends itself: one, at the end of its input, from another thread."""
    sent: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", sent.append)
    yield sent
    _await(sent)


def _await(sent: list[int]) -> None:
    while not sent:
        time.sleep(0.001)


def results(written: io.BytesIO) -> list[SeedResult]:
    return [msgspec.json.decode(line, type=SeedResult) for line in written.getvalue().splitlines()]


def test_child_serves_requests_until_there_are_no_more(signals: list[int], tmp_path: Path) -> None:
    """It answers each with a line, writes the journal if it is to, and ends itself at the end of its input."""
    path = tmp_path / "journal.jsonl"
    written = io.BytesIO()
    jobs = [interpreters._Job(run_as_told, OPTIONS, (word,), path) for word in ("0:fails", "0:raises")]
    serve(requests(*enumerate(jobs)), written)
    first, second = results(written)
    assert (first.seed, first.valid, first.error) == (0, False, None)
    assert first.reasons
    assert path.read_bytes().startswith(b'{"i":0,')
    assert (second.seed, second.valid) == (1, None)
    assert "of all things" in (second.error or "")
    _await(signals)
    assert signals == [signal.SIGTERM]


@pytest.mark.slow
def test_child_ends_in_the_midst_of_a_request() -> None:
    """A request of which only a part has come is none: it is the end, as where its parent was killed meanwhile."""
    whole = requests((0, "x" * 100_000)).getvalue()
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from trio_messenger.sim._campaigns.interpreters import main; main()"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], input=whole[: len(whole) // 2], capture_output=True, timeout=60, check=False
    )
    assert (child.returncode, child.stdout, child.stderr) == (-signal.SIGTERM, b"", b"")


def test_child_ends_when_nobody_reads_its_results(signals: list[int]) -> None:
    """A parent that is gone is no error."""

    class Broken(io.BytesIO):
        def flush(self) -> None:
            raise BrokenPipeError

    serve(requests((0, None), (1, None)), Broken())


def test_child_keeps_the_standard_descriptors_for_its_parent(
    signals: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed or written to stdout goes to stderr, and nobody else reads what the parent sends."""
    job = interpreters._Job(run_as_told, OPTIONS, ("0:prints",), None)
    (tmp_path / "requests").write_bytes(requests((0, job)).getvalue())
    printed, before = io.StringIO(), (os.dup(0), os.dup(1))
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", printed)
    with (tmp_path / "requests").open("rb") as given, (tmp_path / "results").open("wb") as asked:
        os.dup2(given.fileno(), 0)
        os.dup2(asked.fileno(), 1)
    try:
        main()
        assert os.read(0, 1) == b""
        assert os.fstat(1) == os.fstat(2)
    finally:
        for number, kept in enumerate(before):
            os.dup2(kept, number)
            os.close(kept)
    assert [result.valid for result in results(io.BytesIO((tmp_path / "results").read_bytes()))] == [True]
    assert printed.getvalue() == "on stdout\n"


async def test_a_child_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that neither dies with its input nor of anything else has a time of grace, and then no choice."""
    monkeypatch.setattr(interpreters, "INTERPRETER_GRACE", 0.1)
    monkeypatch.setattr(interpreters, "_BOOTSTRAP", "import sys, time; {path!r}; time.sleep(1000)")
    async with open_interpreter() as interpreter:
        process = interpreter._process
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.every_python
async def test_a_cancelled_request_leaves_a_child_that_takes_no_more() -> None:
    """Its result might else be taken for that of the next one."""
    states = []
    async with open_interpreter() as interpreter:
        states.append(interpreter.is_alive)
        assert (await interpreter.make(run_as_told, OPTIONS, [])).valid is True
        states.append(interpreter.is_alive)
        with trio.move_on_after(0.1):
            await interpreter.make(run_as_told, OPTIONS, ["0:1000"])
        states.append(interpreter.is_alive)
    assert states == [True, True, False]
    assert interpreter._process.returncode == -signal.SIGTERM, "it has ended itself, at the end of its input"


@pytest.mark.slow
@pytest.mark.every_python
async def test_a_child_has_the_hash_seed_that_it_is_given(tmp_path: Path) -> None:
    """So the order of its sets of strings is not left to chance."""
    code = "print(hash('n1'))"
    wanted = await trio.run_process([sys.executable, "-c", code], capture_stdout=True, env={"PYTHONHASHSEED": "5"})
    options = Options(workload="unique-ids", nodes=["n1"], time_limit=1.0)
    async with open_interpreter(hash_seed=5) as interpreter:
        node = ("--node", "support.chancy_nodes:shows_a_hash")
        result = await interpreter.make(run_named, options, node, tmp_path / "journal.jsonl")
    assert result.error is None
    assert f'"id": ["n1", 0, {wanted.stdout.decode().strip()}]' in (tmp_path / "journal.jsonl").read_text()
