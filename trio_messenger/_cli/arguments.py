"""The arguments of ``trio-messenger test``, with Maelstrom's names, and the `Options` that they stand for."""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Callable, Mapping
from itertools import starmap
from typing import Any, Final

import attrs

from .parsing import (
    Parser,
    UsageError,
    count,
    folder,
    fraction_or_total,
    names,
    names_in_file,
    number,
    one_of,
    read_text,
    some_of,
    whole,
    workers,
)
from .simulator import (
    MOST_COUNTED_NODES,
    OPTIONS,
    WORKLOADS,
    Argument,
    Fault,
    Group,
    Kind,
    OneOf,
    Option,
    Options,
    SomeOf,
    as_typed,
    fault_from_json,
)

_DEFAULTS: Final[dict[str, Any]] = {field.name: field.default for field in attrs.fields(Options)}

_FAULTS_EXAMPLE: Final = """'[{"kind":"kill","nodes":["n1"],"at":5,"until":10}]'"""

MOST_SEEDS: Final = 1_000_000
MOST_JOBS: Final = 1000
"""More would use up the memory, or the processes, of the machine before anything is seen of them."""

STORE: Final = "store"
"""The folder that runs are kept in, in the current one."""


_NO_SSH: Final = "nodes run on this machine, without SSH"
_NO_SUCH_WORKLOAD: Final = f"it is for workloads that are not here; there are: {', '.join(WORKLOADS)}"

_FOREIGN: Final = {
    **dict.fromkeys(("--no-ssh", "--username", "--password", "--ssh-private-key"), _NO_SSH),
    "--strict-host-key-checking": _NO_SSH,
    "--leave-db-running": "nodes end with the run",
    "--logging-json": "the bench keeps no log; --json prints the results as JSON, and every file of a run but its"
    " pictures and the nodes' logs is JSON",
    **dict.fromkeys(
        ("--consistency-models", "--key-count", "--max-txn-length", "--max-writes-per-key"), _NO_SUCH_WORKLOAD
    ),
}
"""Options of Maelstrom, and of Jepsen, that mean nothing here."""


def add_arguments(parser: Parser) -> None:
    """Add all arguments to *parser*: those that `Options` declares, and those that only the command line has."""
    parser.foreign = _FOREIGN
    for each in Group:
        group = parser.add_argument_group(each.value)
        for name, option in OPTIONS.items():
            if option.group is each:
                _add_option(group, name, option)
                _MORE.get(name, _add_nothing)(group)
    _add_output(parser)


def _add_option(group: argparse._ArgumentGroup, name: str, option: Option) -> None:
    exclusive = group.add_mutually_exclusive_group()
    for argument in option.arguments:
        (exclusive if argument.excludes else group).add_argument(
            *argument.words.split(),
            type=_parser_of(argument.kind),
            action="append" if argument.kind is Kind.ID else "store",
            metavar=argument.metavar,
            help=argument.help + _known(argument.kind) + _default(argument, name),
        )


def _parser_of(kind: Kind | OneOf | SomeOf) -> Callable[[str], Any]:
    if isinstance(kind, Kind):
        return PARSERS[kind]
    return (one_of if isinstance(kind, OneOf) else some_of)(kind.what, kind.known)


PARSERS: Final[Mapping[Kind, Callable[[str], Any]]] = {
    Kind.NUMBER: number,
    Kind.WHOLE: whole,
    Kind.FRACTION_OR_TOTAL: fraction_or_total,
    Kind.CLIENTS: workers,
    Kind.NODE_COUNT: count(MOST_COUNTED_NODES),
    Kind.ID: str,
    Kind.IDS: names,
    Kind.FILE_OF_IDS: names_in_file,
    Kind.FAULTS: str,
}
"""What parses each kind of value."""


def _known(kind: Kind | OneOf | SomeOf) -> str:
    return "" if isinstance(kind, Kind) else f": {', '.join(kind.known)}"


def _default(argument: Argument, name: str) -> str:
    default = _DEFAULTS[name] if argument.default is None else argument.default
    return "" if default in ("", attrs.NOTHING) else f" (default: {as_typed(default)})"


def _add_subject(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--node",
        metavar="NAME | MODULE:NODE",
        help="a ready-made node, or a Node of yours, or a function that returns one; in this process, in virtual time"
        " (default: the ready-made node with the workload's name)",
    )
    group.add_argument(
        "--bin",
        metavar="FILE",
        help="an executable in any language, run as a process for each node, in real time; what comes after -- are its"
        " arguments",
    )


def _add_seeds(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--seeds", type=count(MOST_SEEDS), metavar="N", help="run so many seeds, from --seed on, several at a time"
    )
    group.add_argument(
        "--test-count",
        type=count(MOST_SEEDS),
        metavar="N",
        help="the same by Maelstrom's name, where it repeats a test; 1 is a run as without it",
    )
    group.add_argument(
        "--jobs",
        type=count(MOST_JOBS),
        metavar="N",
        help=f"how many at a time (default: one for each core, here {multiprocessing.cpu_count()})",
    )
    group.add_argument("--keep-going", action="store_true", help="do not stop at the first seed that is not valid")


