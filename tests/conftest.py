"""What pytest itself needs here."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator
from typing import Any

import pytest


def pytest_configure() -> None:
    """Let signals end the processes that tests start, though whatever started the tests ignores some.

    ``nohup`` does so, and a shell for what it runs in the background; processes inherit it.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Exclude all modules and the collected tests from the collection of garbage.

    Many tests call `gc.collect`, which would otherwise take a third of a second each time.
    """
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test that is marked ``unmeasured`` without coverage, in this process and in those that it starts.

    A test that repeats the same work many times takes three times as long under coverage. Fixtures are measured, since
    that of a whole module serves other tests as well, and is set up by whichever comes first.
    """
    coverage: Any = sys.modules.get("coverage")
    measurement = coverage.Coverage.current() if coverage is not None else None
    if measurement is None or item.get_closest_marker("unmeasured") is None:
        return (yield)
    configuration = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_PROCESS_")}
    measurement.stop()
    try:
        return (yield)
    finally:
        measurement.start()
        os.environ.update(configuration)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let what a test logged travel: processes of pytest-xdist cannot tell each other of half characters."""
    report = yield
    report.sections = [(title, text.encode(errors="replace").decode()) for title, text in report.sections]
    return report
