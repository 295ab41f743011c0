"""The arguments of ``trio-messenger test``, with Maelstrom's names, and the `Options` that they stand for."""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Sequence
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
    DEFAULT_NODES,
    DISTRIBUTIONS,
    LWW_KV_VARIANTS,
    NEMESES,
    TOPOLOGIES,
    WORKLOADS,
    Fault,
    Latency,
    Options,
    fault_from_json,
    numbered,
)

_DEFAULTS: Final[dict[str, Any]] = {field.name: field.default for field in attrs.fields(Options)}

_FAULTS_EXAMPLE: Final = """'[{"kind":"kill","nodes":["n1"],"at":5,"until":10}]'"""

MOST_NODES: Final = 10_000
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
    """Give *parser* all of them."""
    parser.foreign = _FOREIGN
    _add_what_is_tested(parser)
    _add_cluster(parser)
    _add_clients(parser)
    _add_network(parser)
    _add_faults(parser)
    _add_chance(parser)
    _add_output(parser)


def _add_what_is_tested(parser: Parser) -> None:
    group = parser.add_argument_group("what is tested")
    group.add_argument(
        "-w",
        "--workload",
        type=one_of("workload", WORKLOADS),
        metavar="WORKLOAD",
        help=f"required: what clients ask of the nodes, and how that is judged: {_listed(WORKLOADS)}",
    )
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


def _add_cluster(parser: Parser) -> None:
    group = parser.add_argument_group("the cluster")
    counts = group.add_mutually_exclusive_group()
    counts.add_argument(
        "--node-count",
        type=count(MOST_NODES),
        metavar="N",
        help="how many nodes: n0, n1 and so on, as Maelstrom names them",
    )
    counts.add_argument(
        "--nodes", type=names, metavar="ID,ID,...", help=f"their ids instead (default: {','.join(DEFAULT_NODES)})"
    )
    group.add_argument("-n", dest="ids", metavar="ID", action="append", help="one of their ids; given once for each")
    group.add_argument("--nodes-file", type=names_in_file, metavar="FILE", help="a file with their ids, one a line")
    group.add_argument(
        "--topology",
        type=one_of("topology", TOPOLOGIES),
        metavar="NAME",
        help=f"who is whose neighbour, for the broadcast workload: {_listed(TOPOLOGIES)}"
        f" (default: {_DEFAULTS['topology']})",
    )
    group.add_argument(
        "--lww-kv",
        type=one_of("variant of lww-kv", LWW_KV_VARIANTS),
        metavar="VARIANT",
        help=f"what the two replicas of the service lww-kv do: {_listed(LWW_KV_VARIANTS)}"
        f" (default: {_DEFAULTS['lww_kv']}, as in Maelstrom)",
    )


def _add_clients(parser: Parser) -> None:
    group = parser.add_argument_group("the clients")
    group.add_argument(
        "--concurrency",
        type=workers,
        metavar="N",
        help="how many clients ask at the same time: a number, or so many for each node, as in 2n (default: 1n)",
    )
    group.add_argument(
        "--rate",
        type=number,
        metavar="R",
        help=f"operations per second, of all clients together (default: {_DEFAULTS['rate']:g})",
    )
    group.add_argument(
        "--time-limit",
        type=number,
        metavar="SECONDS",
        help=f"how long they do so (default: {_DEFAULTS['time_limit']:g})",
    )
    group.add_argument(
        "--availability",
        type=fraction_or_total,
        metavar="FRACTION",
        help="which fraction of operations has to be ok, from 0 to 1, or: total (default: any)",
    )


def _add_network(parser: Parser) -> None:
    group = parser.add_argument_group("the network, between nodes, and between nodes and services")
    group.add_argument("--latency", type=number, metavar="MS", help="mean latency in milliseconds (default: 0)")
    group.add_argument(
        "--latency-dist",
        type=one_of("distribution", DISTRIBUTIONS),
        metavar="NAME",
        help=f"how it is distributed: {_listed(DISTRIBUTIONS)} (default: constant)",
    )
    group.add_argument(
        "--loss",
        type=number,
        metavar="P",
        help="probability that a message from node to node is lost, from 0 to 1 (default: 0)",
    )
    group.add_argument(
        "--duplicate",
        type=number,
        metavar="P",
        help="probability that one is delivered twice, from 0 to 1 (default: 0)",
    )


