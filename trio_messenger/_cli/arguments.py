"""The arguments of ``trio-messenger test``, with Maelstrom's names, and the `Options` that they define."""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Callable, Mapping
from itertools import starmap
from typing import Any, Final

import attrs

from ..sim._for_cli import (
    MOST_COUNTED_NODES,
    OPTIONS,
    WORKLOADS,
    Argument,
    Fault,
    Group,
    OneOf,
    Options,
    SomeOf,
    ValueKind,
    as_typed,
    fault_from_json,
    workload_class,
)
from .finding import look_in_current_folder
from .nats_options import add_nats_options, refuse_without_nats
from .parsing import (
    GREATEST_WHOLE,
    Parser,
    UsageError,
    count,
    duration,
    folder,
    fraction_or_total,
    names,
    names_in_file,
    number,
    one_of,
    read_text,
    reason_of,
    some_of,
    whole,
    workers,
)

_DEFAULTS: Final[dict[str, Any]] = {field.name: field.default for field in attrs.fields(Options)}

_FAULTS_EXAMPLE: Final = """'[{"kind":"kill","nodes":["n1"],"at":5,"until":10}]'"""

MOST_SEEDS: Final = 1_000_000
MOST_JOBS: Final = 1000
"""Larger numbers would use up the machine's memory or processes before there are any results."""

STORE: Final = "store"
"""The default folder for saved runs, in the current folder."""


_NO_SSH: Final = "nodes run on this machine, without SSH"

_FOREIGN: Final = {
    **dict.fromkeys(("--no-ssh", "--username", "--password", "--ssh-private-key"), _NO_SSH),
    "--strict-host-key-checking": _NO_SSH,
    "--leave-db-running": "nodes end with the run",
    "--logging-json": "there is no log; --json prints the results as JSON, and all files of a run are JSON except"
    " pictures and the nodes' logs",
}
"""Options of Maelstrom and Jepsen that do not exist here, each with the reason."""


def add_arguments(parser: Parser) -> None:
    """Add all arguments to *parser*: the ones that `Options` declares, and the ones of the command line only."""
    parser.foreign = _FOREIGN
    for each in Group:
        group = parser.add_argument_group(each.value)
        for name, option in OPTIONS.items():
            if option.group is each:
                add_option(group, name)
                _MORE.get(name, _add_nothing)(group)
    _add_nats(parser)
    _add_output(parser)


def add_option(group: argparse._ArgumentGroup, name: str) -> None:
    """Add the arguments of the option *name* to *group*."""
    arguments = OPTIONS[name].arguments
    exclusive = group.add_mutually_exclusive_group() if any(each.excludes for each in arguments) else group
    for argument in arguments:
        (exclusive if argument.excludes else group).add_argument(
            *argument.words.split(),
            type=_parser_of(argument.kind),
            action="append" if argument.kind is ValueKind.ID else "store",
            metavar=argument.metavar,
            help=argument.help + _known(argument.kind) + _default(argument, name),
        )


def _parser_of(kind: ValueKind | OneOf | SomeOf) -> Callable[[str], Any]:
    if isinstance(kind, ValueKind):
        return PARSERS[kind]
    return (one_of if isinstance(kind, OneOf) else some_of)(kind.what, kind.known)


