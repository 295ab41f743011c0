"""What a run is asked to be: everything it depends on, as a value that can be saved and run again."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, final

import attrs
import msgspec

from .._checkers.availability import Availability
from .._faults.bounds import is_fraction, is_not_too_great
from .._faults.faults import GROUPS, Fault, LinkFault, NodeFault, fault_from_json, fault_to_json
from .._faults.schedules import check_kinds, make_schedule
from .._network.latency_distribution import Latency
from .._runaways.guard import BUSY_LIMIT
from .._services import LWW_KV_VARIANTS, SERVICES
from .._workloads import TOPOLOGIES, WORKLOADS

DEFAULT_NODES: Final = ("n1", "n2", "n3", "n4", "n5")
"""Maelstrom's nodes, where nothing else is said."""

LEAST_BUSY_LIMIT: Final = 1000
"""Fewer messages, or turns, than that nodes may well need to come up."""


def numbered(count: int) -> tuple[str, ...]:
    """Return Maelstrom's nodes where only their number is said: ``n0``, ``n1`` and so on."""
    return tuple(f"n{number}" for number in range(count))


GREATEST_RATE: Final = 1e6
"""Operations per second: more than can be simulated, and few enough for virtual time to go on between them."""

GREATEST_CONCURRENCY: Final = 100_000
"""Clients: each takes memory, used or not."""

_NOT_NODES: Final = frozenset({*GROUPS, *SERVICES})


def _names_of(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):  # whose characters would be taken for names
        raise ValueError(f"{values!r:.80} is one text where a list of names is wanted; give {values.split(',')!r:.80}")
    return tuple(values)


