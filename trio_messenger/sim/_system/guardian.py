"""The guardian: a process that ends the nodes of a run if the run itself is killed.

Each node that is an executable leads its own session, so nothing ends it when the simulator gets SIGKILL. A node that
does not read its stdin would not even notice. The guardian waits for the simulator to end: its stdin is a pipe whose
other end only the simulator holds. Then it kills

- the process groups that it was told about (``+PID`` when a node starts, ``-PID`` when it has ended);
- every process with the run's mark in its environment. All processes that a node starts inherit the mark, daemons too.
  So the guardian also finds a node that was started before the guardian was told. This needs Linux' ``/proc``.

The simulator starts it by the path of this file. It imports nothing from the package, to start fast and stay small.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, final

VARIABLE: Final = "TRIO_MESSENGER_NODE"
"""The environment variable that marks the processes of a node: the run's token, a slash, and the node's id."""

_PROC: Final = Path("/proc")

_SECONDS: Final = 5.0
"""Seconds to wait until killed processes are gone. After that they are given up; a process that waits for a broken
disk, for example, cannot be killed."""

_PAUSE: Final = 0.02
"""Seconds between two searches for remaining processes."""


def marked(token: str) -> dict[int, str]:
    """Return the ids of all processes with the mark of the run *token*, each with the id of its node.

    Processes that have ended, and processes of other users, are not included.
    """
    mark = f"{VARIABLE}={token}/".encode()
    found = {}
    for path in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # the process has just ended, or belongs to another user
            for variable in (path / "environ").read_bytes().split(b"\0"):
                if variable.startswith(mark):
                    found[int(path.name)] = variable.removeprefix(mark).decode()
    return found


def kill_marked(token: str) -> dict[int, tuple[str, str]]:
    """Kill all processes with the mark of the run *token*, and wait until they are gone.

    Returns:
      For the id of each killed process, the id of its node and its command line.
    """
    killed: dict[int, tuple[str, str]] = {}
    give_up_at = time.monotonic() + _SECONDS
    while (found := marked(token)) and time.monotonic() < give_up_at:
        for pid, node_id in found.items():
            killed.setdefault(pid, (node_id, _command_line(pid)))
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE)  # a process may have started another one in the meantime
    return killed


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = (_PROC / f"{pid}" / "cmdline").read_bytes().decode(errors="replace").split("\0")
        return " ".join(words).strip()
    return ""


@final
class Guardian:
    """The run's handle of its guardian.

    Args:
      token: The token of the run, which is part of its mark.
      process: The guardian process.
    """

    def __init__(self, token: str, process: subprocess.Popen[bytes]) -> None:
        self._token = token
        self._process = process

    def environment(self, node_id: str) -> Mapping[str, str]:
        """Return the environment for the processes of a node: the environment of this process plus the mark."""
        return {**os.environ, VARIABLE: f"{self._token}/{node_id}"}

    def note_start(self, pid: int) -> None:
        """Tell the guardian that process *pid*, the leader of a group, has started."""
        self._tell(f"+{pid}\n")

    def note_end(self, pid: int) -> None:
        """Tell the guardian that process *pid* has ended, because another process may soon get this id."""
        self._tell(f"-{pid}\n")

    def end_daemons(self) -> list[str]:
        """Kill the processes that are left after all nodes were killed; return a line for each of them."""
        return [
            f"node {node_id!r} left process {pid} running outside of its process group, as daemons do; it was killed:"
            f" {command or 'its command line is unknown'}"
            for pid, (node_id, command) in kill_marked(self._token).items()
        ]

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError):  # if somebody killed the guardian, the run continues without it
            assert self._process.stdin is not None
            os.write(self._process.stdin.fileno(), line.encode())


@contextlib.contextmanager
def guarded(folder: Path) -> Iterator[Guardian]:
    """While inside, guard the nodes of a run.

    Args:
      folder: The folder that the nodes run in. The guardian removes it if this process cannot.

    Raises:
      OSError: if the guardian cannot be started.
    """
    token = secrets.token_hex(8)
    with subprocess.Popen(
        [sys.executable, "-I", __file__, token, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # an inherited stderr would stay open as long as the guardian runs
        start_new_session=True,  # keeps the terminal's Ctrl-C from it
    ) as process:
        yield Guardian(token, process)  # leaving the Popen context closes its stdin and waits for it


# Code of the guardian process


def guard(lines: Iterable[bytes], token: str, folder: str) -> None:
    """Read *lines* until the process that writes them has ended; then kill all that is left, and remove *folder*."""
    groups: set[int] = set()
    for line in lines:
        pid = int(line[1:])
        (groups.add if line.startswith(b"+") else groups.discard)(pid)
    for pid in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    kill_marked(token)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    guard(sys.stdin.buffer, *sys.argv[1:])
