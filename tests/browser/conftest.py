"""Pages in a real browser: `nox -s browser` runs these tests. Where Playwright is not installed, they are left out."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from support.chromium import FLAGS, Store, find_chromium
from support.wrong_nodes.broadcast import relays_nothing

from trio_messenger.nodes import broadcast, echo
from trio_messenger.sim import save, simulate
from trio_messenger.sim.pictures import LIMIT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - not everybody has it

    executable = find_chromium()
    if executable is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of three runs, and one that cannot be read."""
    path = tmp_path_factory.mktemp("store")
    long = simulate("broadcast", broadcast.build, nodes=5, rate=250, time_limit=20, latency=5, nemesis=["partition"])
    assert sum(entry.event == "send" for entry in long.journal) >= LIMIT
    damaged = save(long, path, "damaged")
    (damaged / "schedule.json").write_text("{")
    folders = [
        save(simulate("echo", echo.build, nodes=1, time_limit=2, rate=4), path, "short"),
        save(simulate("broadcast", relays_nothing, nodes=3, time_limit=2, rate=2, topology="line"), path, "failing"),
        save(long, path, "long"),
    ]
    return Store(path, *(folder / "index.html" for folder in folders))
