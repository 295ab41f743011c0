"""Simulations beside whatever else a process does: reproducible, or refused; and nothing of Trio stays changed."""

from __future__ import annotations

import asyncio
import functools
import inspect
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from hypothesis import given, settings, strategies

from trio_messenger import Body, Node, Request
from trio_messenger.nodes import broadcast, echo
from trio_messenger.sim import simulate
from trio_messenger.sim._determinism.scheduler import place_in_thread

TRIO: Any = trio._core._run


def digest() -> str:
    """Make a run whose order of tasks matters, and return what it came to."""
    return simulate(
        "broadcast", broadcast.build, nodes=3, time_limit=2, rate=20, latency=10, latency_dist="exponential"
    ).digest


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Fail if a test leaves Trio's switch or generator in another state."""
    before = TRIO._ALLOW_DETERMINISTIC_SCHEDULING, TRIO._r
    yield
    assert (TRIO._ALLOW_DETERMINISTIC_SCHEDULING, TRIO._r) == before


@contextmanager
def busy_trio() -> Iterator[None]:
    """While inside, let another thread run Trio with tasks that are always ready."""
    over = threading.Event()

    async def spin() -> None:
        while not over.is_set():
            await trio.lowlevel.checkpoint()

    async def spin_all() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(spin)

    thread = threading.Thread(target=trio.run, args=(spin_all,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def in_thread(function: Callable[[], Any]) -> Any:
    """Return what *function* returns in a thread."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    [result] = results
    return result


@pytest.mark.slow
@pytest.mark.every_python
def test_a_run_beside_a_busy_trio_is_the_same_run() -> None:
    """Another thread that runs Trio draws no number of a simulation, in the main thread or in another one."""
    alone = digest()
    with busy_trio():
        assert [digest() for _ in range(2)] == [alone] * 2
        assert [in_thread(digest) for _ in range(2)] == [alone] * 2


def test_a_simulation_in_a_thread_changes_no_number_of_others() -> None:
    """What Trio draws in other threads meanwhile comes from its own generator, which goes on."""
    before = TRIO._r.getstate()
    drawn: list[float] = []

    def draw(_: Request) -> Body:
        drawn.append(in_thread(TRIO._r.random))
        drawn.append(in_thread(lambda: TRIO._r.getrandbits(32)))
        return {"echo": _.body["echo"]}

    def build() -> Node:
        node = Node()
        node.on("echo")(draw)
        return node

    simulate("echo", build, nodes=1, time_limit=0.5)
    assert len(drawn) > 2
    others = Random()
    others.setstate(before)
    assert drawn[:2] == [others.random(), others.getrandbits(32)]


@pytest.mark.slow
@pytest.mark.every_python
async def test_an_async_function_simulates_in_a_thread() -> None:
    """In an async function a simulation is refused; the remedy that the error names works, and is the same run."""
    with pytest.raises(
        RuntimeError,
        match=r"^a simulation starts its own Trio run: call it from a plain function instead of an async one, or in a"
        r" thread, with await trio\.to_thread\.run_sync\(\.\.\.\)$",
    ):
        simulate("echo", echo.build)
    here = await trio.to_thread.run_sync(digest)
    assert here == await trio.to_thread.run_sync(digest)


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize("function", [digest, functools.partial(in_thread, digest)])
def test_asyncio_may_simulate(function: Callable[[], str]) -> None:
    """A simulation in a task of asyncio, or in a thread of its own beside it, is the same as without."""
    alone = digest()

    async def main() -> tuple[str, str]:
        return function(), await asyncio.to_thread(digest)

    # trio-asyncio, which other tests import, makes loops of asyncio that run on Trio.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(main()) == (alone, alone)


def test_a_run_does_not_wait_until_pytest_is_imported() -> None:
    """A process that only simulates imports nothing that is for tests, though pytest is installed."""
    code = (
        "import sys; from trio_messenger.nodes import echo; from trio_messenger.sim import simulate\n"
        "assert simulate('echo', echo.build, time_limit=1).valid\n"
        "print(sorted({'pytest', 'hypothesis', 'trio.testing'} & sys.modules.keys()))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_the_clock_may_be_public_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a release of Trio has its clock in no other place than `trio.testing`, runs are the same."""
    here = digest()
    other = SimpleNamespace(**vars(trio) | {"_core": SimpleNamespace(_run=TRIO)})  # Trio itself needs its own
    monkeypatch.setattr("trio_messenger.sim._determinism.scheduler.trio", other)
    assert digest() == here


def test_two_simulations_at_once_are_refused() -> None:
    """The second one is refused, from whichever thread; the first one is not disturbed, and others may follow it."""
    refused: list[str] = []

    def attempt() -> None:
        with pytest.raises(RuntimeError) as info:
            simulate("echo", echo.build)
        refused.append(f"{info.value}")

    def build() -> Node:
        node = Node()

        @node.on("echo")
        async def answer(request: Request) -> Body:
            if not refused:
                in_thread(attempt)
                attempt()  # in the thread of the simulation itself
            return {"echo": request.body["echo"]}

        return node

    assert simulate("echo", build, nodes=1, time_limit=1).valid is True
    assert refused[0] == (
        "another simulation is running in this process, in thread 'MainThread', and two at once are not"
        " reproducible: run one after the other, or each in its own process, as --seeds and multiprocessing do"
    )
    assert refused[1].startswith("a simulation starts its own Trio run")
    assert simulate("echo", echo.build, time_limit=1).valid is True


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_processes_may_simulate_at_once() -> None:
    """Each process has a Trio of its own, also one that was forked from a process that has simulated."""
    alone = digest()
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        assert list(pool.map(_digest, range(2))) == [alone] * 2


def _digest(_: int) -> str:
    return digest()


@pytest.mark.slow
def test_processes_may_simulate_at_once() -> None:
    """Processes that share nothing make the same run at the same time."""
    imports = "from trio_messenger.nodes import broadcast\nfrom trio_messenger.sim import simulate\n"
    code = f"{imports}{inspect.getsource(digest)}\nprint(digest())"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == [digest()] * 2


def test_a_process_that_is_forked_in_a_simulation_may_simulate() -> None:
    """The simulation that is under way is that of its parent; a fork that leaves Trio makes its own."""
    statuses: list[int] = []

    def build() -> Node:
        if not statuses:
            statuses.append(in_thread(_in_fork))
        return echo.build()

    assert simulate("echo", build, nodes=1, time_limit=1).valid is True
    assert statuses == [0]


def _in_fork() -> int:
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    try:
        warnings.simplefilter("ignore")  # the parent's Trio had set the file descriptor that signals wake up
        valid = simulate("echo", echo.build, nodes=1, time_limit=1).valid
    except BaseException:  # noqa: BLE001 - nothing of pytest may run in here
        os._exit(2)
    os._exit(0 if valid is True else 1)


def test_an_interrupted_or_broken_run_leaves_trio_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch and generator are what they were after each way in which a run ends; see `as_before`."""

    def interrupt() -> Node:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate("echo", interrupt, nodes=1)
    monkeypatch.setattr("trio._core.MockClock", _raise)
    with pytest.raises(RuntimeError):
        simulate("echo", echo.build)
    monkeypatch.undo()
    assert simulate("echo", echo.build, time_limit=1).valid is True


def _raise(**_: object) -> None:
    raise RuntimeError


@pytest.mark.slow
@pytest.mark.every_python
@settings(max_examples=3, deadline=None)
@given(strategies.integers(0, 3))
def test_a_run_in_a_test_of_hypothesis_is_the_same(seed: int) -> None:
    """Hypothesis seeds Trio's generator for each example, and pytest-trio turns the switch on; a run has its own."""
    report = functools.partial(simulate, "broadcast", broadcast.build, nodes=2, time_limit=1, seed=seed)
    assert report().digest == report().digest


def test_a_thread_in_which_no_task_runs_is_in_no_place() -> None:
    """Before Trio runs, and after it, nobody is to blame for what takes long."""
    assert place_in_thread(threading.get_ident()) == ""
