"""Nodes that are wrong, each in a way that people get them wrong, and what it takes to catch them; and right ones.

A case is worth something only if it is caught with every seed, so the options of each leave nothing to chance: where a
node fails only by bad luck, there is so much traffic that it has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs

from trio_messenger._cli.finding import find_build
from trio_messenger.sim import (
    Duplication,
    Kill,
    Latency,
    Loss,
    Options,
    Partition,
    Pause,
    Reordering,
    Report,
    SlowLinks,
    Storage,
)
from trio_messenger.sim._campaigns.simulation import run_simulation

NODES = tuple(f"n{number}" for number in range(1, 6))
MANY_NODES = tuple(f"n{number}" for number in range(1, 16))

CUT = Partition.between(NODES[:2], NODES[2:], at=2, until=8)
"""A time in which two nodes and the three others do not hear of each other."""

THREE_NODES: dict[str, Any] = {"nodes": NODES[:3], "time_limit": 5.0}
"""A small cluster, for nodes that are soon caught."""

LOST_REPLIES = Loss(links=[("services", "nodes")], rate=0.3)
"""Services do what nodes ask, but some nodes do not hear of it."""

KILL_ALL = Kill(nodes=NODES, at=5, until=6)
"""The end of all that is only in memory."""

ALL = ("partition", "oneway", "links", "loss", "duplicate", "reorder", "slow", "kill", "pause", "clock")
"""All nemeses that nodes without services feel."""

EVERYWHERE = [("all", "all")]

BEARABLE = (
    Duplication(links=EVERYWHERE, rate=0.5),
    Reordering(links=EVERYWHERE, rate=0.5, seconds=1.0),
    SlowLinks(links=EVERYWHERE, at=10, until=15, extra=0.5),
    Pause(nodes=NODES, at=4, until=6),
    Pause(nodes=NODES[:2], at=12, until=14),
)
"""What a node that asks no other one is to bear for the sake of its clients: all that loses nothing."""

ERRORS = r"n\d answered .* with "
LOST = r"n\d.* lacks? \d+ of the \d+ values at the end: "
DUPLICATED = r"the read of n\d at .* has the value \d+ (twice|\d+ times)"
UNEXPECTED = r"the read of n\d at .*, which no client added"
WRONG_SUM = r"(n\d+.*|all nodes) read -?\d+ at the end.*; (the acknowledged adds sum to|possible values are) "
UNAVAILABLE = r"availability is 0\.\d+, below the required"
MALFORMED = r"node 'n\d' answered 'echo' with a malformed reply: "
NOT_LINEARIZABLE = r"key \d+"
INCONSISTENT = r'offset \d+ of log "\d+" has \d messages: '
MISSING = r'n1 lacks \d+ messages? of log "\d+" at the end, although polls returned them: '
DUPLICATED_MESSAGE = r'message \d+ of log "\d+" is at \d offsets: '
ABORTED = r"the poll of n\d at .*, but its send failed at "
LOST_MESSAGE = r'message \d+ of log "\d+" is lost: '
REPEATED_MESSAGE = r"process \d+ polled log .*, the same one"
ANOMALY = r"the transactions are not strict-serializable"
DUPLICATED_IDS = r"(n\d and n\d both returned|n\d returned|id .* was returned) "


@attrs.frozen(kw_only=True)
class Case:
    """A node and what to run it with; valid with every seed if the node is right, invalid if it is wrong."""

    node: str
    options: Options
    because: str = ""
    """What the first reason why a wrong one is invalid begins with, as a pattern; a right one has none."""
    is_long: bool = False
    """Whether it is one of `LONG_CASES`."""

    @property
    def is_right(self) -> bool:
        return not self.because

    @property
    def name(self) -> str:
        name = f"{self.options.workload} {self.node.removeprefix('support.wrong_nodes.')}"
        return f"{name} for {self.options.time_limit:g} s" if self.is_long else name

    def is_as_expected(self, valid: object, reasons: Sequence[str]) -> bool:
        """Whether a run ended as it must: a right node passes, and a wrong one is caught for what it does wrong."""
        if self.is_right:
            return valid is True
        return valid is False and re.match(self.because, reasons[0]) is not None

    @property
    def arguments(self) -> tuple[str, ...]:
        return "--node", self.node


def run_named(options: Options, node: tuple[str, ...]) -> Report:
    """Make one run of the node that *node*, ``--node NAME``, names."""
    return run_simulation(options, find_build(node[1]), node=node)


def _wrong(workload: str, node: str, because: str, **options: Any) -> Case:
    usual: dict[str, Any] = {"rate": 20.0, "time_limit": 10.0}
    return Case(
        node=f"support.wrong_nodes.{node}",
        options=Options(workload=workload, **usual | options),
        because=because,
    )


def _not_by_the_checker(workload: str, node: str, because: str, **options: Any) -> Case:
    """Return a case that the workload's checker has nothing against."""
    return attrs.evolve(_wrong(workload, node, "", **options), because=because)