def _add_faults(parser: Parser) -> None:
    kinds = [kind.name for kind in NEMESES]
    group = parser.add_argument_group("faults")
    group.add_argument(
        "--nemesis",
        type=some_of("nemesis", kinds),
        metavar="KIND,KIND,...",
        help=f"make a schedule of these by the seed: {_listed(kinds)} (default: none)",
    )
    group.add_argument(
        "--nemesis-interval",
        type=number,
        metavar="SECONDS",
        help=f"mean time between its changes (default: {_DEFAULTS['nemesis_interval']:g})",
    )
    group.add_argument(
        "--faults",
        metavar="JSON | FILE",
        help="a schedule instead: a list of faults as JSON, a file with one, or the schedule.json of an earlier run",
    )


def _add_chance(parser: Parser) -> None:
    group = parser.add_argument_group("chance")
    group.add_argument(
        "--seed",
        type=whole,
        metavar="N",
        help=f"of all chance: the same seed gives the same run (default: {_DEFAULTS['seed']})",
    )
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
    group.add_argument(
        "--busy-limit",
        type=whole,
        metavar="N",
        help="messages that nodes may send, or turns that their tasks may take, in less than a second before the run is"
        f" called stuck, and ended (default: {_DEFAULTS['busy_limit']})",
    )
    group.add_argument(
        "--check-determinism",
        action="store_true",
        help="run twice, and compare message by message, to find nodes that the seed does not decide",
    )


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


def _listed(known: Sequence[str] | dict[str, Any]) -> str:
    return ", ".join(known)


def check_together(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` if some of *arguments* do not go together, or one is missing."""
    _count_seeds(arguments)
    if arguments.workload is None:
        raise UsageError(f"-w is missing: give a workload; there are: {_listed(WORKLOADS)}")
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


def _ids(arguments: argparse.Namespace) -> list[str]:
    """Return the ids of nodes that were given, in Jepsen's order; none, if none were."""
    ids = [*(arguments.nodes_file or []), *(arguments.nodes or []), *(arguments.ids or [])]
    if ids and arguments.node_count is not None:
        raise UsageError("--node-count names the nodes by itself; leave it out, or -n, --nodes and --nodes-file")
    return ids


def _attribute(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def make_options(arguments: argparse.Namespace) -> Options:
    """Return the options that *arguments* stand for.

    Raises:
      UsageError: if they make no sense.
    """
    nodes = _ids(arguments) or (DEFAULT_NODES if arguments.node_count is None else numbered(arguments.node_count))
    given = {name: getattr(arguments, name) for name in _SAME_NAMES}
    given |= {"latency": _latency(arguments), "concurrency": _concurrency(arguments, len(nodes))}
    try:
        if arguments.faults is not None:
            given["faults"] = read_faults(arguments.faults)
        return Options(nodes=nodes, **{name: value for name, value in given.items() if value is not None})
    except ValueError as exc:
        name, _, rest = f"{exc}".partition(" ")  # which is that of the option, but for its form
        raise UsageError(f"--{name.replace('_', '-')} {rest}" if name in _DEFAULTS else f"{exc}") from None


_SAME_NAMES: Final = (
    *("workload", "topology", "lww_kv", "rate", "time_limit", "availability", "loss", "duplicate"),
    *("nemesis", "nemesis_interval", "seed", "busy_limit"),
)


def _latency(arguments: argparse.Namespace) -> Latency | None:
    if arguments.latency is None:
        return None
    try:
        return Latency(arguments.latency, arguments.latency_dist or "constant")
    except ValueError as exc:
        raise UsageError(f"{exc}") from None


def _concurrency(arguments: argparse.Namespace, node_count: int) -> int | None:
    if arguments.concurrency is None:
        return None
    count, is_for_each = arguments.concurrency
    return int(count * node_count if is_for_each else count)


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
