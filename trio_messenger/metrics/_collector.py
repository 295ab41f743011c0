"""What Prometheus gets of a node: its counters, its latencies, and what is pending."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Final, final

import attrs
from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from trio_messenger import Node, Stats

from ._http import HttpReply

METRIC_PREFIX: Final = "trio_messenger_"
"""How the name of each metric of a node begins."""

LATENCY_BOUNDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""The upper bounds of the histogram of latencies, in seconds: from a message on one machine to a patient RPC."""

_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The format that every Prometheus reads."""

COUNTER_MEANINGS: Final = {
    "received": "Lines received, malformed ones included",
    "sent": "Messages handed to the transport",
    "malformed": "Lines that are not messages, and messages with wrong types",
    "misdirected": "Messages for another node, dropped",
    "early": "Requests before init was done, answered with error 11",
    "unsupported": "Requests of a type without a handler, answered with error 10",
    "shed": "Requests refused with error 11, because too many handlers were running",
    "stray_errors": "Error messages that reply to nothing, dropped",
    "handler_failures": "Handlers, callbacks and background tasks that failed",
    "scopes_left_open": "Times that a function returned without leaving a cancel scope or a nursery",
    "rpcs": "RPCs that began",
    "answered": "RPCs that ended with a reply, error replies included",
    "reaped": "RPCs that ended at their deadline",
    "abandoned": "RPCs that nobody waits for any more",
    "closed": "RPCs that were pending when the node closed",
    "late_replies": "Replies to an RPC that had been reaped or abandoned",
    "duplicate_replies": "Replies to an RPC that already had its reply, dropped",
    "unknown_replies": "Replies that match no RPC of this node, dropped",
    "misfit_replies": "Replies that do not fit the class that the caller gave",
    "foreign_replies": "Replies from another node than the one that was asked, dropped",
    "nats_connections": "Connections to NATS that were made",
    "nats_unsent": "Messages dropped because there was no connection to NATS",
    "nats_oversized": "Messages dropped because the NATS server takes only smaller ones",
    "nats_unaddressable": "Messages to an id that no subject can hold, dropped",
    "nats_forged": "Messages whose src or dest is not that of their subject, dropped",
    "nats_blank": "Messages without content, dropped",
    "nats_overflowed": "Messages dropped because the node did not read them fast enough",
    "nats_denied": "Times that the NATS server refused a message because of its permissions",
}
"""The meaning of each counter, in a line."""


def metrics_of(node: Node) -> Callable[[], HttpReply]:
    """Return the function that returns the metrics of *node*, and of its process, in Prometheus' format."""
    registry = CollectorRegistry()
    registry.register(_NodeCollector(node))
    ProcessCollector(registry=registry)
    return lambda: HttpReply(200, generate_latest(registry), _CONTENT_TYPE)


@final
class _NodeCollector(Collector):
    def __init__(self, node: Node) -> None:
        self._node = node
        self._version = version("trio-messenger")  # reading it takes a millisecond

    def describe(self) -> list[Metric]:
        """Name no metrics in advance: the transport's are not known yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        yield from _counters(self._node.stats)
        yield _latencies(self._node.stats)
        for name, meaning, value in self._gauges():
            yield GaugeMetricFamily(METRIC_PREFIX + name, meaning, value)
        info = GaugeMetricFamily(METRIC_PREFIX + "node_info", "The node, as labels", labels=["id", "version"])
        info.add_metric([self._id(), self._version], 1)
        yield info

    def _gauges(self) -> Iterator[tuple[str, str, float]]:
        yield "pending_rpcs", "RPCs that wait for their replies", len(self._node.pending)
        yield "ready", "1 if the node is initialised, connected and not closing, else 0", not self._node.obstacle

    def _id(self) -> str:
        try:
            return self._node.id
        except RuntimeError:  # before init
            return ""


def _counters(stats: Stats) -> Iterator[Metric]:
    counts = {field.name: getattr(stats, field.name) for field in attrs.fields(Stats) if str(field.type) == "int"}
    valid: Counter[str] = Counter()
    for name, count in (counts | dict(stats.transport)).items():
        valid[re.sub(r"\W", "_", name, flags=re.ASCII)] += count  # a transport may count under any name
    for name, count in valid.items():
        yield CounterMetricFamily(METRIC_PREFIX + name, COUNTER_MEANINGS.get(name, "Counted by the transport"), count)


def _latencies(stats: Stats) -> Metric:
    latencies = stats.rpc_latency
    counts = latencies.up_to(LATENCY_BOUNDS)
    buckets = [(f"{bound:g}", count) for bound, count in zip(LATENCY_BOUNDS, counts, strict=True)]
    return HistogramMetricFamily(
        METRIC_PREFIX + "rpc_latency_seconds",
        "Seconds from sending to the reply, for RPCs that were answered",
        buckets=[*buckets, ("+Inf", latencies.count)],
        sum_value=latencies.total,
    )
