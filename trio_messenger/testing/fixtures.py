"""Fixtures for pytest. To have them, say in ``conftest.py``: ``pytest_plugins = ["trio_messenger.testing.fixtures"]``.

They add two options to pytest: ``--sim-seed N`` runs every simulation with that seed instead of its own, and
``--sim-store DIR`` says where the files of those that fail go, by default into the temporary folder of the test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from trio_messenger.sim import Build, Report, save, simulate

_HELP: Final = {
    "--sim-seed": "run every simulation with this seed",
    "--sim-store": "the folder for the files of simulations that fail (default: the test's temporary folder)",
}


class Simulation(Protocol):
    """What the fixture ``simulation`` is."""

    def __call__(self, workload: str, build: Build, **options: Any) -> Report:
        """Run `~trio_messenger.sim.simulate` with these arguments."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options to pytest."""
    group = parser.getgroup("trio_messenger")
    group.addoption("--sim-seed", type=int, metavar="N", help=_HELP["--sim-seed"])
    group.addoption("--sim-store", type=Path, metavar="DIR", help=_HELP["--sim-store"])


@pytest.fixture
def simulation(request: pytest.FixtureRequest, tmp_path: Path) -> Simulation:
    """`~trio_messenger.sim.simulate`, whose runs leave their files if not valid; the test's report says where."""

    def run(workload: str, build: Build, **options: Any) -> Report:
        seed = request.config.getoption("--sim-seed")
        report = simulate(workload, build, **(options if seed is None else {**options, "seed": seed}))
        if report.valid is not True:
            store = request.config.getoption("--sim-store") or tmp_path / "store"
            folder = save(report, store, f"{request.node.name}-{report.options.seed}")
            request.node.add_report_section("call", "simulation", f"{folder / 'index.html'} shows what happened")
        return report

    return run