def _right(workload: str, node: str | None = None, **options: Any) -> Case:
    harsh: dict[str, Any] = {
        "rate": 20.0,
        "time_limit": 20.0,
        "latency": Latency(30, "exponential"),
        "loss": 0.05,
        "duplicate": 0.05,
        "nemesis": ALL,
        "nemesis_interval": 2.0,
    }
    return Case(node=node or workload, options=Options(workload=workload, **harsh | options))


WRONG_LOG = rf"({INCONSISTENT}|{DUPLICATED_MESSAGE}|{LOST_MESSAGE}|{MISSING})"
FEW: dict[str, Any] = {"latency": Latency(20), **THREE_NODES}

READY_MADE = (
    _wrong("broadcast", "ready_made:never_compares", LOST, loss=0.2, **FEW),
    _wrong("broadcast", "ready_made:ignores_gaps", LOST, loss=0.2, **FEW),
    _wrong("broadcast", "ready_made:acknowledges_before_it_syncs", LOST, faults=[Storage(nodes=NODES), KILL_ALL]),
    _wrong("broadcast", "ready_made:begins_its_log_again", LOST, faults=[Kill(nodes=("n2",), at=3, until=3.5)]),
    _wrong("kafka", "ready_made:overwrites_chunks", WRONG_LOG, rate=50.0, concurrency=9, **FEW),
    _wrong("kafka", "ready_made:appends_chunks_twice", DUPLICATED_MESSAGE, faults=[LOST_REPLIES], **THREE_NODES),
    _wrong("kafka", "ready_made:ignores_missing_chunks", WRONG_LOG, loss=0.3, **FEW),
    _wrong("kafka", "ready_made:promises_offsets", WRONG_LOG, **FEW),
    _wrong("txn-list-append", "ready_made:reads_from_its_copy", ANOMALY, loss=0.2, **FEW),
    _wrong("txn-list-append", "ready_made:appends_transactions_twice", ANOMALY, faults=[LOST_REPLIES], **THREE_NODES),
    _wrong("txn-list-append", "ready_made:answers_before_it_appends", ANOMALY, **FEW),
    _wrong("txn-list-append", "ready_made:skips_entries", ANOMALY, loss=0.2, **FEW),
)
"""The ready-made nodes with one rule changed. These mistakes are subtle: not each seed catches them, so the campaign
hunts them, as it does those in Raft; see `support.hunts`.
"""

