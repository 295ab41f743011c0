"""The words of a run's page that not everybody knows, with their definitions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from .._checkers import Valid
from ._svg import element, escape

MEANINGS: Final[dict[Valid, str]] = {
    True: "The checkers found nothing wrong in this run. Another seed, or other faults, may still show a mistake.",
    False: "The nodes did not do what the test demands. These are the reasons:",
    "unknown": "This run does not show enough to be judged. These are the reasons:",
}
"""The meaning of each verdict."""

_TERMS: Final = {
    "operations": "requests of clients, except the reads that the simulator adds at the end of a run",
    "ok": "operations that succeeded",
    "fail": "operations that certainly had no effect, such as a refused request",
    "info": "operations that may have had an effect or not: no reply came in time, or an error that leaves this open",
    "available": "the fraction of operations that were ok",
    "pN latency": "N of 100 operations that were ok took at most this long: p50 is the median, p100 the slowest one",
    "pN stable latency": (
        "how long it took from when a client knew of a value until every read had it, for N of 100 values that were"
        " not lost"
    ),
    "messages": "all messages in the network, those of clients included",
    "server messages": "messages between nodes, and between nodes and services",
    "server messages per operation": "server messages, divided by operations",
    "valid?": "the verdict of this checker; the run is valid if all checkers say true",
    "attempt-count": "values that clients tried to add",
    "stable-count": "values that were in the last read, and are not lost",
    "lost-count": "values that a client knew of, but that the last read of a node lacked",
    "lost": "the values that lost-count counts",
    "missing": "for each node, the known values that its last read lacked",
    "late": "for each node, values that one of its final reads lacked, but not the last one",
    "never-read-count": "values that no client ever knew of",
    "never-read": "the values that never-read-count counts",
    "stale-count": "values that came, but that a read lacked although a client knew of them",
    "stale": "the values that stale-count counts",
    "stable-latencies": "how long it took from when a client knew of a value until every read had it",
    "lost-latencies": "how long lost values were still in reads after a client knew of them",
    "duplicated-count": "values or ids that occurred more than once",
    "duplicated": "what duplicated-count counts, each with the number of times that it occurred",
    "unexpected-count": "values in reads that no client had added",
    "unexpected": "the values that unexpected-count counts",
    "errors": "operations with a wrong result",
    "final-reads": "the values that clients read at the end",
    "acceptable": "ranges of values that are correct at the end",
    "last-reads": "for each node, the value that it returned last",
    "attempted-count": "ids that clients asked for",
    "acknowledged-count": "ids that nodes returned",
    "key-count": "keys that clients used",
    "failures": "keys whose operations no order explains",
    "range": "the smallest and the greatest id",
}
"""Names of figures and results, and their definitions. ``N`` stands for a number."""


def define(names: Iterable[str]) -> str:
    """Return the definitions of those of *names* that need one, to be unfolded; an empty text if there are none."""
    known = dict.fromkeys(name for name in map(_general, names) if name in _TERMS)
    pairs = "".join(element("dt", escape(name)) + element("dd", escape(_TERMS[name])) for name in known)
    terms = element("summary", "What do these words mean?") + element("dl", pairs, class_="terms")
    return element("details", terms) if pairs else ""


def _general(name: str) -> str:
    return re.sub(r"^p[\d.]+ ", "pN ", name)
