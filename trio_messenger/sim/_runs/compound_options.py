"""Options with several words on the command line, or with computed values: how they are read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from .._faults.faults import fault_to_json
from .._network.latency_distribution import DISTRIBUTIONS, Latency
from .declaration import Typed

_Options: TypeAlias = Any
"""The class `Options`. This module cannot import it, because `options.py` imports this module."""

DEFAULT_NODES: Final = ("n1", "n2", "n3", "n4", "n5")
"""The default nodes, the same as Maelstrom's."""

MOST_COUNTED_NODES: Final = 10_000
"""The largest ``--node-count``. A larger cluster would use up the memory of the machine before the run begins."""


def numbered(count: int) -> tuple[str, ...]:
    """Return the ids that Maelstrom gives to *count* nodes: ``n0``, ``n1`` and so on."""
    return tuple(f"n{number}" for number in range(count))


def read_nodes(typed: Typed, _: Mapping[str, Any]) -> Any:
    """Return the typed ids in Jepsen's order, or the ids of the typed number of nodes."""
    ids = [*(typed["nodes_file"] or []), *(typed["nodes"] or []), *(typed["n"] or [])]
    count = typed["node_count"]
    if ids and count is not None:
        raise ValueError("--node-count determines the ids; leave out either it, or -n, --nodes and --nodes-file")
    return ids or (None if count is None else numbered(count))


def write_nodes(options: _Options, _: _Options) -> dict[str, object]:
    """Write the number of nodes if it determines their ids, and the ids otherwise."""
    nodes = options.nodes
    if nodes == DEFAULT_NODES:
        return {}
    is_counted = len(nodes) <= MOST_COUNTED_NODES and nodes == numbered(len(nodes))
    return {"--node-count": len(nodes)} if is_counted else {"--nodes": nodes}


def read_concurrency(typed: Typed, made: Mapping[str, Any]) -> int | None:
    """Return the typed number of clients, multiplied by the number of nodes if it is per node."""
    if typed["concurrency"] is None:
        return None
    count, is_for_each = typed["concurrency"]
    return int(count * len(made.get("nodes", DEFAULT_NODES)) if is_for_each else count)


def read_latency(typed: Typed, _: Mapping[str, Any]) -> Latency | None:
    """Return the latency with the typed mean and distribution."""
    if typed["latency"] is None:
        return None
    return Latency(typed["latency"], typed["latency_dist"] or DISTRIBUTIONS[0])


def write_latency(options: _Options, usual: _Options) -> dict[str, object]:
    """Write both words, unless there is no latency."""
    latency = options.latency
    return {} if latency == usual.latency else {"--latency": latency.mean, "--latency-dist": latency.distribution}


def write_nemesis(options: _Options, _: _Options) -> dict[str, object]:
    """Write the kinds of faults, if the nemesis made the schedule."""
    return {"--nemesis": options.nemesis} if options.nemesis and _is_made_by_nemesis(options) else {}


def write_nemesis_interval(options: _Options, usual: _Options) -> dict[str, object]:
    """Write the interval, if the nemesis made the schedule."""
    interval = options.nemesis_interval
    is_needed = options.nemesis and interval != usual.nemesis_interval and _is_made_by_nemesis(options)
    return {"--nemesis-interval": interval} if is_needed else {}


def write_search(options: _Options, usual: _Options) -> dict[str, object]:
    """Write the strategy, if it made the schedule; what it drew follows from the seed."""
    strategy = options.search.strategy
    return {"--search": strategy} if options.search != usual.search and _is_made_by_nemesis(options) else {}


def write_faults(options: _Options, _: _Options) -> dict[str, object]:
    """Write the schedule, unless the nemesis made it."""
    if _is_made_by_nemesis(options):
        return {}
    return {"--faults": json.dumps([fault_to_json(fault) for fault in options.faults])}


def _is_made_by_nemesis(options: _Options) -> bool:
    return bool(options.faults == options.nemesis_schedule())
