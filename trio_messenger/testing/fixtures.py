"""Fixtures for pytest. To use them: ``pytest_plugins = ["trio_messenger.testing.fixtures"]`` in ``conftest.py``.

They add two options to pytest. ``--sim-seed N`` runs every simulation with that seed instead of its own.
``--sim-store DIR`` sets the folder for the files of failed simulations; the default is the test's temporary folder.
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
    """The type of the fixture ``simulation``.

    Example:
      A test takes the fixture as its argument. Here it gets `simulate <trio_messenger.sim.simulate>` instead:

      >>> def test_broadcast(simulation: Simulation) -> None:
      ...     report = simulation("broadcast", broadcast.build, nodes=2, time_limit=2, nemesis=["loss"])
      ...     report.assert_valid()
      >>> test_broadcast(simulate)
    """

    def __call__(self, workload: str, build: Build, **options: Any) -> Report:
        """Run `~trio_messenger.sim.simulate` with these arguments."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options to pytest."""
    group = parser.getgroup("trio_messenger")
    group.addoption("--sim-seed", type=int, metavar="N", help=_HELP["--sim-seed"])
    group.addoption("--sim-store", type=Path, metavar="DIR", help=_HELP["--sim-store"])


@pytest.fixture
def simulation(request: pytest.FixtureRequest, tmp_path: Path) -> Simulation:
    """Run `~trio_messenger.sim.simulate`. If a run is not valid, save its files; the test's report says where."""

    def run(workload: str, build: Build, **options: Any) -> Report:
        seed = request.config.getoption("--sim-seed")
        report = simulate(workload, build, **(options if seed is None else {**options, "seed": seed}))
        if report.valid is not True:
            store = request.config.getoption("--sim-store") or tmp_path / "store"
            folder = save(report, store, f"{request.node.name}-{report.options.seed}")
            request.node.add_report_section("call", "simulation", f"{folder / 'index.html'} shows what happened")
        return report

    return run
