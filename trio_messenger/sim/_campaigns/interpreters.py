"""Fresh interpreters: child processes that make runs, one after another, as they are asked to.

Not those of `multiprocessing`, which import the program that started them once more, are interrupted along with it,
and cannot be given a hash seed of their own. Requests go to a child's stdin as pickles, and results come from its
stdout, a line of JSON for each.

A child dies with its parent, however that ended: a thread of it reads stdin, and the end of stdin is its SIGTERM. A
run of executables takes that as it does one from outside, and ends its nodes first.
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
from os import environ  # what touches descriptors stays out of here
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, final

import attrs
import msgspec
import trio

from .._checkers import Valid
from .._cluster.cluster import SetUpError
from .._judging.report import Report
from .._runs.options import Options
from .._system.descriptors import Forgiving, take_descriptor_0, take_descriptor_1

MakeRun: TypeAlias = Callable[[Options, tuple[str, ...]], Report]
"""Makes a run of what the arguments name, such as ``("--node", "broadcast")``. A function at the top of a module: a
child imports it by its name."""

GRACE: Final = 5.0
"""Seconds in which a child that is no longer needed ends of itself; it takes as long if it is just starting."""

_CHUNK: Final = 65536
"""Bytes of results that are read at a time."""

_BOOTSTRAP: Final = (
    "import sys; sys.path[:] = {path!r}; from trio_messenger.sim._campaigns.interpreters import main; main()"
)
"""What a child executes. Its path is set first, so that it imports what its parent has."""


@final
@attrs.frozen(kw_only=True)
class SeedResult:
    """What came of the run of one seed."""

    seed: int
    """The seed."""
    valid: Valid | None
    """The verdict; None if there was none: see `error`."""
    reasons: tuple[str, ...] = ()
    """Why it is not valid, a line for each reason."""
    warnings: tuple[str, ...] = ()
    """What makes the verdict say less than it seems to, a line for each."""
    digest: str | None = None
    """That of the journal."""
    command: str | None = None
    """The command that makes the run again; None if no command line can."""
    seconds: float = 0.0
    """How long it took, by the clock of the machine."""
    error: str | None = None
    """Why there is no verdict: a node that did not come up, or the traceback of what went wrong in the simulator."""


_Request: TypeAlias = tuple[int, bytes]
"""A seed and a pickled `_Job`: one that cannot be unpickled in the child is then told as what became of the seed."""


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
        """Whether it takes requests: False once it has ended, of itself or by a request that was cancelled."""
        self._process = process
        self._received = bytearray()

    async def make(
        self, make_run: MakeRun, options: Options, node: Sequence[str], journal: Path | None = None
    ) -> SeedResult:
        """Let the child make a run, and return what came of it.

        Args:
          make_run: Makes it.
          options: What to run.
          node: What *make_run* is told to test.
          journal: Where to write the journal, if anywhere.

        If cancelled, the child is good for nothing more. That it ended of itself is told in the result.
        """
        self.is_alive = False  # until the whole result is there
        begun = time.perf_counter()
        request: _Request = options.seed, pickle.dumps(_Job(make_run, options, tuple(node), journal))
        with contextlib.suppress(trio.BrokenResourceError):
            await _pipe(self._process.stdin).send_all(pickle.dumps(request))
        line = await self._receive_line()
        if line is None:
            status = await self._process.wait()
            error = f"the process that made the run ended with status {status}; what it said is on stderr"
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
    """Start a child process; on exit it is ended, and is gone when that is done.

    Args:
      hash_seed: Its ``PYTHONHASHSEED``; by default it has its parent's, if that has any, else one by chance.
    """
    env = None if hash_seed is None else {**environ, "PYTHONHASHSEED": str(hash_seed)}
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", _BOOTSTRAP.format(path=sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the parent
        env=env,
    )
    try:
        yield Interpreter(process)
    finally:
        with trio.CancelScope(shield=True):
            await _end(process)


async def _end(process: trio.Process) -> None:
    await _pipe(process.stdin).aclose()
    with trio.move_on_after(GRACE):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await _pipe(process.stdout).aclose()


def _pipe(stream: Any) -> Any:
    assert stream is not None  # all that are used were asked for
    return stream


# In the child


def main() -> None:
    """Serve requests from stdin until it ends; what a child process does."""
    # What nodes and what they start read and write on the standard descriptors must not touch requests and results.
    requests = open(take_descriptor_0(), "rb")  # noqa: SIM115 - whoever reads it closes it
    sys.stdout = sys.stderr = Forgiving(sys.stderr)
    with contextlib.suppress(BrokenPipeError), open(take_descriptor_1(), "wb") as results:
        serve(requests, results)


def serve(requests: BinaryIO, results: BinaryIO) -> None:
    """Make the runs that *requests* ask for, and write what came of each, until there are no more, or nobody reads."""
    waiting: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, waiting), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        while (request := waiting.get()) is not None:
            results.write(json.dumps(attrs.asdict(_make(request))).encode() + b"\n")  # any text and any number
            results.flush()


def _read(requests: BinaryIO, waiting: queue.SimpleQueue[_Request | None]) -> None:
    # Truncated: the parent has died, or was interrupted, in the midst of a request.
    with requests, contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
            waiting.put(pickle.load(requests))
    waiting.put(None)
    signal.raise_signal(signal.SIGTERM)


def _make(request: _Request) -> SeedResult:
    seed, job = request
    begun = time.perf_counter()
    try:
        report = _run(pickle.loads(job))
    except BaseException as exc:  # noqa: BLE001 - whatever it is, the parent tells it
        error = str(exc) if isinstance(exc, SetUpError) else traceback.format_exc()
        return SeedResult(seed=seed, valid=None, error=error, seconds=time.perf_counter() - begun)
    return SeedResult(
        seed=seed,
        valid=report.valid,
        reasons=tuple(report.reasons()),
        warnings=tuple(report.warnings()),
        digest=report.digest,
        command=report.command,
        seconds=time.perf_counter() - begun,
    )


def _run(job: _Job) -> Report:
    report = job.make_run(job.options, job.node)
    if job.journal is not None:
        report.journal.save(job.journal)
    return report
