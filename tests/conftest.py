"""What pytest itself needs here."""

from __future__ import annotations

import gc
import signal
from collections.abc import Generator

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
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let what a test logged travel: processes of pytest-xdist cannot tell each other of half characters."""
    report = yield
    report.sections = [(title, text.encode(errors="replace").decode()) for title, text in report.sections]
    return report
