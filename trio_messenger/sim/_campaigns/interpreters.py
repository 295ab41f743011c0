"""New interpreters: child processes that make runs on request, one after another.

The processes of `multiprocessing` do not fit: they import the main program again, they are interrupted along with it,
and they cannot have different hash seeds. Requests go to a child's stdin as pickles. Results come from its stdout,
one line of JSON each.

A child ends with its parent, whatever ended the parent: a thread in the child reads stdin, and at the end of stdin it
raises SIGTERM. A run of executables handles that like a SIGTERM from outside, and ends its nodes first.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from os import environ, times  # a test allows `import os` only in modules that touch descriptors
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, final

import attrs
import msgspec
import trio

from .._checkers import Valid
from .._cluster.cluster import SetUpError
from .._invariants.assertion_log import ASSERTION_KINDS
from .._judging.report import Report, searched
from .._runs.options import Options
from .._system.standard_streams import Forgiving, take_descriptor_0, take_descriptor_1
from .._workloads import WorkloadError

MakeRun: TypeAlias = Callable[[Options, tuple[str, ...]], Report]
"""Makes a run of the node that the arguments name, such as ``("--node", "broadcast")``. It must be a top-level function
of a module: a child imports it by its name."""

INTERPRETER_GRACE: Final = 5.0
"""Seconds that a child gets to end by itself before it is killed; a child that is still starting needs them."""

_CHUNK: Final = 65536
"""Bytes of results read at a time."""

_BOOTSTRAP: Final = (
    "import sys; sys.path[:] = {path!r}; from trio_messenger.sim._campaigns.interpreters import main; main()"
)
"""The program of a child. It sets the path first, so that the child imports the same modules as its parent."""


@final
@attrs.frozen(kw_only=True)
class SeedResult:
    """The outcome of the run with one seed."""

    seed: int
    """The seed."""
    valid: Valid | None
    """The verdict; None if there is none (see `error`)."""
    reasons: tuple[str, ...] = ()
    """Why the run is not valid, one line for each reason."""
    warnings: tuple[str, ...] = ()
    """Limits of what the verdict proves, one line for each."""
    checks: dict[str, int] = attrs.field(factory=dict)
    """How often each invariant was checked, by its name."""
    assertions: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    """How often the nodes came to each assertion, such as ``sometimes('elected twice')``, and how often its condition
    was true."""
    drawn: tuple[str, ...] = ()
    """What a search drew, beginning with the name of the strategy; empty if the search is uniform."""
    digest: str | None = None
    """The digest of the journal."""
    command: str | None = None
    """The command that makes the run again; None if no command line can."""
    seconds: float = 0.0
    """How long the run took, in real time."""
    cpu_seconds: float = 0.0
    """The CPU time of the run, including that of executables."""
    error: str | None = None
    """Why there is no verdict: a node did not start, or the traceback of an error in the simulator."""


_Request: TypeAlias = tuple[int, bytes]
"""A seed and a pickled `_Job`. If the child cannot unpickle the job, it still knows the seed and reports the error as
the seed's result."""


@final
@attrs.frozen
class _Job:
    make_run: MakeRun
    options: Options
    node: tuple[str, ...]
    journal: Path | None


@final
class Interpreter:
    """A child process; see `open_interpreter`."""

    def __init__(self, process: trio.Process) -> None:
        self.is_alive: bool = True
        """Whether it takes requests: False once the process has ended or a request was cancelled."""
        self._process = process
        self._received = bytearray()

    async def make(
        self, make_run: MakeRun, options: Options, node: Sequence[str], journal: Path | None = None
    ) -> SeedResult:
        """Let the child make a run, and return its outcome.

        Args:
          make_run: Makes the run.
          options: What to run.
          node: The command-line arguments that name the node under test.
          journal: The file to write the journal to; None for no file.

        If this is cancelled, the child cannot be used again. If the child ends by itself, the result says so.
        """
        self.is_alive = False  # until the whole result has arrived
        begun = time.perf_counter()
        request: _Request = options.seed, pickle.dumps(_Job(make_run, options, tuple(node), journal))
        with contextlib.suppress(trio.BrokenResourceError):
            await _pipe(self._process.stdin).send_all(pickle.dumps(request))
        line = await self._receive_line()
        if line is None:
            status = await self._process.wait()
            error = f"the process that made the run ended with status {status}; its output is on stderr"
            return SeedResult(seed=options.seed, valid=None, error=error, seconds=time.perf_counter() - begun)
        self.is_alive = True
        return msgspec.convert(json.loads(line), SeedResult)

    async def _receive_line(self) -> bytes | None:
        stdout = _pipe(self._process.stdout)
        while b"\n" not in self._received:
            chunk = await stdout.receive_some(_CHUNK)
            if not chunk:
                return None
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return bytes(line)


