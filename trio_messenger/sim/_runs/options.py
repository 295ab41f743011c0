"""The options of a run: everything that it depends on except the nodes, as a value that can be saved and run again.

Add an option of ``trio-messenger test`` here, as a field of `Options`. The field declares everything: the default, the
allowed values, and, in its metadata, the words on the command line (see `declaration.py`). Only the signature of
`simulate` repeats the names and defaults, and a test compares them.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Any, Final, final

import attrs
import msgspec

from .._checkers.availability import Availability
from .._faults.bounds import is_fraction, is_not_too_great
from .._faults.faults import GROUPS, Fault, LinkFault, NodeFault, fault_from_json, fault_to_json
from .._faults.schedules import NEMESES, check_kinds, make_schedule
from .._network.latency_distribution import DISTRIBUTIONS, Latency
from .._runaways.guard import BUSY_LIMIT
from .._services import LWW_KV_VARIANTS, SERVICES
from .._workloads import TOPOLOGIES, WORKLOADS
from .compound_options import (
    DEFAULT_NODES,
    read_concurrency,
    read_latency,
    read_nodes,
    write_faults,
    write_latency,
    write_nemesis,
    write_nemesis_interval,
    write_nodes,
)
from .declaration import Argument, Group, OneOf, Option, SomeOf, ValueKind, option, options_of
from .option_values import as_faults, as_names, is_duration, is_rate

LEAST_BUSY_LIMIT: Final = 1000
"""The minimum of `Options.busy_limit`. Nodes may need that many messages, or turns, to start."""


GREATEST_CONCURRENCY: Final = 100_000
"""The maximum number of clients. Each takes memory, even if it sends nothing."""

_NOT_NODES: Final = frozenset({*GROUPS, *SERVICES})


_WORKLOAD: Final = OneOf("workload", WORKLOADS)
_TOPOLOGY: Final = OneOf("topology", TOPOLOGIES)
_LWW_KV_VARIANT: Final = OneOf("variant of lww-kv", LWW_KV_VARIANTS)
_NEMESIS: Final = SomeOf("nemesis", tuple(kind.name for kind in NEMESES))


@final
@attrs.frozen(kw_only=True)
class Options:
    """The options that determine a run, together with the code of the nodes. Names and defaults are Maelstrom's.

    Raises:
      ValueError: if a value is not allowed; the text names the value and the allowed ones.
    """

    workload: str = attrs.field(
        validator=_WORKLOAD,
        metadata=option(
            Group.TESTED,
            Argument(
                "-w --workload",
                "WORKLOAD",
                _WORKLOAD,
                "required; the operations of the clients, and how their outcome is judged",
            ),
            always=True,
        ),
    )
    """The name of one of `WORKLOADS`."""
    nodes: tuple[str, ...] = attrs.field(
        default=DEFAULT_NODES,
        converter=as_names,
        metadata=option(
            Group.CLUSTER,
            Argument(
                "--node-count",
                "N",
                ValueKind.NODE_COUNT,
                "the number of nodes, instead of their ids; they are called n0, n1 and so on, as in Maelstrom",
                default="",
                excludes=True,
            ),
            Argument("--nodes", "ID,ID,...", ValueKind.IDS, "the ids of the nodes", excludes=True),
            Argument("-n", "ID", ValueKind.ID, "the id of one node; repeat this option for each node", default=""),
            Argument(
                "--nodes-file",
                "FILE",
                ValueKind.FILE_OF_IDS,
                "a file with the ids, one per line; ids of the file, of --nodes and of -n add up",
                default="",
            ),
            read=read_nodes,
            write=write_nodes,
        ),
    )
    """The ids of the nodes. An id that begins with ``c`` is not allowed, because it belongs to a client."""
    seed: int = attrs.field(
        default=0,
        metadata=option(
            Group.CHANCE,
            Argument(
                "--seed",
                "N",
                ValueKind.WHOLE,
                "the seed of all random choices; the same seed gives the same run, or with --bin the same operations"
                " and faults",
            ),
            always=True,
        ),
    )
    """The seed of all random choices."""
    concurrency: int = attrs.field(
        metadata=option(
            Group.CLIENTS,
            Argument(
                "--concurrency",
                "N",
                ValueKind.CLIENTS,
                "how many clients send requests at the same time: a number, or a number per node, as in 2n",
                default="1n",
            ),
            read=read_concurrency,
        ),
    )
    """How many clients send requests at the same time, each to one node; by default as many as there are nodes."""
    rate: float = attrs.field(
        default=5.0,
        validator=is_rate,
        metadata=option(
            Group.CLIENTS,
            Argument("--rate", "R", ValueKind.NUMBER, "operations per second, of all clients together"),
        ),
    )
    """Operations per second, of all clients together."""
    time_limit: float = attrs.field(
        default=60.0,
        validator=is_duration,
        metadata=option(
            Group.CLIENTS,
            Argument("--time-limit", "SECONDS", ValueKind.NUMBER, "the length of the main phase, in seconds"),
        ),
    )
    """The length of the main phase in seconds."""
    latency: Latency = attrs.field(
        factory=Latency,
        metadata=option(
            Group.NETWORK,
            Argument("--latency", "MS", ValueKind.NUMBER, "mean latency in milliseconds", default="0"),
            Argument(
                "--latency-dist",
                "NAME",
                OneOf("distribution", DISTRIBUTIONS),
                "the distribution of latencies",
                default=DISTRIBUTIONS[0],
            ),
            read=read_latency,
            write=write_latency,
            late=True,
        ),
    )
    """The latency between nodes, and between nodes and services."""
    loss: float = attrs.field(
        default=0.0,
        validator=is_fraction,
        metadata=option(
            Group.NETWORK,
            Argument(
                "--loss", "P", ValueKind.NUMBER, "probability that a message from node to node is lost, from 0 to 1"
            ),
        ),
    )
    """The probability that a message between nodes is lost."""
    duplicate: float = attrs.field(
        default=0.0,
        validator=is_fraction,
        metadata=option(
            Group.NETWORK,
            Argument(
                "--duplicate",
                "P",
                ValueKind.NUMBER,
                "probability that a message from node to node is delivered twice, from 0 to 1",
            ),
        ),
    )
    """The probability that a message between nodes is delivered twice."""
    topology: str = attrs.field(
        default="grid",
        validator=_TOPOLOGY,
        metadata=option(
            Group.CLUSTER,
            Argument("--topology", "NAME", _TOPOLOGY, "the neighbours of each node, for the broadcast workload"),
        ),
    )
    """Which nodes are neighbours, for the broadcast workload: the name of one of `TOPOLOGIES`."""
    lww_kv: str = attrs.field(
        default="separate",
        validator=_LWW_KV_VARIANT,
        metadata=option(
            Group.CLUSTER,
            Argument(
                "--lww-kv",
                "VARIANT",
                _LWW_KV_VARIANT,
                "the behaviour of the two replicas of the service lww-kv",
                default="separate, as in Maelstrom",
            ),
        ),
    )
    """The behaviour of the two replicas of the service ``lww-kv``. With ``separate`` they never exchange their values,
    as in Maelstrom; with ``merging`` they do, as Maelstrom's documents say."""
    availability: Availability = attrs.field(
        default=None,
        metadata=option(
            Group.CLIENTS,
            Argument(
                "--availability",
                "FRACTION",
                ValueKind.FRACTION_OR_TOTAL,
                "the fraction of operations that must be ok, from 0 to 1, or: total",
                default="any",
            ),
        ),
    )
    """The fraction of operations that must be ok, or ``total``; None requires nothing."""
    busy_limit: int = attrs.field(
        default=BUSY_LIMIT,
        metadata=option(
            Group.CHANCE,
            Argument(
                "--busy-limit",
                "N",
                ValueKind.WHOLE,
                "end the run as stuck, and invalid, if nodes send N messages, or their tasks take N turns, in less than"
                " a second of virtual time; with --bin, kill the node that prints the most if nodes print N lines at"
                " once",
            ),
        ),
    )
    """How many messages nodes may send, or how many turns their tasks may take, in less than a second of virtual time.
    With more, the run is stuck, and therefore invalid. Each message allows ten more turns."""
    nemesis: tuple[str, ...] = attrs.field(
        default=(),
        converter=as_names,
        validator=lambda _, __, kinds: check_kinds(kinds),
        metadata=option(
            Group.FAULTS,
            Argument(
                "--nemesis", "KIND,KIND,...", _NEMESIS, "make a schedule of these faults from the seed", default="none"
            ),
            write=write_nemesis,
            late=True,
        ),
    )
    """Kinds of faults, of `NEMESES`. The seed decides their schedule."""
    nemesis_interval: float = attrs.field(
        default=10.0,
        validator=is_duration,
        metadata=option(
            Group.FAULTS,
            Argument("--nemesis-interval", "SECONDS", ValueKind.NUMBER, "mean time between changes of these faults"),
            write=write_nemesis_interval,
            late=True,
        ),
    )
    """The mean time between changes of the nemesis, in seconds."""
    faults: tuple[Fault, ...] = attrs.field(
        converter=as_faults,
        metadata=option(
            Group.FAULTS,
            Argument(
                "--faults",
                "JSON | FILE",
                ValueKind.FAULTS,
                "a schedule of faults, instead of --nemesis: a list of faults as JSON, a file with such a list, or the"
                " schedule.json of an earlier run",
                default="",
            ),
            write=write_faults,
            late=True,
        ),
    )
    """The schedule of faults; by default the one that *nemesis* and the seed make."""

    @concurrency.default
    def _one_client_per_node(self) -> int:
        return len(self.nodes)

    @faults.default
    def _make_schedule(self) -> tuple[Fault, ...]:
        return self.nemesis_schedule()

    @nodes.validator
    def _are_ids(self, _: object, nodes: tuple[str, ...]) -> None:
        if not nodes or len(set(nodes)) < len(nodes):
            raise ValueError(f"the nodes are {list(nodes)!r:.80}; give at least one id, and each id only once")
        for node_id in nodes:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", node_id) or node_id in _NOT_NODES:
                raise ValueError(f"a node cannot be named {node_id!r:.80}; use letters, digits, '.', '-' and '_'")
            if node_id.startswith("c"):
                raise ValueError(f"a node cannot be named {node_id!r:.80}; ids that begin with 'c' are for clients")

    @concurrency.validator
    def _is_at_least_one(self, _: object, concurrency: int) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; give 1 or more")
        is_not_too_great("concurrency", concurrency, GREATEST_CONCURRENCY)

    @busy_limit.validator
    def _is_more_than_nodes_need(self, _: object, busy_limit: int) -> None:
        if busy_limit < LEAST_BUSY_LIMIT:
            raise ValueError(f"busy_limit is {busy_limit}; give {LEAST_BUSY_LIMIT} or more")

    @availability.validator
    def _is_availability(self, _: object, availability: Availability) -> None:
        if availability not in (None, "total") and not (
            isinstance(availability, (int, float)) and 0 <= availability <= 1
        ):
            raise ValueError(f"availability is {availability!r:.80}; give 'total' or a fraction from 0 to 1")

    @faults.validator
    def _name_members(self, _: object, faults: tuple[Fault, ...]) -> None:
        for fault in faults:
            for name in _names(fault):
                if name in self.nodes:
                    continue
                if name not in _NOT_NODES:
                    raise ValueError(
                        f"a {fault.kind} names {name!r:.80}; name one of the nodes {list(self.nodes)!r:.80},"
                        " a service, or a group of links"
                    )
                if not isinstance(fault, LinkFault):
                    raise ValueError(f"a {fault.kind} names {name!r}, which is not a node; name only nodes")

    def nemesis_schedule(self) -> tuple[Fault, ...]:
        """Return the schedule that the nemesis makes from the seed; `faults` may be another one."""
        interval, time_limit = self.nemesis_interval, self.time_limit
        return tuple(make_schedule(self.nemesis, self.nodes, self.seed, interval=interval, time_limit=time_limit))

    def to_json(self) -> dict[str, Any]:
        """Return the options as a JSON object; `from_json` is the opposite."""
        fields = attrs.asdict(self, recurse=False)
        return {
            **fields,
            "latency": attrs.asdict(self.latency),
            "faults": [fault_to_json(fault) for fault in self.faults],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Options:
        """Return the options that `to_json` returned as *value*.

        Raises:
          ValueError, TypeError: if *value* is anything else.
        """
        for name, field in value.items():
            _check_type(name, field)
        fields = {**value, "faults": [fault_from_json(fault) for fault in value.get("faults", [])]}
        fields["latency"] = msgspec.convert(fields.get("latency", {}), Latency)
        unknown = fields.keys() - {field.name for field in attrs.fields(cls)}
        if unknown:
            raise ValueError(f"unknown options: {sorted(unknown)!r:.80}")
        return cls(**fields)


OPTIONS: Final[Mapping[str, Option]] = options_of(Options)
"""The declaration of each option, by its name."""

_JSON_TYPES: Final[dict[str, Any]] = {
    **typing.get_type_hints(Options),
    "latency": Any,
    "availability": float | str | None,
    "faults": list[dict[str, Any]],
}
"""The types of the options in JSON. The latency is a record, so the types of its fields are checked when it is made."""


def _check_type(name: str, value: object) -> None:
    try:
        msgspec.convert(value, _JSON_TYPES.get(name, Any))
    except ValueError as exc:
        raise ValueError(f"{name} is {value!r:.80}: {exc}") from None


def _names(fault: Fault) -> list[str]:
    if isinstance(fault, LinkFault):
        return [name for link in fault.links for name in link]
    assert isinstance(fault, NodeFault)
    return list(fault.nodes)
