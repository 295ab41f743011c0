"""The options of a run: everything that it depends on except the nodes, as a value that can be saved and run again.

Add an option of ``trio-messenger test`` here, as a field of `Options`. The field declares the default and the allowed
values. Its metadata, from `option_words.py`, has the words on the command line. Only the signature of `simulate`
repeats the names and defaults, and a test compares them.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Any, Final, final

import attrs
import msgspec

from .._checkers.availability import Availability
from .._checkers.transactions.consistency_models import STRICT_SERIALIZABLE
from .._faults.bounds import is_fraction, is_not_too_great
from .._faults.fault_search import UNIFORM, Drawn, FaultSearch, as_search, check_search, draw_schedule
from .._faults.faults import GROUPS, Fault, LinkFault, NodeFault, fault_from_json, fault_to_json
from .._faults.schedules import check_kinds
from .._network.latency_distribution import Latency
from .._runaways.guard import BUSY_LIMIT
from .._services import SERVICES
from .._workloads import Setting, Workload, blaming, make_workload, reference_to, workload_class
from . import option_words
from .compound_options import DEFAULT_NODES
from .declaration import Option, options_of
from .option_values import are_models, as_faults, as_names, is_count, is_duration, is_rate

LEAST_BUSY_LIMIT: Final = 1000
"""The minimum of `Options.busy_limit`. Nodes may need that many messages, or turns, to start."""

GREATEST_CONCURRENCY: Final = 100_000
"""The maximum number of clients. Each takes memory, even if it sends nothing."""

_NOT_NODES: Final = frozenset({*GROUPS, *SERVICES})


@final
@attrs.frozen(kw_only=True)
class Options:
    """The options that determine a run, together with the code of the nodes. Names and defaults are Maelstrom's.

    Raises:
      ValueError: if a value is not allowed; the text names the value and the allowed ones.
      WorkloadError: if the workload cannot be made, or cannot say whether the values are allowed.
    """

    workload: str = attrs.field(
        converter=reference_to,
        validator=lambda _, __, name: workload_class(name),
        metadata=option_words.WORKLOAD_WORDS,
    )
    """The name of one of `WORKLOADS`, or ``MODULE:CLASS`` for any other subclass of `Workload`, or that class."""
    nodes: tuple[str, ...] = attrs.field(
        default=DEFAULT_NODES,
        converter=as_names,
        metadata=option_words.NODES_WORDS,
    )
    """The ids of the nodes. An id that begins with ``c`` is not allowed, because it belongs to a client."""
    invariants: tuple[str, ...] = attrs.field(
        default=(),
        converter=as_names,
        metadata=option_words.INVARIANTS_WORDS,
    )
    """The names of the invariants, ``MODULE:FUNCTION``, which are checked after each event."""
    seed: int = attrs.field(default=0, metadata=option_words.SEED_WORDS)
    """The seed of all random choices."""
    concurrency: int = attrs.field(metadata=option_words.CONCURRENCY_WORDS)
    """How many clients send requests at the same time, each to one node; by default as many as there are nodes."""
    rate: float = attrs.field(
        default=5.0,
        validator=is_rate,
        metadata=option_words.RATE_WORDS,
    )
    """Operations per second, of all clients together."""
    time_limit: float = attrs.field(
        default=60.0,
        validator=is_duration,
        metadata=option_words.TIME_LIMIT_WORDS,
    )
    """The length of the main phase in seconds."""
    latency: Latency = attrs.field(factory=Latency, metadata=option_words.LATENCY_WORDS)
    """The latency between nodes, and between nodes and services."""
    loss: float = attrs.field(
        default=0.0,
        validator=is_fraction,
        metadata=option_words.LOSS_WORDS,
    )
    """The probability that a message between nodes is lost."""
    duplicate: float = attrs.field(
        default=0.0,
        validator=is_fraction,
        metadata=option_words.DUPLICATE_WORDS,
    )
    """The probability that a message between nodes is delivered twice."""
    topology: str = attrs.field(
        default="grid",
        validator=option_words.KNOWN_TOPOLOGY,
        metadata=option_words.TOPOLOGY_WORDS,
    )
    """Which nodes are neighbours, for the broadcast workload: the name of one of `TOPOLOGIES`."""
    lww_kv: str = attrs.field(
        default="separate",
        validator=option_words.KNOWN_LWW_KV,
        metadata=option_words.LWW_KV_WORDS,
    )
    """The behaviour of the two replicas of the service ``lww-kv``. With ``separate`` they never exchange their values,
    as in Maelstrom; with ``merging`` they do, as Maelstrom's documents say."""
    key_count: int = attrs.field(default=10, validator=is_count, metadata=option_words.KEY_COUNT_WORDS)
    """How many keys the operations of the kafka and transaction workloads use at the same time."""
    max_txn_length: int = attrs.field(default=4, validator=is_count, metadata=option_words.MAX_TXN_LENGTH_WORDS)
    """The maximum number of operations in a transaction."""
    max_writes_per_key: int = attrs.field(
        default=16, validator=is_count, metadata=option_words.MAX_WRITES_PER_KEY_WORDS
    )
    """How many writes a key gets, in the kafka and transaction workloads, before another key replaces it."""
    consistency_models: tuple[str, ...] = attrs.field(
        default=STRICT_SERIALIZABLE,
        converter=as_names,
        validator=are_models,
        metadata=option_words.CONSISTENCY_MODELS_WORDS,
    )
    """The consistency models that the histories of the transaction workloads have to satisfy."""
    availability: Availability = attrs.field(default=None, metadata=option_words.AVAILABILITY_WORDS)
    """The fraction of operations that must be ok, or ``total``; None requires nothing."""
    busy_limit: int = attrs.field(default=BUSY_LIMIT, metadata=option_words.BUSY_LIMIT_WORDS)
    """How many messages nodes may send, or how many turns their tasks may take, in less than a second of virtual time.
    With more, the run is stuck, and therefore invalid. Each message allows ten more turns."""
    nemesis: tuple[str, ...] = attrs.field(
        default=(),
        converter=as_names,
        validator=lambda _, __, kinds: check_kinds(kinds),
        metadata=option_words.NEMESIS_WORDS,
    )
    """Kinds of faults, of `NEMESES`. The seed decides their schedule."""
    nemesis_interval: float = attrs.field(
        default=10.0,
        validator=is_duration,
        metadata=option_words.NEMESIS_INTERVAL_WORDS,
    )
    """The mean time between changes of the nemesis, in seconds."""
    search: FaultSearch = attrs.field(
        default=FaultSearch(),
        converter=as_search,
        metadata=option_words.SEARCH_WORDS,
    )
    """How the nemesis draws its schedule from the seed: ``uniform``, ``aimed``, ``swarm``, ``swizzle``, or ``mix``,
    which is one of the others for each seed. An aimed run is made twice, the first time without faults."""
    faults: tuple[Fault, ...] = attrs.field(converter=as_faults, metadata=option_words.FAULTS_WORDS)
    """The schedule of faults; by default the one that *nemesis* and the seed make."""

    @concurrency.default
    def _one_client_per_node(self) -> int:
        return len(self.nodes) * workload_class(self.workload).clients_per_node

    @faults.default
    def _make_schedule(self) -> tuple[Fault, ...]:
        return self.nemesis_schedule()

    @search.validator
    def _can_draw(self, _: object, search: FaultSearch) -> None:
        check_search(search, self.nemesis)

    @nodes.validator
    def _are_ids(self, _: object, nodes: tuple[str, ...]) -> None:
        if not nodes or len(set(nodes)) < len(nodes):
            raise ValueError(f"the nodes are {list(nodes)!r:.80}; give at least one id, and each id only once")
        for node_id in nodes:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", node_id) or node_id in _NOT_NODES:
                raise ValueError(f"a node cannot be named {node_id!r:.80}; use letters, digits, '.', '-' and '_'")
            if node_id.startswith("c"):
                raise ValueError(f"a node cannot be named {node_id!r:.80}; ids that begin with 'c' are for clients")

    @invariants.validator
    def _are_different(self, _: object, invariants: tuple[str, ...]) -> None:
        for name in invariants:
            if invariants.count(name) > 1:
                raise ValueError(f"the invariant {name!r:.80} is given {invariants.count(name)} times; give it once")

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
                        f"a {fault.kind} names {name!r:.80}; name one of the nodes {list(self.nodes)!r:.80}"
                        + (", a service, or a group of links" if isinstance(fault, LinkFault) else "")
                    )
                if not isinstance(fault, LinkFault):
                    raise ValueError(f"a {fault.kind} names {name!r}, which is not a node; name only nodes")

    def __attrs_post_init__(self) -> None:
        workload = self.make_workload()
        with blaming(workload, "check_setting", but=(ValueError,)):
            workload.check_setting()

    def make_workload(self) -> Workload:
        """Return a new instance of the workload, for one run."""
        setting = Setting(
            nodes=self.nodes,
            concurrency=self.concurrency,
            latency=self.latency.mean,
            key_count=self.key_count,
            max_txn_length=self.max_txn_length,
            max_writes_per_key=self.max_writes_per_key,
            consistency_models=self.consistency_models,
        )
        return make_workload(self.workload, setting)

    @property
    def workload_name(self) -> str:
        """The name of the workload: that of its class if `workload` is ``MODULE:CLASS``."""
        return workload_class(self.workload).name

    def nemesis_schedule(self) -> tuple[Fault, ...]:
        """Return the schedule that the nemesis makes from the seed; `faults` may be another one."""
        return self._draw().faults

    def drawn(self) -> Drawn | None:
        """Return what `search` drew for the seed; None if it is ``uniform``, or if the faults are not from it."""
        drawn = None if self.search.strategy == UNIFORM else self._draw()
        return None if drawn is None or drawn.faults != self.faults else drawn

    def with_schedule(self, *, search: FaultSearch | None = None, seed: int | None = None) -> Options:
        """Return the same options with another *search* or *seed*, and the schedule that follows."""
        changed = attrs.evolve(
            self, faults=(), search=search or self.search.strategy, seed=self.seed if seed is None else seed
        )
        return attrs.evolve(changed, faults=changed.nemesis_schedule())

    def _draw(self) -> Drawn:
        return draw_schedule(
            self.search,
            self.nemesis,
            self.nodes,
            self.seed,
            interval=self.nemesis_interval,
            time_limit=self.time_limit,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the options as a JSON object; `from_json` is the opposite."""
        fields = attrs.asdict(self, recurse=False)
        return {
            **fields,
            "latency": attrs.asdict(self.latency),
            "search": attrs.asdict(self.search),
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
        fields["search"] = msgspec.convert(fields.get("search", {}), FaultSearch)
        unknown = fields.keys() - {field.name for field in attrs.fields(cls)}
        if unknown:
            raise ValueError(f"unknown options: {sorted(unknown)!r:.80}")
        return cls(**fields)


OPTIONS: Final[Mapping[str, Option]] = options_of(Options)
"""The declaration of each option, by its name."""

_JSON_TYPES: Final[dict[str, Any]] = {
    **typing.get_type_hints(Options),
    "latency": Any,
    "search": Any,
    "availability": float | str | None,
    "faults": list[dict[str, Any]],
}
"""The types of the options in JSON. Those of the fields of latency and search are checked when these are made."""


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
