"""The subject of a test: nodes in this process, in virtual time, or, in real time, executables or nodes elsewhere."""

from __future__ import annotations

import contextlib
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Final, TypeAlias, final

import trio

from ..nodes import NODES
from ..sim._for_cli import (
    AIMED,
    MIX,
    REAL_TIME_INIT_SPREAD,
    FaultSearch,
    Invariant,
    MakeHost,
    Options,
    Report,
    Run,
    check_elsewhere,
    check_executable,
    check_faults,
    make_report,
    run_elsewhere,
    run_executables,
    run_simulation,
)
from .arguments import in_typed_words
from .ending import Crash
from .finding import NoSuchNodeError, find_build
from .finding_invariants import find_invariants
from .nats_options import from_nats_words, open_transport
from .parsing import UsageError

Watch: TypeAlias = Callable[[Run], object]
"""Observes a run in progress; see `Run`."""

EchoLog: TypeAlias = Callable[[str, str], object]
"""Takes the id of a node and a line that it logged."""

RECOMMENDED: Final[Mapping[str, str]] = {"lin-kv": "raft"}
"""The ready-made nodes that are tested without ``--node``, for workloads without a node of their own name."""


class Subject(ABC):
    """The subject of a test.

    Args:
      name: The words that name it on the command line.
    """

    is_virtual: ClassVar[bool]
    """True if it runs in virtual time, so that the same seed gives the same run."""

    def __init__(self, name: Sequence[str]) -> None:
        self.name: Final = tuple(name)
        """The words that name it on the command line."""

    @abstractmethod
    def check(self, options: Options) -> None:
        """Raise `UsageError` if this cannot run with *options*."""

    @abstractmethod
    def run(self, options: Options, watch: Watch = lambda _: None, echo_log: EchoLog | None = None) -> Report:
        """Run it, and judge the run. Raises `SetUpError` if a node does not come up."""


@final
class NodesHere(Subject):
    """Nodes in this process: *name* is ``("--node", NAME)``."""

    is_virtual = True

    def __init__(self, name: Sequence[str]) -> None:
        super().__init__(name)
        with _importing(name[1]):
            self.build: Final = find_build(name[1])

    def check(self, options: Options) -> None:
        """See `Subject.check`. Nodes in this process run with all options, if there are such invariants."""
        self._invariants(options)

    def run(self, options: Options, watch: Watch = lambda _: None, echo_log: EchoLog | None = None) -> Report:
        """See `Subject.run`."""
        invariants = self._invariants(options)
        return run_simulation(
            options, self.build, invariants=invariants, node=self.name, watch=watch, echo_log=echo_log
        )

    def _invariants(self, options: Options) -> list[Invariant]:
        with _importing(f"the invariants {', '.join(options.invariants)}"):
            return find_invariants(options.invariants)


@final
class Executables(Subject):
    """Processes: *name* is ``("--bin", FILE)``; if there are arguments, ``"--"`` and the arguments follow."""

    is_virtual = False

    def __init__(self, name: Sequence[str]) -> None:
        super().__init__(name)
        try:
            self._command: Final = (str(check_executable(name[1])), *name[3:])
        except ValueError as exc:
            raise UsageError(f"--bin: {exc}") from None

    def check(self, options: Options) -> None:
        """See `Subject.check`."""
        if options.invariants:
            raise UsageError(
                "--invariant is for nodes in this process: it looks at their objects, and an executable shows none;"
                " name a node with --node, or leave it out"
            )
        search = options.search.strategy
        if search in (AIMED, MIX):
            raise UsageError(
                f"--search {search} makes a run without faults and repeats it with a fault at one of its events;"
                " executables run in real time, which cannot be repeated: search with swarm or swizzle"
            )
        try:
            check_faults((*options.faults, *options.with_schedule(search=FaultSearch()).faults))
        except ValueError as exc:
            raise UsageError(f"{exc}") from None

    def run(self, options: Options, watch: Watch = lambda _: None, echo_log: EchoLog | None = None) -> Report:
        """See `Subject.run`. When this returns or raises, no process and no temporary folder is left."""

        def make_run(make_host: MakeHost) -> Run:
            return Run(options, make_host, watch=watch, echo_log=echo_log, spread=REAL_TIME_INIT_SPREAD)

        return make_report(run_executables(self._command, make_run, options.busy_limit), self.name)