def _faults(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(_checked(faults))


def _checked(faults: Any) -> Iterator[Fault]:
    """Yield each of *faults*, once it is seen to be one."""
    if isinstance(faults, Fault):
        raise ValueError(f"faults is a single {faults.kind}; give a list of them")
    for fault in faults:
        if not isinstance(fault, Fault):
            raise ValueError(f"{fault!r:.80} is no fault; give one such as Kill(nodes=['n1'], at=5, until=10)")
        yield fault


def _is_known(kind: str, known: Collection[str]) -> Callable[[object, object, str], None]:
    def check(_: object, __: object, name: str) -> None:
        if name not in known:
            raise ValueError(f"there is no {kind} {name!r:.80}; there are: {', '.join(known)}")

    return check


def _is_duration(_: object, field: attrs.Attribute[float], value: float) -> None:
    if not (0 <= value < math.inf):
        raise ValueError(f"{field.name} is {value}; give 0 or more")
    is_not_too_great(field.name, value)


def _is_rate(_: object, field: attrs.Attribute[float], value: float) -> None:
    if value < math.inf:
        is_not_too_great(field.name, value, GREATEST_RATE)
    _is_duration(_, field, value)


@final
@attrs.frozen(kw_only=True)
class Options:
    """A run, but for the nodes it tests. Names and defaults are Maelstrom's.

    Raises:
      ValueError: if a value makes no sense; the text names it, and what would.
    """

    workload: str = attrs.field(validator=_is_known("workload", WORKLOADS))
    """The name of the workload."""
    nodes: tuple[str, ...] = attrs.field(default=DEFAULT_NODES, converter=_names_of)
    """The ids of the nodes; none begins with ``c``, which is for clients."""
    seed: int = attrs.field(default=0)
    """Of all chance."""
    concurrency: int = attrs.field()
    """Clients that ask at the same time, each always the same node; by default as many as there are nodes."""
    rate: float = attrs.field(default=5.0, validator=_is_rate)
    """Operations per second, of all clients together."""
    time_limit: float = attrs.field(default=60.0, validator=_is_duration)
    """Seconds of the main phase."""
    latency: Latency = attrs.field(factory=Latency)
    """Of messages between nodes, and between nodes and services."""
    loss: float = attrs.field(default=0.0, validator=is_fraction)
    """The probability that a message between nodes is lost."""
    duplicate: float = attrs.field(default=0.0, validator=is_fraction)
    """The probability that a message between nodes is duplicated."""
    topology: str = attrs.field(default="grid", validator=_is_known("topology", TOPOLOGIES))
    """Who is whose neighbour, for the broadcast workload."""
    lww_kv: str = attrs.field(default="separate", validator=_is_known("variant of lww-kv", LWW_KV_VARIANTS))
    """What the two replicas of ``lww-kv`` do: ``separate``, as in Maelstrom, or ``merging``."""
    availability: Availability = attrs.field(default=None)
    """Which fraction of operations has to be ok."""
    busy_limit: int = attrs.field(default=BUSY_LIMIT)
    """Messages, or turns of tasks, in less than a second, before nodes are stuck; see `trio_messenger.sim.simulate`."""
    nemesis: tuple[str, ...] = attrs.field(default=(), converter=_names_of)
    """Kinds of faults to make a schedule of; see `NEMESES`."""
    nemesis_interval: float = attrs.field(default=10.0, validator=_is_duration)
    """Seconds between its changes, on average."""
    faults: tuple[Fault, ...] = attrs.field(converter=_faults)
    """The schedule of faults; by default what the nemesis makes of the seed."""

    @concurrency.default
    def _one_client_per_node(self) -> int:
        return len(self.nodes)

    @faults.default
    def _make_schedule(self) -> tuple[Fault, ...]:
        return self.nemesis_schedule()

    @nodes.validator
    def _are_ids(self, _: object, nodes: tuple[str, ...]) -> None:
        if not nodes or len(set(nodes)) < len(nodes):
            raise ValueError(f"the nodes are {list(nodes)!r:.80}; give one id or more, each once")
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
                        f"a {fault.kind} names {name!r:.80}, which is neither a node of {list(self.nodes)!r:.80}"
                        " nor a service nor a group of links"
                    )
                if not isinstance(fault, LinkFault):
                    raise ValueError(f"a {fault.kind} names {name!r}, which is no node; name nodes only")

    @nemesis.validator
    def _are_kinds(self, _: object, kinds: tuple[str, ...]) -> None:
        check_kinds(kinds)

    def nemesis_schedule(self) -> tuple[Fault, ...]:
        """Return the schedule that the nemesis makes, all by itself, of the seed."""
        interval, time_limit = self.nemesis_interval, self.time_limit
        return tuple(make_schedule(self.nemesis, self.nodes, self.seed, interval=interval, time_limit=time_limit))

    def to_json(self) -> dict[str, Any]:
        """Return the options as a JSON object, from which `from_json` makes them again."""
        fields = attrs.asdict(self, recurse=False)
        return {
            **fields,
            "latency": attrs.asdict(self.latency),
            "faults": [fault_to_json(fault) for fault in self.faults],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Options:
        """Return the options that `to_json` made *value* of.

        Raises:
          ValueError, TypeError: if it made no such thing.
        """
        for name, field in value.items():
            _check_type(name, field)
        fields = {**value, "faults": [fault_from_json(fault) for fault in value.get("faults", [])]}
        fields["latency"] = msgspec.convert(fields.get("latency", {}), Latency)
        unknown = fields.keys() - {field.name for field in attrs.fields(cls)}
        if unknown:
            raise ValueError(f"there are no options {sorted(unknown)!r:.80}")
        return cls(**fields)


_JSON_TYPES: Final[dict[str, Any]] = {
    **dict.fromkeys(("workload", "topology", "lww_kv"), str),
    **dict.fromkeys(("nodes", "nemesis"), list[str]),
    **dict.fromkeys(("seed", "concurrency", "busy_limit"), int),
    **dict.fromkeys(("rate", "time_limit", "loss", "duplicate", "nemesis_interval"), float),
    "availability": float | str | None,
    "faults": list[dict[str, Any]],
}
"""What the options are in JSON, but for the latency, which is a record."""


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
