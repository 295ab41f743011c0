"""The guardian: a process that ends the nodes of a run if the run itself is killed and cannot do it.

Nodes that are executables lead sessions of their own, so nothing ends them when the process that runs them gets
SIGKILL; and one that does not read its stdin would never notice. The guardian waits for that process to end: its stdin
is a pipe to it that nobody else holds. Then it kills

- the process groups that it was told of (``+PID`` when a node starts, ``-PID`` when it has ended);
- every process with the run's mark in its environment, which all inherit that a node starts, daemons too. So a node
  that was started and not told of yet is found as well. This needs Linux' ``/proc``.

It is started by the path of this file and imports nothing of the package, so that it starts fast and stays small.
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
"""Seconds in which what was killed is gone, or is given up, such as a process that waits for a broken disk."""

_PAUSE: Final = 0.02
"""Seconds between two looks at what is left."""


def marked(token: str) -> dict[int, str]:
    """Return the ids of all processes with the mark of the run *token*, each with the id of the node that it is of.

    Those that have ended are not there, nor are those of other users.
    """
    mark = f"{VARIABLE}={token}/".encode()
    found = {}
    for path in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended, or is none of ours
            for variable in (path / "environ").read_bytes().split(b"\0"):
                if variable.startswith(mark):
                    found[int(path.name)] = variable.removeprefix(mark).decode()
    return found


def kill_marked(token: str) -> dict[int, tuple[str, str]]:
    """Kill all processes with the mark of the run *token*, and wait until they are gone.

    Returns:
      What was there: for each id of a process the id of its node, and its command line.
    """
    killed: dict[int, tuple[str, str]] = {}
    give_up_at = time.monotonic() + _SECONDS
    while (found := marked(token)) and time.monotonic() < give_up_at:
        for pid, node_id in found.items():
            killed.setdefault(pid, (node_id, _command_line(pid)))
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE)  # one that was starting another one may have done it by now
    return killed


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = (_PROC / f"{pid}" / "cmdline").read_bytes().decode(errors="replace").split("\0")
        return " ".join(words).strip()
    return ""


@final
class Guardian:
    """The guardian of one run, as that sees it.

    Args:
      token: The run's.
      process: The guardian.
    """

    def __init__(self, token: str, process: subprocess.Popen[bytes]) -> None:
        self._token = token
        self._process = process

    def environment(self, node_id: str) -> Mapping[str, str]:
        """Return the environment for the processes of a node: that of this process, and the mark."""
        return {**os.environ, VARIABLE: f"{self._token}/{node_id}"}

    def note_start(self, pid: int) -> None:
        """Take note of a process that leads a group."""
        self._tell(f"+{pid}\n")

    def note_end(self, pid: int) -> None:
        """Take note that it has ended, so that its number may be another's soon."""
        self._tell(f"-{pid}\n")

    def end_daemons(self) -> list[str]:
        """Kill what is left though all nodes have been killed, and return a line for each process."""
        return [
            f"node {node_id!r} left process {pid} running outside of its process group, as daemons do; it was killed:"
            f" {command or 'its command line is not known'}"
            for pid, (node_id, command) in kill_marked(self._token).items()
        ]

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError):  # somebody has killed the guardian: the run goes on without
            assert self._process.stdin is not None
            os.write(self._process.stdin.fileno(), line.encode())


@contextlib.contextmanager
def guarded(folder: Path) -> Iterator[Guardian]:
    """While inside, guard the nodes of a run.

    Args:
      folder: Where they run, which the guardian removes if this process cannot.

    Raises:
      OSError: if no process can be started.
    """
    token = secrets.token_hex(8)
    with subprocess.Popen(
        [sys.executable, "-I", __file__, token, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # or it would keep open whatever this process has
        start_new_session=True,  # Ctrl-C is not for it
    ) as process:
        yield Guardian(token, process)  # leaving closes its stdin, and waits for it


# In the guardian


def guard(lines: Iterable[bytes], token: str, folder: str) -> None:
    """Read *lines* until the process that writes them has ended; then kill what is left, and remove *folder*."""
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