@final
class NodesOnNats(Subject):
    """Nodes that run elsewhere, and are connected to NATS: *name* has the words of `nats_words`, with ``--id``."""

    is_virtual = False

    def __init__(self, name: Sequence[str]) -> None:
        super().__init__(name)
        arguments = from_nats_words(name, "id")
        self._id: Final[str] = arguments.id or "c1"
        self._opened: Final = open_transport(arguments, self._id, [self._id])

    def check(self, options: Options) -> None:
        """See `Subject.check`."""
        if self._id in options.nodes:
            raise UsageError(f"--id {self._id!r:.80} is the id of a node; give the clients another one")
        try:
            check_elsewhere(options)
        except ValueError as exc:
            raise in_typed_words(exc) from None

    def run(self, options: Options, watch: Watch = lambda _: None, echo_log: EchoLog | None = None) -> Report:  # noqa: ARG002 - the nodes log elsewhere
        """See `Subject.run`. It can run once. The nodes go on when this returns or raises."""

        def make_run(make_host: MakeHost) -> Run:
            return Run(options, make_host, watch=watch, must_be_fresh=True)

        try:
            return make_report(run_elsewhere(self._opened, self._id, make_run), self.name)
        except trio.BrokenResourceError as exc:
            raise Crash(f"{exc}") from None


_SUBJECTS: Final[Mapping[str, type[Subject]]] = {"--node": NodesHere, "--bin": Executables, "--nats": NodesOnNats}


def find_subject(name: Sequence[str]) -> Subject:
    """Return the subject that *name* names: ``--node NAME``, ``--bin FILE -- ARGS``, or ``--nats URL`` and more.

    Raises:
      UsageError: if there is no such subject.
      Crash: if a node in this process cannot be made.
    """
    return _SUBJECTS[name[0]](name)


def name_of_subject(workload: str, node: str | None, executable: str | None, rest: Sequence[str]) -> tuple[str, ...]:
    """Return the name of the subject, given the options of the command line.

    Raises:
      UsageError: if the options contradict each other.
    """
    if node is not None and executable is not None:
        raise UsageError("--node is for nodes in this process, --bin for executables; give one of them")
    if executable is not None:
        return ("--bin", executable, "--", *rest) if rest else ("--bin", executable)
    if rest:
        raise UsageError(f"{rest[0]!r} after -- is an argument for the executable of --bin; give --bin or leave it out")
    recommended = RECOMMENDED.get(workload, workload)
    if node is None and recommended not in NODES:
        raise UsageError(f"there is no ready-made node for {workload!r}; give your own with --node or --bin")
    return ("--node", recommended if node is None else node)


@contextlib.contextmanager
def _importing(name: str) -> Iterator[None]:
    """Turn the exceptions of the module that *name* names, and of the search for it, into errors of the command."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the module may print; stdout is for results only
            yield
    except NoSuchNodeError as exc:
        raise UsageError(f"{exc}") from None
    except (KeyboardInterrupt, UsageError):
        raise
    except BaseException as exc:
        raise Crash(f"{name} cannot be made:\n{_traceback_of_theirs(exc)}") from exc


def _traceback_of_theirs(exc: BaseException) -> str:
    """Return the traceback of *exc* without its outer frames in this package and in libraries that it uses."""
    frames = exc.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        frames = frames.tb_next
    return "".join(traceback.format_exception(exc.with_traceback(frames))).rstrip()


_OURS: Final = ("trio_messenger", "trio", "outcome", "importlib", "_frozen_importlib", "_frozen_importlib_external")
