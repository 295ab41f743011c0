"""Command lines: what to type to see a run again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from .._faults.faults import fault_to_json
from .._runs.options import DEFAULT_NODES, Options, numbered

PROGRAM: Final = "trio-messenger"
"""The name of the executable."""


def command_line(options: Options, node: Sequence[str]) -> str:
    """Return the ``trio-messenger test`` command for *options*; what is the default is left out.

    Args:
      options: What is run.
      node: The arguments that name what is tested, such as ``("--node", "broadcast")``; ``--bin`` comes last.
    """
    words = [PROGRAM, "test", "-w", options.workload]
    words += [] if "--bin" in node else node
    for name, value in _given(options).items():
        words += [f"--{name}", value]
    words += node if "--bin" in node else []
    return shlex.join(words)


def folder_command(name: str, folder: Path, *words: str) -> str:
    """Return the command line that does *name*, such as ``replay``, with the run in *folder*."""
    return shlex.join([PROGRAM, name, str(folder), *words])


def _given(options: Options) -> dict[str, str]:
    """Return the options that are not the default, as the command line has them."""
    usual = Options(workload=options.workload, nodes=options.nodes)
    given: dict[str, Any] = {"seed": options.seed}
    if options.nodes != DEFAULT_NODES:
        count = len(options.nodes)
        is_counted = options.nodes == numbered(count)
        given |= {"node-count": count} if is_counted else {"nodes": ",".join(options.nodes)}
    names = ("concurrency", "rate", "time_limit", "loss", "duplicate", "topology", "lww_kv", "availability")
    for name in (*names, "busy_limit"):
        if getattr(options, name) != getattr(usual, name):
            given[name.replace("_", "-")] = getattr(options, name)
    if options.latency != usual.latency:
        given |= {"latency": options.latency.mean, "latency-dist": options.latency.distribution}
    given |= _faults(options)
    return {name: _in_words(value) for name, value in given.items()}


def _in_words(value: Any) -> str:
    """Return *value* as a person would type it: 5 for 5.0, but the id of a node as it is, though it may end so."""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _faults(options: Options) -> dict[str, Any]:
    if options.faults == options.nemesis_schedule():
        if not options.nemesis:
            return {}
        interval = {"nemesis-interval": options.nemesis_interval}
        is_usual = options.nemesis_interval == attrs.fields(Options).nemesis_interval.default
        return {"nemesis": ",".join(options.nemesis), **({} if is_usual else interval)}
    return {"faults": json.dumps([fault_to_json(fault) for fault in options.faults])}
