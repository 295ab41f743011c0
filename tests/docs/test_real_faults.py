"""The script that applies a schedule of faults to a real cluster."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.nats_server import PROGRAM, needs_nats_server
from support.page_runner import inherited
from support.paths import DOCS

FOLDER = DOCS / "how-to" / "real-faults"

FAULTS = [
    {"kind": "partition", "links": [["n3", "n1"], ["n1", "n3"]], "at": 0.2, "until": 0.6},
    {"kind": "pause", "nodes": ["n2"], "at": 0.2, "until": 0.4},
    {"kind": "kill", "nodes": ["n3"], "at": 0.3, "until": 0.5},
]


@needs_nats_server
@pytest.mark.slow
def test_faults_happen_to_a_real_cluster(tmp_path: Path) -> None:
    """Each begins and ends, and the test gives its verdict. The schedule of a saved run will do."""
    assert PROGRAM is not None
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "schedule.json").write_text(json.dumps({"options": {"faults": FAULTS}}))
    environment = {**inherited(), "PATH": f"{Path(PROGRAM).parent}:{inherited()['PATH']}"}
    words = ["real_faults.py", "echo", "schedule.json", "-w", "echo", "--time-limit", "1", "--rate", "40"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("echo, 3 nodes, seed 0: valid\n")
    happened = re.findall(r"^(\w+ (?:begins|ends))$", done.stderr, re.MULTILINE)
    assert sorted(happened) == sorted(f"{fault['kind']} {what}" for fault in FAULTS for what in ("begins", "ends"))
