"""The words of each option of ``trio-messenger test`` on the command line, and their help.

`X_WORDS` is the metadata of the field ``x`` of `Options`; see `declaration.py`.
"""

from __future__ import annotations

from typing import Final

from .._faults.fault_search import SEARCHES, UNIFORM
from .._faults.schedules import NEMESES
from .._network.latency_distribution import DISTRIBUTIONS
from .._services import LWW_KV_VARIANTS
from .._workloads import TOPOLOGIES, WORKLOADS
from .compound_options import (
    read_concurrency,
    read_latency,
    read_nodes,
    write_faults,
    write_latency,
    write_nemesis,
    write_nemesis_interval,
    write_nodes,
    write_search,
)
from .declaration import Argument, Group, OneOf, SomeOf, ValueKind, option

KNOWN_TOPOLOGY: Final = OneOf("topology", TOPOLOGIES)
KNOWN_LWW_KV: Final = OneOf("variant of lww-kv", LWW_KV_VARIANTS)
KNOWN_NEMESIS: Final = SomeOf("nemesis", tuple(kind.name for kind in NEMESES))

WORKLOAD_WORDS: Final = option(
    Group.TESTED,
    Argument(
        "-w --workload",
        "NAME | MODULE:CLASS",
        ValueKind.WORKLOAD,
        f"required; the operations of the clients, and how their outcome is judged: {', '.join(WORKLOADS)}, or your own"
        " subclass of Workload",
    ),
    always=True,
)

NODES_WORDS: Final = option(
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
)

INVARIANTS_WORDS: Final = option(
    Group.TESTED,
    Argument(
        "--invariant",
        "MODULE:FUNCTION",
        ValueKind.ID,
        "call the function with all living nodes after each event, and end as invalid if it raises; repeat this option"
        " for each function; not with --bin",
        default="",
    ),
    write=lambda options, _: {"--invariant": list(options.invariants)} if options.invariants else {},
)

SEED_WORDS: Final = option(
    Group.CHANCE,
    Argument(
        "--seed",
        "N",
        ValueKind.WHOLE,
        "the seed of all random choices; the same seed gives the same run, or with --bin the same operations"
        " and faults",
    ),
    always=True,
)

CONCURRENCY_WORDS: Final = option(
    Group.CLIENTS,
    Argument(
        "--concurrency",
        "N",
        ValueKind.CLIENTS,
        "how many clients send requests at the same time: a number, or a number per node, as in 2n",
        default="1n; 2n for lin-kv",
    ),
    read=read_concurrency,
)

RATE_WORDS: Final = option(
    Group.CLIENTS,
    Argument("--rate", "R", ValueKind.NUMBER, "operations per second, of all clients together"),
)

TIME_LIMIT_WORDS: Final = option(
    Group.CLIENTS,
    Argument("--time-limit", "SECONDS", ValueKind.NUMBER, "the length of the main phase, in seconds"),
)

LATENCY_WORDS: Final = option(
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
)

LOSS_WORDS: Final = option(
    Group.NETWORK,
    Argument("--loss", "P", ValueKind.NUMBER, "probability that a message from node to node is lost, from 0 to 1"),
)

DUPLICATE_WORDS: Final = option(
    Group.NETWORK,
    Argument(
        "--duplicate",
        "P",
        ValueKind.NUMBER,
        "probability that a message from node to node is delivered twice, from 0 to 1",
    ),
)

TOPOLOGY_WORDS: Final = option(
    Group.CLUSTER,
    Argument("--topology", "NAME", KNOWN_TOPOLOGY, "the neighbours of each node, for the broadcast workload"),
)

LWW_KV_WORDS: Final = option(
    Group.CLUSTER,
    Argument(
        "--lww-kv",
        "VARIANT",
        KNOWN_LWW_KV,
        "the behaviour of the two replicas of the service lww-kv",
        default="separate, as in Maelstrom",
    ),
)

KEY_COUNT_WORDS: Final = option(
    Group.CLIENTS,
    Argument(
        "--key-count",
        "N",
        ValueKind.WHOLE,
        "how many keys the operations of the kafka and transaction workloads use at the same time",
    ),
)

MAX_TXN_LENGTH_WORDS: Final = option(
    Group.CLIENTS,
    Argument("--max-txn-length", "N", ValueKind.WHOLE, "the maximum number of operations in a transaction"),
)

MAX_WRITES_PER_KEY_WORDS: Final = option(
    Group.CLIENTS,
    Argument(
        "--max-writes-per-key",
        "N",
        ValueKind.WHOLE,
        "how many writes a key gets, in the kafka and transaction workloads, before another key replaces it",
    ),
)

CONSISTENCY_MODELS_WORDS: Final = option(
    Group.CLIENTS,
    Argument(
        "--consistency-models",
        "MODEL,MODEL,...",
        ValueKind.IDS,
        "the consistency models that transactions have to satisfy, such as serializable or read-committed",
    ),
)

AVAILABILITY_WORDS: Final = option(
    Group.CLIENTS,
    Argument(
        "--availability",
        "FRACTION",
        ValueKind.FRACTION_OR_TOTAL,
        "the fraction of operations that must be ok, from 0 to 1, or: total",
        default="any",
    ),
)

BUSY_LIMIT_WORDS: Final = option(
    Group.CHANCE,
    Argument(
        "--busy-limit",
        "N",
        ValueKind.WHOLE,
        "end the run as stuck, and invalid, if nodes send N messages, or their tasks take N turns, in less than"
        " a second of virtual time; with --bin, kill the node that prints the most if nodes print N lines at"
        " once",
    ),
)

NEMESIS_WORDS: Final = option(
    Group.FAULTS,
    Argument(
        "--nemesis", "KIND,KIND,...", KNOWN_NEMESIS, "make a schedule of these faults from the seed", default="none"
    ),
    write=write_nemesis,
    late=True,
)

NEMESIS_INTERVAL_WORDS: Final = option(
    Group.FAULTS,
    Argument("--nemesis-interval", "SECONDS", ValueKind.NUMBER, "mean time between changes of these faults"),
    write=write_nemesis_interval,
    late=True,
)

SEARCH_WORDS: Final = option(
    Group.FAULTS,
    Argument(
        "--search",
        "NAME",
        OneOf("search", SEARCHES),
        "how these faults are drawn; mix draws one of the others for each seed",
        default=UNIFORM,
    ),
    write=write_search,
    late=True,
)

FAULTS_WORDS: Final = option(
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
)
