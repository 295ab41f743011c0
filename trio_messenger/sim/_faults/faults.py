"""Fault records: each says what goes wrong in a run, where, from when, and until when.

A schedule is a list of these records. You can write it by hand, create it from nemesis options, generate it with
Hypothesis, save it, replay it, and reduce it to the few faults that matter. Times are seconds since the main phase
began. Faults that are still active at the end of the main phase are healed then.

Link faults name *links*. A link is a pair of a sender and a receiver. Each of the two is the id of a node, client or
service, or one of the groups ``nodes``, ``services``, ``clients`` and ``all``. Links are one-way, so cutting both
directions takes two links.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final, TypeAlias, final

import attrs
import msgspec

from ..._protocol.known_names import unknown
from .bounds import is_at_least_zero, is_finite, is_fraction, is_not_too_great

Links: TypeAlias = tuple[tuple[str, str], ...]
"""Pairs of a sender and a receiver: ids, or the groups ``nodes``, ``services``, ``clients`` and ``all``."""

GROUPS: Final = ("nodes", "services", "clients", "all")
"""Names that stand for several senders or receivers of a link."""

BETWEEN_NODES: Final[Links] = (("nodes", "nodes"),)
"""All links from a node to another node or to itself. Link faults affect these by default."""


def _pairs(links: Iterable[Sequence[str]]) -> Links:
    pairs = []
    for link in links:
        if isinstance(link, str) or len(link) != 2:  # noqa: PLR2004 - a pair
            raise ValueError(f"a link is {link!r:.80}; give pairs of a sender and a receiver")
        pairs.append((link[0], link[1]))
    return tuple(dict.fromkeys(pairs))


def _ids(nodes: Iterable[str]) -> tuple[str, ...]:
    if isinstance(nodes, str):
        raise ValueError(f"nodes is {nodes!r:.80}; give a list of ids")
    return tuple(nodes)


@attrs.frozen(kw_only=True)
class Fault(ABC):
    """The fields that all faults share.

    Example:
      >>> schedule = [Loss(rate=0.5), Kill(nodes=["n1"], at=2, until=4)]
      >>> [(fault.kind, fault.at, fault.until) for fault in schedule]
      [('loss', 0.0, inf), ('kill', 2, 4)]
      >>> Loss(rate=0.5, at=4, until=2)
      Traceback (most recent call last):
        ...
      ValueError: a loss from 4 s until 2 s has no duration; give a later end
    """

    kind: ClassVar[str]
    """The name of this kind of fault on the command line and in schedule files."""

    at: float = attrs.field(default=0.0, validator=is_at_least_zero)
    """When the fault begins, in seconds since the main phase began. It begins before everything else at that moment."""
    until: float = attrs.field(default=math.inf)
    """When the fault ends, in seconds since the main phase began, also before everything else at that moment.
    ``math.inf`` means the end of the main phase."""

    @until.validator
    def _comes_after_its_beginning(self, _: object, until: float) -> None:
        if not until > self.at:
            raise ValueError(f"a {self.kind} from {self.at} s until {until} s has no duration; give a later end")
        if until < math.inf:
            is_not_too_great("until", until)


@attrs.frozen(kw_only=True)
class LinkFault(Fault):
    """A fault that affects links.

    Example:
      >>> Partition(links=[("n1", "nodes"), ("n2", "lin-kv")]).links
      (('n1', 'nodes'), ('n2', 'lin-kv'))
      >>> Loss(rate=0.5).links  # by default, all links between nodes
      (('nodes', 'nodes'),)
    """

    links: Links = attrs.field(default=BETWEEN_NODES, converter=_pairs)
    """The links that the fault affects."""


@attrs.frozen(kw_only=True)
class NodeFault(Fault):
    """A fault that affects nodes.

    Example:
      >>> Pause(nodes=["n1", "n2"]).nodes
      ('n1', 'n2')
      >>> Pause(nodes=["all"])
      Traceback (most recent call last):
        ...
      ValueError: a pause names the group 'all'; groups are for links: name each node
    """

    nodes: tuple[str, ...] = attrs.field(converter=_ids)
    """The ids of the nodes that the fault affects, each once."""

    @nodes.validator
    def _are_nodes(self, _: object, nodes: tuple[str, ...]) -> None:
        for index, node_id in enumerate(nodes):
            if node_id in GROUPS:
                raise ValueError(f"a {self.kind} names the group {node_id!r}; groups are for links: name each node")
            if node_id in nodes[:index]:
                raise ValueError(f"a {self.kind} names {node_id!r:.80} twice; name each node once")


@final
@attrs.frozen(kw_only=True)
class Partition(LinkFault):
    """Drops messages on the links when they are due for delivery. Messages already on their way are dropped too.

    Example:
      >>> partition = Partition.between(["n1"], ["n2"], at=1, until=4)
      >>> partition.links
      (('n1', 'n2'), ('n2', 'n1'))
      >>> report = simulate("broadcast", broadcast.build, nodes=2, time_limit=5, faults=[partition])
      >>> report.valid, [entry.reason for entry in report.journal if entry.event == "drop"][:2]
      (True, ['partition', 'partition'])
    """

    kind: ClassVar[str] = "partition"

    @classmethod
    def between(cls, *groups: Iterable[str], at: float = 0.0, until: float = math.inf) -> Partition:
        """Return a partition that cuts every link, in both directions, between nodes of different *groups*."""
        sides = [tuple(group) for group in groups]
        pairs = itertools.permutations(sides, 2)
        return cls(at=at, until=until, links=[(src, dest) for one, other in pairs for src in one for dest in other])


@final
@attrs.frozen(kw_only=True)
class Loss(LinkFault):
    """Loses messages on the links, each with the same probability.

    Example:
      >>> report = simulate("broadcast", broadcast.build, nodes=2, time_limit=5, faults=[Loss(rate=0.5)])
      >>> report.valid, {entry.reason for entry in report.journal if entry.event == "drop"}
      (True, {'loss'})
    """

    kind: ClassVar[str] = "loss"
    rate: float = attrs.field(validator=is_fraction)
    """The probability that a message is lost, from 0 to 1."""


@final
@attrs.frozen(kw_only=True)
class Duplication(LinkFault):
    """Delivers messages on the links twice, each with the same probability. The copy arrives a little later.

    Example:
      >>> report = simulate("broadcast", broadcast.build, nodes=2, time_limit=5, faults=[Duplication(rate=0.5)])
      >>> report.valid, any(entry.event == "duplicate" for entry in report.journal)
      (True, True)
    """

    kind: ClassVar[str] = "duplicate"
    rate: float = attrs.field(validator=is_fraction)
    """The probability that a message is duplicated, from 0 to 1."""


@final
@attrs.frozen(kw_only=True)
class Reordering(LinkFault):
    """Holds messages on the links back, each with the same probability, so that later messages overtake them.

    Example:
      >>> faults = [Reordering(rate=0.5, seconds=0.2)]
      >>> simulate("broadcast", broadcast.build, nodes=2, time_limit=5, faults=faults).valid
      True
    """

    kind: ClassVar[str] = "reorder"
    rate: float = attrs.field(validator=is_fraction)
    """The probability that a message is held back, from 0 to 1."""
    seconds: float = attrs.field(default=0.1, validator=is_at_least_zero)
    """The longest time, in seconds, that a message is held back."""


@final
@attrs.frozen(kw_only=True)
class SlowLinks(LinkFault):
    """Delays messages that are sent on the links.

    Example:
      >>> slow = SlowLinks(links=[("clients", "nodes")], extra=2)
      >>> report = simulate("echo", echo.build, nodes=1, time_limit=5, faults=[slow])
      >>> first = report.history.operations()[0]
      >>> (first.completion.time - first.invocation.time) / 1e9  # seconds
      2.0
    """

    kind: ClassVar[str] = "slow"
    factor: float = attrs.field(default=10.0, validator=is_at_least_zero)
    """The factor that multiplies their latency. (Jepsen's ``slow!`` uses 10.)"""
    extra: float = attrs.field(default=0.0, validator=is_at_least_zero)
    """Seconds that are added after the multiplication."""


@final
@attrs.frozen(kw_only=True)
class Kill(NodeFault):
    """Kills nodes, as SIGKILL does, and starts them again at the end of the fault.

    They lose their memory and every message that was on its way to them. They keep their durable store, except for
    changes that were not synced (see `SimulatedStore` and `Storage`).

    Example:
      >>> report = simulate("echo", echo.build, nodes=1, time_limit=5, faults=[Kill(nodes=["n1"], at=1, until=3)])
      >>> [(entry.event, entry.t / 1e9) for entry in report.journal if entry.node == "n1" and entry.t > 0]
      [('kill', 1.0), ('start', 3.0), ('ready', 3.0)]
    """

    kind: ClassVar[str] = "kill"


@final
@attrs.frozen(kw_only=True)
class Pause(NodeFault):
    """Pauses nodes, as SIGSTOP does, and resumes them at the end of the fault.

    Messages to and from a paused node wait until it resumes. In virtual time its timers still run, since all nodes
    share one clock; messages that these timers send leave at the end of the fault.

    Example:
      >>> report = simulate("echo", echo.build, nodes=1, time_limit=5, faults=[Pause(nodes=["n1"], at=1, until=3)])
      >>> [(entry.event, entry.t / 1e9) for entry in report.journal if entry.node == "n1" and entry.t > 0]
      [('pause', 1.0), ('resume', 3.0)]
    """

    kind: ClassVar[str] = "pause"


@final
@attrs.frozen(kw_only=True)
class ClockSkew(NodeFault):
    """Sets the nodes' wall clocks (`~trio_messenger.Node.wall_time`) wrong. Timers use another clock and stay right.

    Example:
      >>> def build():
      ...     node = Node()
      ...     node.on("echo")(lambda request: request.body)
      ...     node.every(1, lambda: print(f"{node.wall_time() - trio.current_time():.0f}"))
      ...     return node
      >>> skew = ClockSkew(nodes=["n1"], seconds=100, at=1.5)
      >>> right, wrong, *_ = simulate("echo", build, nodes=["n1"], time_limit=2, faults=[skew]).logs["n1"]
      >>> int(wrong) - int(right)
      100
    """

    kind: ClassVar[str] = "clock"
    seconds: float = attrs.field(validator=is_finite)
    """Seconds by which the clocks are ahead; negative if they are behind."""


@final
@attrs.frozen(kw_only=True)
class Storage(NodeFault):
    """Makes the nodes' stores lose what was not synced, and makes syncs slow.

    During this fault, a `Kill` is that of the whole machine: the store loses the changes that were not synced, also if
    the node has never called ``sync``. It loses all of them or the last ones, as in a log whose end was not written.
    What was synced is never lost. A sync covers what was changed before the call.

    Example:
      A node that answers without waiting for the disk, and forgets what it has answered:

      >>> def build(store):
      ...     node = Node()
      ...     print("begins with", store.get("count", 0))
      ...
      ...     @node.on("echo")
      ...     def count(request):
      ...         store["count"] = store.get("count", 0) + 1
      ...         return {"echo": request.body["echo"]}
      ...
      ...     return node
      >>> faults = [Storage(nodes=["n1"], torn=0), Kill(nodes=["n1"], at=1, until=2)]
      >>> for line in simulate("echo", build, nodes=["n1"], time_limit=3, faults=faults).logs["n1"]:
      ...     print(line)
      begins with 0
      1.000000 changes of the store that were lost, because they were not synced: 7
      begins with 0
    """

    kind: ClassVar[str] = "storage"
    seconds: float = attrs.field(default=0.1, validator=is_at_least_zero)
    """The longest time, in seconds, that a sync takes. Each takes a random time."""
    torn: float = attrs.field(default=0.5, validator=is_fraction)
    """The probability that a kill leaves some of the changes that were not synced: the first ones, a random number of
    them. Otherwise none of them is left."""


KINDS: Final[dict[str, type[Fault]]] = {
    cls.kind: cls for cls in (Partition, Loss, Duplication, Reordering, SlowLinks, Kill, Pause, ClockSkew, Storage)
}
"""All kinds of faults, by name."""


def describe(fault: Fault) -> str:
    """Describe *fault* in one line: its kind, the links or nodes that it affects, and its figures."""
    where = ", ".join(fault.nodes) if isinstance(fault, NodeFault) else _describe_links(fault)
    figures = attrs.asdict(
        fault, filter=lambda field, _: field.name not in ("at", "until", "nodes", "links"), recurse=False
    )
    return " ".join([fault.kind, where or "nowhere", *(f"{name}={value:g}" for name, value in figures.items())])


def when(fault: Fault) -> str:
    """Describe in words when *fault* begins and ends."""
    return f"from {fault.at:g} s until {'the end' if math.isinf(fault.until) else f'{fault.until:g} s'}"


def in_python(faults: Iterable[Fault]) -> str:
    """Return *faults* as a Python list, without the fields that have their default values."""
    return f"[{', '.join(map(_in_python, faults))}]"


def _in_python(fault: Fault) -> str:
    given = attrs.asdict(fault, recurse=False, filter=lambda field, value: value != field.default)
    return f"{type(fault).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def _describe_links(fault: Fault) -> str:
    assert isinstance(fault, LinkFault)
    if fault.links == BETWEEN_NODES:
        return "between all nodes"
    senders: dict[tuple[str, ...], list[str]] = {}
    for dest in dict.fromkeys(dest for _, dest in fault.links):
        senders.setdefault(tuple(src for src, other in fault.links if other == dest), []).append(dest)
    return "; ".join(f"{','.join(srcs)} -> {','.join(dests)}" for srcs, dests in senders.items())


def fault_to_json(fault: Fault) -> dict[str, Any]:
    """Return *fault* as a JSON object. A fault that lasts to the end has ``"until": null``."""
    fields = {"kind": fault.kind, **attrs.asdict(fault), "until": None if math.isinf(fault.until) else fault.until}
    value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(fields))  # turns all nested tuples into lists
    return value


def fault_from_json(value: dict[str, Any]) -> Fault:
    """Return the fault that `fault_to_json` encoded as *value*.

    Raises:
      ValueError: if *value* is no valid fault; the text says why.
    """
    fields = dict(value)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(unknown("fault of kind", kind, KINDS))
    known = [field.name for field in attrs.fields(KINDS[kind])]
    for name in fields:
        if name not in known:
            raise ValueError(f"a fault of kind {kind!r} has no {name!r:.80}; it has: {', '.join(known)}")
    if fields.get("until") is None:
        fields["until"] = math.inf
    return msgspec.convert(fields, KINDS[kind])