@contextlib.asynccontextmanager
async def open_interpreter(*, hash_seed: int | None = None) -> AsyncIterator[Interpreter]:
    """Start a child process; on exit, end it and wait until it has ended.

    Args:
      hash_seed: Its ``PYTHONHASHSEED``; by default the parent's, or a random one if the parent has none.
    """
    env = None if hash_seed is None else {**environ, "PYTHONHASHSEED": str(hash_seed)}
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", _BOOTSTRAP.format(path=sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C interrupts only the parent
        env=env,
    )
    try:
        yield Interpreter(process)
    finally:
        with trio.CancelScope(shield=True):
            await _end(process)


async def _end(process: trio.Process) -> None:
    await _pipe(process.stdin).aclose()
    with trio.move_on_after(INTERPRETER_GRACE):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await _pipe(process.stdout).aclose()


def _pipe(stream: Any) -> Any:
    assert stream is not None  # open_interpreter opened pipes for stdin and stdout
    return stream


# In the child


def main() -> None:
    """Serve requests from stdin until it ends; the main function of a child process."""
    # Nodes and the processes they start may use the standard descriptors; they must not touch requests and results.
    requests = open(take_descriptor_0(), "rb")  # noqa: SIM115 - its reader closes it
    sys.stdout = sys.stderr = Forgiving(sys.stderr)
    with contextlib.suppress(BrokenPipeError), open(take_descriptor_1(), "wb") as results:
        serve(requests, results)


def serve(requests: BinaryIO, results: BinaryIO) -> None:
    """Make the runs that *requests* ask for, and write their outcomes, until *requests* ends or *results* is broken."""
    waiting: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, waiting), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        while (request := waiting.get()) is not None:
            results.write(json.dumps(attrs.asdict(_make(request))).encode() + b"\n")  # json takes any text and number
            results.flush()


def _read(requests: BinaryIO, waiting: queue.SimpleQueue[_Request | None]) -> None:
    # A truncated request: the parent died, or was interrupted, while it wrote.
    with requests, contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
            waiting.put(pickle.load(requests))
    waiting.put(None)
    signal.raise_signal(signal.SIGTERM)


def _make(request: _Request) -> SeedResult:
    begun, used = time.perf_counter(), _cpu_seconds()
    result = _outcome(request)
    return attrs.evolve(result, seconds=time.perf_counter() - begun, cpu_seconds=_cpu_seconds() - used)


def _cpu_seconds() -> float:
    """Return the CPU time of this process so far, and of the processes that it started and that have ended."""
    ended = times()
    return time.process_time() + ended.children_user + ended.children_system


def _outcome(request: _Request) -> SeedResult:
    seed, job = request
    try:
        report = _run(pickle.loads(job))
    except BaseException as exc:  # noqa: BLE001 - the parent reports it
        error = str(exc) if isinstance(exc, (SetUpError, WorkloadError)) else traceback.format_exc()
        return SeedResult(seed=seed, valid=None, error=error)
    results = report.results
    return SeedResult(
        seed=seed,
        valid=report.valid,
        reasons=tuple(report.reasons()),
        warnings=tuple(report.warnings()),
        checks={name: each["checks"] for name, each in results.get("invariants", {}).get("by-name", {}).items()},
        assertions={
            f"{kind}({message!r})": (each["calls"], each["held"])
            for kind in ASSERTION_KINDS
            for message, each in results.get("assertions", {}).get(kind, {}).items()
        },
        drawn=tuple(searched(results)),
        digest=report.digest,
        command=report.command,
    )


def _run(job: _Job) -> Report:
    report = job.make_run(job.options, job.node)
    if job.journal is not None:
        report.journal.save(job.journal)
    return report
