"""The end of a run of executables: nothing of them is left, whatever ends it."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import pytest
from support.paths import EXECUTABLES
from support.process_runs import (
    FOREIGN,
    assert_nothing_is_left,
    make_run,
    processes_in,
)
from support.processes import child, needs_proc

from trio_messenger.sim._runs.real_time import run_real
from trio_messenger.sim._runs.run import Run

pytestmark = needs_proc


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


@pytest.mark.slow
@pytest.mark.every_python
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
