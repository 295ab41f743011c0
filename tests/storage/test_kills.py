"""A process that writes into a store is killed several hundred times, at any instant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from random import Random

import pytest
from support.paths import TESTS

KILLS = 400


@pytest.mark.slow
def test_a_killed_writer_finds_what_it_had_acknowledged(tmp_path: Path) -> None:
    """Each life finds the last number that the one before had synced, or the next one, which it was just writing.

    Kills come after a random time: while the store is opened, in writes, in syncs, and while a new log is renamed. Half
    of the lives are sure to open the store, however slow the machine is.
    """
    random = Random(7)
    acknowledged = longest = opened = 0
    command = [sys.executable, str(TESTS / "support" / "store_writer.py"), str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(KILLS):
            process.stdin.write("\n")
            word, pid = process.stdout.readline().split()
            assert word == "pid"
            told = [process.stdout.readline()] if random.random() < 0.5 else []
            time.sleep(random.choice((0.0, 0.03)) * random.random())
            os.kill(int(pid), signal.SIGKILL)
            before = acknowledged
            for line in chain(told, iter(process.stdout.readline, "gone\n")):
                word, number = line.split()
                if word == "found":
                    assert acknowledged <= int(number) <= acknowledged + 1
                    opened += 1
                acknowledged = int(number)
            longest = max(longest, acknowledged - before)
        process.stdin.close()
    assert process.returncode == 0
    assert opened > KILLS / 4
    assert longest > 1
