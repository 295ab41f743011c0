"""The short form of the soak; `nox -s soak` runs the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")

LIMIT = 300
"""Seconds that it never takes: requests come for 10, and a slow machine needs a while to answer the last of them."""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc")
def test_node_serves_a_mixed_load_without_losing_count_or_growing() -> None:
    """Amid losses, rubbish and a reader that stalls, all requests are answered once, and counters and memory hold."""
    command = (sys.executable, SOAK, "--seconds", "10", "--seed", "1")
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
