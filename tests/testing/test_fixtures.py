"""The fixtures for pytest: a simulation that fails leaves its files, and says where."""

from __future__ import annotations

import sys
from pathlib import Path

from support.processes import run

CONFTEST = 'pytest_plugins = ["trio_messenger.testing.fixtures"]\n'

TESTS = """
from trio_messenger import Node
from trio_messenger.nodes import echo

def mute():
    node = Node()
    node.on("echo")(lambda: None)
    return node

def test_good(simulation):
    report = simulation("echo", echo.build, seed=3, time_limit=5)
    print("seed", report.options.seed)
    report.assert_valid()

def test_bad(simulation):
    simulation("echo", mute, seed=3, time_limit=5).assert_valid()
"""


async def pytest_in(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest on the tests above in an empty *folder*; return its status and output."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(TESTS)
    status, output, errors = await run(
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *arguments, cwd=folder
    )
    assert "Traceback" not in errors
    return status, output.decode()


async def test_failed_simulations_leave_their_files(tmp_path: Path) -> None:
    """Only the run that failed is stored, where the option says, and the test's report says so."""
    status, output = await pytest_in(tmp_path, "--sim-store", "kept")
    assert status == 1
    assert "1 failed, 1 passed" in output
    assert "seed 3" in output
    assert f"{Path('kept', 'echo', 'test_bad-3', 'index.html')} shows what happened" in output
    assert [path.name for path in (tmp_path / "kept" / "echo").iterdir() if not path.is_symlink()] == ["test_bad-3"]


async def test_the_seed_can_be_given(tmp_path: Path) -> None:
    """``--sim-seed`` is for all simulations, and files go into the test's own folder by default."""
    _, output = await pytest_in(tmp_path, "--sim-seed", "99", "--basetemp", str(tmp_path / "temporary"))
    assert "seed 99" in output
    assert f"{tmp_path / 'temporary' / 'test_bad0' / 'store' / 'echo' / 'test_bad-99' / 'index.html'} shows" in output
