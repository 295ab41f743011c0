"""Nodes in network namespaces, as on separate machines: the script of the page."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.machines import why_not
from support.nats_server import PROGRAM
from support.page_runner import inherited
from support.paths import DOCS

SERVERS = "nats://10.99.0.1:4222,nats://10.99.0.2:4222,nats://10.99.0.3:4222"


@pytest.mark.slow
def test_nodes_on_three_machines(tmp_path: Path) -> None:
    """They answer; a machine that is cut off does not, and does when it is connected again."""
    reason = "nats-server is not installed" if PROGRAM is None else why_not()
    if reason is not None:
        pytest.skip(reason)
    shutil.copy(DOCS / "how-to" / "namespaces" / "machines.sh", tmp_path)
    here = Path(sys.executable).parent
    environment = {**inherited(), "PATH": f"{here}:{Path(str(PROGRAM)).parent}:{inherited()['PATH']}"}

    def machines(*words: str) -> None:
        subprocess.run(
            ["sh", "machines.sh", *words], cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL
        )

    def ask(node_id: str, seconds: int) -> bool:
        """Return whether a node replies."""
        words = ["call", "--nats", SERVERS, "--cluster", "demo", "--timeout", f"{seconds}", node_id]
        command = [sys.executable, "-m", "trio_messenger", *words, json.dumps({"type": "echo", "echo": 1})]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0

    machines("up")
    try:
        machines("start", "echo")
        assert any(ask("n1", 1) for _ in range(30))
        assert any(ask("n3", 1) for _ in range(30))
        machines("cut", "3")
        assert not ask("n3", 1)
        machines("join", "3")
        assert any(ask("n3", 2) for _ in range(30))
    finally:
        machines("down")