def _add_check(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--check-determinism",
        action="store_true",
        help="run twice, and compare message by message, to find nodes that the seed does not decide",
    )


def _add_nothing(_: argparse._ArgumentGroup) -> None:
    """Stand for the arguments after most options."""


_MORE: Final[Mapping[str, Callable[[argparse._ArgumentGroup], None]]] = {
    "workload": _add_subject,
    "seed": _add_seeds,
    "busy_limit": _add_check,
}
"""The arguments that are no options of a run, by the option that they follow in the help."""


def _add_output(parser: Parser) -> None:
    group = parser.add_argument_group("what is said, and what is kept")
    add_logs(group)
    stores = group.add_mutually_exclusive_group()
    stores.add_argument(
        "--store",
        default=STORE,
        type=folder,
        metavar="DIR",
        help=f"keep the run in DIR/WORKLOAD/SEED, or, for executables, DIR/WORKLOAD/TIME (default: {STORE})",
    )
    stores.add_argument("--no-store", action="store_true", help="keep nothing")


def add_logs(group: argparse._ArgumentGroup) -> None:
    """Give *group* what `replay` has, too."""
    group.add_argument("--log-stderr", action="store_true", help="show what nodes log, as it comes")
    group.add_argument("--log-net-send", action="store_true", help="show each message as it is sent")
    group.add_argument("--log-net-recv", action="store_true", help="show each message as it is delivered, or dropped")
    group.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else there")


def check_together(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` if some of *arguments* do not go together, or one is missing."""
    _count_seeds(arguments)
    if arguments.workload is None:
        raise UsageError(f"-w is missing: give a workload; there are: {', '.join(WORKLOADS)}")
    if arguments.faults is not None and arguments.nemesis is not None:
        raise UsageError("--faults and --nemesis each make the whole schedule; give one of them")
    if arguments.nemesis_interval is not None and arguments.nemesis is None:
        raise UsageError("--nemesis-interval is the time between changes of --nemesis; give that, too")
    if arguments.latency_dist is not None and arguments.latency is None:
        raise UsageError("--latency-dist says how --latency is distributed, which is 0; give that, too")
    for_many = [option for option in ("--jobs", "--keep-going") if getattr(arguments, _attribute(option))]
    for_one = [
        option
        for option in ("--log-stderr", "--log-net-send", "--log-net-recv", "--check-determinism")
        if getattr(arguments, _attribute(option))
    ]
    if arguments.seeds is None and for_many:
        raise UsageError(f"{for_many[0]} is for many seeds; give --seeds, too")
    if arguments.seeds is not None and for_one:
        many = "--seeds" if arguments.test_count is None else "--test-count"
        raise UsageError(f"{for_one[0]} is for one seed; leave {many} out")


def _count_seeds(arguments: argparse.Namespace) -> None:
    """Let ``seeds`` be what was given by either of its names."""
    if arguments.test_count is None:
        return
    if arguments.seeds is not None:
        raise UsageError("--test-count and --seeds are two names for one thing; give one of them")
    if arguments.test_count > 1:
        arguments.seeds = arguments.test_count


def _attribute(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def make_options(arguments: argparse.Namespace) -> Options:
    """Return the options that *arguments* stand for.

    Raises:
      UsageError: if they make no sense.
    """
    typed = vars(arguments)
    made: dict[str, Any] = {}
    try:
        if arguments.faults is not None:
            typed = {**typed, "faults": read_faults(arguments.faults)}
        for name, option in OPTIONS.items():
            value = option.read(typed, made)
            if value is not None:
                made[name] = value
        return Options(**made)
    except ValueError as exc:
        name, _, rest = f"{exc}".partition(" ")  # which is that of the option, but for its form
        raise UsageError(f"--{name.replace('_', '-')} {rest}" if name in _DEFAULTS else f"{exc}") from None


def read_faults(text: str) -> list[Fault]:
    """Return the faults in *text*, a list of them as JSON, or in the file of that name.

    Raises:
      ValueError: if there are none; the text says why.
    """
    is_literal = text.lstrip().startswith("[")
    where = "--faults" if is_literal else text
    if not is_literal:
        try:
            text = read_text(text)
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else exc
            raise ValueError(
                f"--faults {where}: {reason}; give a list of faults, such as {_FAULTS_EXAMPLE}, or a file"
            ) from None
    try:
        content = json.loads(text)
        if isinstance(content, dict):  # the schedule.json of a run
            content = content["options"]["faults"]
        return list(starmap(_fault, enumerate(content)))
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{where} is no list of faults; give one such as {_FAULTS_EXAMPLE}") from None
    except ValueError as exc:
        raise ValueError(f"{where}: {exc}") from None


def _fault(index: int, value: dict[str, Any]) -> Fault:
    try:
        return fault_from_json(value)
    except ValueError as exc:
        raise ValueError(f"fault {index}: {exc}") from None