def _workload(text: str) -> str:
    """Return the name of a workload, or ``MODULE:CLASS``, whose module may be in the current folder.

    `make_options` imports the module: while options are parsed, it could print among the results, or end the process.
    """
    look_in_current_folder()
    if ":" in text:
        return text
    try:
        workload_class(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{exc}") from None
    return text


PARSERS: Final[Mapping[ValueKind, Callable[[str], Any]]] = {
    ValueKind.NUMBER: number,
    ValueKind.WHOLE: whole,
    ValueKind.FRACTION_OR_TOTAL: fraction_or_total,
    ValueKind.CLIENTS: workers,
    ValueKind.NODE_COUNT: count(MOST_COUNTED_NODES),
    ValueKind.ID: str,
    ValueKind.IDS: names,
    ValueKind.FILE_OF_IDS: names_in_file,
    ValueKind.FAULTS: str,
    ValueKind.WORKLOAD: _workload,
}
"""The parser of each kind of value."""


def _known(kind: ValueKind | OneOf | SomeOf) -> str:
    return "" if isinstance(kind, ValueKind) else f": {', '.join(kind.known)}"


def _default(argument: Argument, name: str) -> str:
    default = _DEFAULTS[name] if argument.default is None else argument.default
    return "" if default in ("", attrs.NOTHING) else f" (default: {as_typed(default)})"


def _add_subject(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--node",
        metavar="NAME | MODULE:NODE",
        help="a ready-made node, or your own Node, or a function that returns one; it runs in this process, in virtual"
        " time (default: the ready-made node for the workload)",
    )
    group.add_argument(
        "--bin",
        metavar="FILE",
        help="an executable in any language; each node is a process, in real time; the words after -- are its"
        " arguments",
    )


def _add_seeds(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--seeds",
        type=count(MOST_SEEDS, least=0),
        metavar="N",
        help="run this number of seeds, from --seed on, each in a process; 0 goes on until one is not valid",
    )
    group.add_argument(
        "--test-count",
        type=count(MOST_SEEDS),
        metavar="N",
        help="Maelstrom's name for --seeds; 1 makes a single run, as without this option",
    )
    group.add_argument(
        "--jobs",
        type=count(MOST_JOBS),
        metavar="N",
        help="how many seeds run at the same time"
        f" (default: one per core, here {multiprocessing.cpu_count()}; with --bin 1)",
    )
    group.add_argument("--keep-going", action="store_true", help="do not stop at the first seed that is not valid")
    group.add_argument(
        "--max-seconds",
        type=duration,
        metavar="S",
        help="stop after this time; runs that have not ended then do not count",
    )


def _add_check(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--check-determinism",
        action="store_true",
        help="before the run, make two others in two processes and compare them message by message, to find nodes that"
        " do not depend on the seed alone; not with --bin or --seeds",
    )


def _add_nothing(_: argparse._ArgumentGroup) -> None:
    """Add no arguments, as after most options."""


_MORE: Final[Mapping[str, Callable[[argparse._ArgumentGroup], None]]] = {
    "workload": _add_subject,
    "seed": _add_seeds,
    "busy_limit": _add_check,
}
"""The arguments that are not options of a run, by the option before them in the help."""


def _add_nats(parser: Parser) -> None:
    group = parser.add_argument_group("nodes that run elsewhere, on NATS, in real time and without faults")
    add_nats_options(group)
    group.add_argument("--id", metavar="ID", help="the id of the clients, which is one client there (default: c1)")


def _add_output(parser: Parser) -> None:
    group = parser.add_argument_group("output and files")
    add_logs(group)
    stores = group.add_mutually_exclusive_group()
    stores.add_argument(
        "--store",
        default=STORE,
        type=folder,
        metavar="DIR",
        help="save the run in DIR/WORKLOAD/SEED, or in DIR/WORKLOAD/TIME with --bin; with --seeds, save the first run"
        f" that is not valid, or with --bin every such run, in DIR/WORKLOAD/SEED-TIME (default: {STORE})",
    )
    stores.add_argument("--no-store", action="store_true", help="save no files")


def add_logs(group: argparse._ArgumentGroup) -> None:
    """Add the options that `replay` has as well to *group*."""
    group.add_argument("--log-stderr", action="store_true", help="show the nodes' logs during the run")
    group.add_argument("--log-net-send", action="store_true", help="show each message when it is sent")
    group.add_argument("--log-net-recv", action="store_true", help="show each message when it is delivered or dropped")
    group.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")


def check_together(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` if some of *arguments* contradict each other, or one is missing."""
    _count_seeds(arguments)
    _check_nats(arguments)
    if arguments.workload is None:
        raise UsageError(
            f"-w is missing: give a workload; there are: {', '.join(WORKLOADS)}, or your own as MODULE:CLASS"
        )
    if arguments.faults is not None and arguments.nemesis is not None:
        raise UsageError("--faults and --nemesis both set the whole schedule; give one of them")
    if arguments.nemesis_interval is not None and arguments.nemesis is None:
        raise UsageError("--nemesis-interval is the time between changes of --nemesis; give --nemesis, too")
    if arguments.search is not None and arguments.nemesis is None:
        raise UsageError("--search is how the faults of --nemesis are drawn; give --nemesis, too")
    if arguments.latency_dist is not None and arguments.latency is None:
        raise UsageError("--latency-dist is the distribution of --latency, which is 0; give --latency, too")
    for_many = [
        option for option in ("--jobs", "--keep-going", "--max-seconds") if getattr(arguments, _attribute(option))
    ]
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
    greatest = GREATEST_WHOLE - max(0, (arguments.seeds or 0) - 1)
    if (arguments.seed or 0) > greatest:  # no command could repeat such a run
        raise UsageError(
            f"--seed is {arguments.seed}, so the last seed does not fit into 64 bits; give at most {greatest}"
        )


_NOT_ON_NATS: Final = {
    "node": "there are nodes elsewhere",
    "bin": "there are nodes elsewhere",
    "rest": "there is no executable to take it",
    **dict.fromkeys(("seeds", "jobs", "keep_going", "max_seconds"), "each run needs a fresh cluster"),
    "check_determinism": "two runs in real time always differ",
    "log_stderr": "the nodes log where they run",
}
"""Arguments that are refused with ``--nats``, each with the reason."""


def _check_nats(arguments: argparse.Namespace) -> None:
    if arguments.nats is None:
        refuse_without_nats(arguments, "id")
        return
    for name, reason in _NOT_ON_NATS.items():
        if getattr(arguments, name):
            word = f"{arguments.rest[0]!r:.80} after --" if name == "rest" else f"--{name.replace('_', '-')}"
            raise UsageError(f"{word} does not go with --nats: {reason}; leave it out")


def _count_seeds(arguments: argparse.Namespace) -> None:
    """Set ``seeds`` from ``test_count``, its other name."""
    if arguments.test_count is None:
        return
    if arguments.seeds is not None:
        raise UsageError("--test-count and --seeds are two names of one option; give one of them")
    if arguments.test_count > 1:
        arguments.seeds = arguments.test_count


def _attribute(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


_NOT_TYPED: Final = {argument.dest: None for option in OPTIONS.values() for argument in option.arguments}
"""A command need not have all options."""


def make_options(arguments: argparse.Namespace) -> Options:
    """Return the options that *arguments* define.

    Raises:
      UsageError: if a value is not allowed, or contradicts another; the text says why.
    """
    typed = {**_NOT_TYPED, **vars(arguments)}
    made: dict[str, Any] = {}
    try:
        if typed["faults"] is not None:
            typed["faults"] = read_faults(typed["faults"])
        for name, option in OPTIONS.items():
            value = option.read(typed, made)
            if value is not None:
                made[name] = value
        return Options(**made)
    except ValueError as exc:
        raise in_typed_words(exc) from None


def in_typed_words(exc: ValueError) -> UsageError:
    """Return *exc* as an error of usage. If its text begins with the name of an option, it gets the word for that."""
    name, _, rest = f"{exc}".partition(" ")
    if name not in OPTIONS:
        return UsageError(f"{exc}")
    words = [argument.words.split()[-1] for argument in OPTIONS[name].arguments]
    same = f"--{name.replace('_', '-')}"
    return UsageError(f"{same if same in words else words[0]} {rest}")


def read_faults(text: str) -> list[Fault]:
    """Return the faults in *text*, which is a JSON list or the name of a file.

    Raises:
      ValueError: if it is not a list of faults; the text says why.
    """
    is_literal = text.lstrip().startswith("[")
    where = "--faults" if is_literal else text
    if not is_literal:
        try:
            text = read_text(text)
        except (OSError, ValueError) as exc:
            raise ValueError(
                f"--faults {where}: {reason_of(exc)}; give a list of faults, such as {_FAULTS_EXAMPLE}, or a file"
            ) from None
    try:
        content = json.loads(text, parse_int=_whole_number)
        if isinstance(content, dict):  # the schedule.json of a run
            content = content["options"]["faults"]
        return list(starmap(_fault, enumerate(content)))
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{where} is not a list of faults; give one such as {_FAULTS_EXAMPLE}") from None
    except ValueError as exc:
        raise ValueError(f"{where}: {exc}") from None


def _whole_number(digits: str) -> float:
    """Return the number with these *digits*, as JSON reads it; infinity if there are more than a float can have.

    Then the error is that of the field. Python's own error would name no field, and a remedy for programmers.
    """
    return int(digits) if len(digits) < _DIGITS_OF_A_FLOAT else float(digits)


_DIGITS_OF_A_FLOAT: Final = 300
"""A float has up to 309 digits before the point, and Python reads an integer of up to 4,300."""


def _fault(index: int, value: dict[str, Any]) -> Fault:
    try:
        return fault_from_json(value)
    except ValueError as exc:
        raise ValueError(f"fault {index}: {exc}") from None