CASES = (
    _right("echo", nemesis=(), faults=BEARABLE),
    _wrong("echo", "echo:cuts_short", ERRORS),
    _wrong("echo", "echo:mixes_up", ERRORS),
    _not_by_the_checker("echo", "echo:drops_some", UNAVAILABLE, availability="total"),
    _not_by_the_checker("echo", "echo:dawdles", UNAVAILABLE, availability="total"),
    _not_by_the_checker("echo", "echo:answers_with_more", MALFORMED),
    _right("unique-ids"),
    _wrong("unique-ids", "unique_ids:counts_alone", DUPLICATED_IDS),
    _wrong("unique-ids", "unique_ids:trusts_the_clock", DUPLICATED_IDS, rate=500.0, time_limit=2.0),
    _wrong("unique-ids", "unique_ids:counts_anew", DUPLICATED_IDS, faults=[KILL_ALL], time_limit=20.0),
    _wrong("unique-ids", "unique_ids:saves_too_late", DUPLICATED_IDS, faults=[KILL_ALL], time_limit=20.0),
    _wrong("unique-ids", "unique_ids:draws_few_bits", DUPLICATED_IDS, rate=100.0),
    _wrong("unique-ids", "unique_ids:takes_turns_badly", DUPLICATED_IDS, latency=Latency(20)),
    _right("broadcast"),
    _right("broadcast", "broadcast-frugal"),
    _wrong("broadcast", "broadcast:tells_once", LOST, faults=[CUT]),
    _wrong("broadcast", "broadcast:relays_nothing", LOST, topology="line"),
    _wrong("broadcast", "broadcast:repeats_itself", DUPLICATED, duplicate=0.1),
    _wrong("broadcast", "broadcast:drops_some", LOST),
    _wrong("broadcast", "broadcast:never_listens", r"n2 lacks \d+ of the \d+ values at the end: ", topology="total"),
    _wrong("broadcast", "broadcast:splits_brain", LOST, topology="total"),
    _wrong("broadcast", "broadcast:forgets", LOST, faults=[KILL_ALL]),
    _wrong("broadcast", "broadcast:reads_stale", LOST),
    _wrong("broadcast", "broadcast:invents", UNEXPECTED),
    _right("g-set"),
    _wrong("g-set", "g_set:reads_stale", LOST),
    _wrong("g-set", "g_set:keeps_to_itself", LOST),
    _wrong("g-set", "g_set:tells_the_latest", LOST, faults=[CUT]),
    _wrong("g-set", "g_set:forgets", LOST, faults=[KILL_ALL]),
    _wrong("g-set", "g_set:overwrites", LOST, latency=Latency(20)),
    _wrong("g-set", "g_set:trusts_the_last_write", LOST, latency=Latency(20), lww_kv="merging"),
    _right("g-counter"),
    _right("g-counter", "seq-kv-counter", nemesis=(*ALL, "services")),
    _wrong("g-counter", "counters:adds_twice", WRONG_SUM, loss=0.1),
    _wrong("g-counter", "counters:tells_once", WRONG_SUM, loss=0.1),
    _wrong("g-counter", "counters:believes_the_last", WRONG_SUM, latency=Latency(50)),
    _wrong("g-counter", "counters:forgets", WRONG_SUM, faults=[KILL_ALL]),
    _wrong("g-counter", "counters:overwrites", WRONG_SUM, latency=Latency(20)),
    _wrong("g-counter", "counters:reads_the_past", WRONG_SUM, nodes=MANY_NODES, latency=Latency(1)),
    _right("pn-counter"),
    # Deltas of both signs may make up for each other: where all nodes come to one wrong sum, it takes a g-counter.
    _wrong("pn-counter", "counters:adds_twice", WRONG_SUM, loss=0.1),
    _wrong("pn-counter", "counters:tells_once", WRONG_SUM, duplicate=0.1),
    _wrong("pn-counter", "counters:only_grows", WRONG_SUM),
    _wrong("pn-counter", "counters:merges_by_the_greater", WRONG_SUM),
    _wrong("pn-counter", "counters:reads_the_past", WRONG_SUM, nodes=MANY_NODES, latency=Latency(1)),
    _right("lin-kv", "lin-kv-proxy", rate=50.0, nemesis=(*ALL, "services")),
    _right(
        "lin-kv",
        "raft",
        # Slow links, or cuts in one direction, leave some schedules no time in which anything could succeed.
        nemesis=("partition", "links", "loss", "duplicate", "reorder", "kill", "pause", "clock"),
        latency=Latency(5, "exponential"),
    ),
    _wrong("lin-kv", "lin_kv:forgets", NOT_LINEARIZABLE),
    _wrong("lin-kv", "lin_kv:reads_from_memory", NOT_LINEARIZABLE),
    _wrong("lin-kv", "lin_kv:sets_in_steps", NOT_LINEARIZABLE, rate=100.0, latency=Latency(20)),
    _wrong("lin-kv", "lin_kv:keeps_its_own", NOT_LINEARIZABLE),
    _right("kafka", nemesis=(*ALL, "services")),
    _wrong("kafka", "kafka:keeps_logs_to_itself", INCONSISTENT, **THREE_NODES),
    _wrong("kafka", "kafka:forgets", MISSING, nodes=("n1",), faults=[Kill(nodes=("n1",), at=8, until=9)]),
    _wrong("kafka", "kafka:overwrites", INCONSISTENT, latency=Latency(20), rate=50.0, concurrency=9, **THREE_NODES),
    _wrong("kafka", "kafka:acknowledges_early", INCONSISTENT, latency=Latency(20), **THREE_NODES),
    _wrong("kafka", "kafka:appends_twice", DUPLICATED_MESSAGE, faults=[LOST_REPLIES], concurrency=12, **THREE_NODES),
    _wrong("kafka", "kafka:says_it_did_not", ABORTED, faults=[LOST_REPLIES], rate=40.0, concurrency=12, **THREE_NODES),
    _wrong("kafka", "kafka:leaves_out_the_next", LOST_MESSAGE, **THREE_NODES),
    _wrong("kafka", "kafka:returns_the_last_again", REPEATED_MESSAGE, **THREE_NODES),
    _right("txn-rw-register", "txn-rw-register-read-committed", rate=40.0, consistency_models=("read-committed",)),
    _right("txn-rw-register", "txn-rw-register-read-uncommitted", rate=40.0, consistency_models=("read-uncommitted",)),
    *READY_MADE,
    *(
        case
        for workload in ("txn-list-append", "txn-rw-register")
        for case in (
            _right(workload, nemesis=(*ALL, "services")),
            _wrong(workload, "transactions:overwrites", ANOMALY, latency=Latency(20)),
            _wrong(workload, "transactions:does_one_at_a_time", ANOMALY, latency=Latency(20)),
            _wrong(workload, "transactions:does_not_see_its_own", ANOMALY),
            _wrong(workload, "transactions:keeps_its_own", ANOMALY),
        )
    ),
)

LONG_CASES = tuple(
    attrs.evolve(
        case,
        is_long=True,
        options=attrs.evolve(case.options, time_limit=600.0, rate=case.options.rate / 2, nemesis_interval=10.0),
    )
    for case in CASES
    if case.is_right
)
"""The right nodes, for ten virtual minutes."""
