"""What the simulator's commands show meanwhile: a changing line on a terminal, and lines that stay."""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from os import terminal_size
from types import SimpleNamespace
from typing import Any

import pytest
from support.command_line import ERASE, Terminal

from trio_messenger._cli import output
from trio_messenger._cli.output import REDRAWN_EVERY, TOLD_EVERY, Console, Ticker, coloured, put
from trio_messenger._cli.progress import Progress
from trio_messenger.nodes import broadcast
from trio_messenger.sim import Loss, Options, Report
from trio_messenger.sim._campaigns.simulation import run_simulation
from trio_messenger.sim._runs.run import Run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Returns a function that sets the time."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, 100.0 + seconds)


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let terminals be 40 columns wide, of somebody who has nothing against colours."""
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((40, 24)))
    monkeypatch.setattr(output, "environ", {})


# The console


def test_lines_stay_above_the_changing_one() -> None:
    """What is said while there is a changing line takes its place, and it goes on below."""
    stream = Terminal()
    console = Console(stream)
    console.say("before")
    console.show("one")
    console.say("between")
    console.show("two")
    console.show("two")
    console.show("")
    console.say("after")
    assert stream.getvalue() == f"before\n{ERASE}one{ERASE}between\none{ERASE}two{ERASE}after\n"


def test_a_line_that_changes_never_wraps() -> None:
    """One that is longer than the terminal is wide is cut: what has been wrapped could not be erased."""
    stream = Terminal()
    Console(stream).show("x" * 100)
    assert stream.getvalue() == ERASE + "x" * 39


def test_stderr_is_where_things_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout is for results."""
    console = Console()
    assert not console.is_terminal
    console.say("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_a_terminal_is_told_ten_times_a_second(clock: Callable[[float], None]) -> None:
    """At once, and then not before a tenth of a second has passed; at the end the line is taken away."""
    stream = Terminal()
    ticker = Ticker(Console(stream))
    for now in (0, 0.05, 0.0999, REDRAWN_EVERY, 0.15, 0.75):
        clock(now)
        ticker.tick(lambda now=now: f"{now}")  # type: ignore[misc]
    ticker.close()
    assert stream.getvalue() == "".join(f"{ERASE}{text}" for text in ("0", "0.1", "0.75", ""))


def test_without_a_terminal_lines_are_few(clock: Callable[[float], None]) -> None:
    """One every ten seconds, none at the beginning, and none taken away."""
    stream = io.StringIO()
    ticker = Ticker(Console(stream))
    for now in (0, 9.9, TOLD_EVERY, 11, 25):
        clock(now)
        ticker.tick(lambda now=now: f"{now}")  # type: ignore[misc]
    ticker.close()
    assert stream.getvalue() == "10.0\n25\n"


# Colours and results


def test_colours_are_for_terminals_of_those_who_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file gets none, nor does who says NO_COLOR, nor a terminal that has none."""
    assert coloured("valid", "green", is_terminal=True) == "\x1b[32mvalid\x1b[0m"
    assert coloured("valid", "green", is_terminal=False) == "valid"
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        monkeypatch.setattr(output, "environ", environment)
        assert coloured("valid", "green", is_terminal=True) == "valid"
    monkeypatch.setattr(output, "environ", {"NO_COLOR": "", "TERM": "xterm"})
    assert coloured("INVALID", "red", is_terminal=True) == "\x1b[31mINVALID\x1b[0m"


def test_nobody_may_read_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reader of stdout has gone the caller hears of it, and it is no failure."""

    class Closed(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    assert put("hello") is False
    with output.results_to(sys.stdout) as results:
        assert put("hello") is False
        assert put("hello again") is False
        assert (results.failure, results.is_terminal) == (None, False)


# Progress


def run(progress: Progress, **given: object) -> Report:
    """Make a short run that *progress* watches."""
    options = Options(workload="broadcast", nodes=["n1", "n2"], time_limit=4, **given)  # type: ignore[arg-type]
    report = run_simulation(options, broadcast.build, watch=progress.watch)
    progress.close()
    return report


def states(stream: Terminal) -> list[str]:
    """Return what the changing line was, one state after another."""
    return stream.getvalue().split(ERASE)[1:]


@pytest.mark.slow
def test_progress_has_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phase, virtual time and its speed, what became of operations, and how many faults bit."""
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((200, 24)))
    now = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    stream = Terminal()
    report = run(Progress(Console(stream)), seed=3, faults=[Loss(rate=1, until=2), Loss(rate=0)])
    *shown, last = states(stream)
    assert last == ""
    assert shown[0].startswith("set-up 0.0 s, 0x | 0 ok, 0 fail, 0 info | 0 of 2 faults bit")
    assert shown[1].startswith("main 0.0 of 4 s, 0x | 0 ok,")
    phases = list(dict.fromkeys(state.split()[0] for state in shown))
    assert phases == ["set-up", "main", "recovery", "final", "done"]
    assert shown[-1].startswith("done 14.0 s, 0x | ")
    assert shown[-1].endswith(f"| {report.results['stats']['ok-count']} ok, 0 fail, 0 info | 1 of 2 faults bit")


def test_progress_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]) -> None:
    """An hour of thousands of operations and hundreds of faults is told in 80 columns, down to the last word."""
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((80, 24)))
    long: Any = SimpleNamespace(
        options=Options(workload="echo", time_limit=3600, faults=[Loss(rate=1)] * 400),
        phase="main",
        history=[SimpleNamespace(type="ok", audit=False)] * 17_000
        + [SimpleNamespace(type="info", audit=False)] * 300
        + [SimpleNamespace(type="ok", audit=True)] * 10,
        network=SimpleNamespace(now=lambda: 3_599_900_000_000, bites=Counter(range(399))),
    )
    stream = Terminal()
    progress = Progress(Console(stream))
    clock(45.0)
    progress.watch(long)
    assert states(stream)[-1] == "main 3599.9 of 3600 s, 80x | 17000 ok, 0 fail, 300 info | 399 of 400 faults bit"


def test_progress_of_a_run_without_faults_has_none(
    monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> None:
    """Where no fault is planned none is counted; the speed is simulated seconds for each of the clock."""
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((200, 24)))
    stream = Terminal()
    progress = Progress(Console(stream))

    def watch(run: Run) -> None:
        clock(2.0 if run.phase == "done" else 0.01)
        progress.watch(run)

    options = Options(workload="broadcast", nodes=["n1"], time_limit=0, rate=0)
    run_simulation(options, broadcast.build, watch=watch)
    assert states(stream)[-1] == "done 10.0 s, 5x | 1 ok, 0 fail, 0 info"


def test_progress_that_never_began_shows_nothing() -> None:
    """A run that fails before it has begun has nothing to show."""
    stream = io.StringIO()
    Progress(Console(stream), sends=True, deliveries=True).close()
    assert stream.getvalue() == ""
