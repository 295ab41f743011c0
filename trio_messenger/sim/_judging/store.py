"""The store: the folders in which runs are saved, for people to read and for `replay` and `shrink` to run again.

store/index.html                 a table of all runs
store/latest                     a link to the folder of the latest run
store/WORKLOAD/latest            a link to the folder of the workload's latest run
store/WORKLOAD/SEED or TIME/     the folder of a run: complete, or not there
  index.html                     the verdict, and links to all other files
  results.json                   the results of the checkers
  history.jsonl                  the operations of the clients, one `Op` per line
  journal.jsonl                  every message, one `Entry` per line
  schedule.json                  what was run: options, faults and seed
  messages.svg                   the messages over time, with sender and receiver
  latency.svg                    how long operations took
  rate.svg                       completed operations per second
  NAME.svg                       what else the workload draws, such as linear.svg
  node-logs/NODE.log             what each node logged and printed
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from .._checkers import Results
from .._faults.faults import when
from .._records.history import Op
from .._system.folders import point, write_folder
from .._workloads import Workload, workload_class
from ..pictures import PageSummary, latency, page, rate, space_time
from .command_lines import folder_command, node_in_words
from .loading import (
    FORMAT,
    SCHEDULE,
    Stored as Stored,
    load as load,
    load_history as load_history,
    load_journal as load_journal,
)
from .report import Report, figure, headline, in_milliseconds, stable_latencies
from .store_index import INDEX, write_index

_REPEAT: Final = (
    "Run it again, message by message the same. If you have changed the node, this shows whether the run is valid now:"
)
_REPEAT_IN_REAL_TIME: Final = "Run it again. It runs in real time, so the new run may be different:"
_SHRINK: Final = "Find the few faults that are enough to make it fail; that run is saved next to this one:"
_CHANGE: Final = "Change something: these are all options of this run."
"""The descriptions of the commands to run next."""


def save(report: Report, store: Path, name: str, *, replace: bool = True) -> Path:
    """Write all files of a run into a folder, point the ``latest`` links to it, and list it in ``store/index.html``.

    The folder is complete or not there: if this function fails or is interrupted, it leaves no part of the folder. It
    replaces an earlier run of the same name only when the new one is complete.

    Args:
      report: The report of the run.
      store: The folder of all runs; created if it does not exist.
      name: The name of this run among the runs of its workload: its seed, or the time. If the name is taken and cannot
        be replaced, a number is added: ``NAME-2``.
      replace: Whether to replace an earlier run of the same node with that name. A run of another node, or anything
        that is not a run, is never replaced.

    Returns:
      The run's folder.

    Raises:
      OSError: if a file or folder cannot be written.

    Example:
      >>> report = simulate("echo", echo.build, nodes=1, time_limit=1)
      >>> with TemporaryDirectory() as store:
      ...     folder = save(report, Path(store), "seed-0")
      ...     print(folder.relative_to(store))
      ...     print(*sorted(path.name for path in folder.glob("*.*")))
      echo/seed-0
      history.jsonl index.html journal.jsonl latency.svg messages.svg rate.svg results.json schedule.json
    """
    workload = store / report.options.workload_name

    def write(folder: Path, place: Path) -> None:
        (folder / "node-logs").mkdir()
        _write_data(report, folder)
        _write_pictures(report, folder, place)

    folder = write_folder(
        workload, name, write, is_replaceable=lambda place: replace and _is_replaceable(place, report.node)
    )
    point(store / "latest", folder)
    point(workload / "latest", folder)
    write_index(store)
    return folder


def _is_replaceable(place: Path, node: Sequence[str]) -> bool:
    """Tell whether a run of *node* may take *place*: it holds an earlier run of the same node, or nothing.

    The first test is repeated, because another process may put a complete run there between the tests.
    """
    return _holds_run(place, node) or not (place.exists() or place.is_symlink()) or _holds_run(place, node)


def _holds_run(place: Path, node: Sequence[str]) -> bool:
    """Tell whether the folder *place* holds a run of *node*, or one that is damaged."""
    try:
        return bool(json.loads((place / SCHEDULE).read_bytes())["node"] == [*node])
    except OSError:
        return False
    except (ValueError, TypeError, LookupError, RecursionError):
        return True


def _write_data(report: Report, folder: Path) -> None:
    _write_json(folder / "results.json", report.results)
    _write_json(
        folder / SCHEDULE,
        {
            "format": FORMAT,
            "node": report.node,
            "seed": report.options.seed,
            "valid?": report.valid,
            "digest": report.digest,
            "options": report.options.to_json(),
        },
    )
    report.journal.save(folder / "journal.jsonl")
    encode = msgspec.json.Encoder().encode
    with (folder / "history.jsonl").open("wb") as file:
        file.writelines(encode(_line(op)) + b"\n" for op in report.history)
    for node_id, lines in report.logs.items():
        text = "".join(f"{line}\n" for line in lines)
        _write_text(folder / "node-logs" / f"{node_id}.log", text)


def _line(op: Op) -> dict[str, Any]:
    """Return *op* as a line of the file: its fields in order, but, except ``value``, none that is None or False."""
    return attrs.asdict(
        op, recurse=False, filter=lambda field, value: field.name == "value" or not (value is None or value is False)
    )


def _write_pictures(report: Report, folder: Path, place: Path) -> None:
    """Write the pictures and the page into *folder*, which will be moved to *place*."""
    title = f"{headline(report.options)}, seed {report.options.seed}"
    diagram = space_time(report.journal, title=title, command=folder_command("diagram", place))
    _write_text(folder / "messages.svg", diagram)
    for name, chart in (("latency", latency), ("rate", rate)):
        _write_text(folder / f"{name}.svg", chart(report.history, report.journal, title=title))
    pictures = report.pictures()
    for picture in pictures:
        _write_text(folder / picture.name, picture.svg)
    summary = PageSummary(
        title=headline(report.options),
        verdict=report.valid,
        reasons=[finding for finding in report.findings() if finding.is_reason],
        remarks=[finding for finding in report.findings() if not finding.is_reason],
        warnings=report.warnings(),
        seed=report.options.seed,
        node=node_in_words(report.node),
        rules=_rules_of(workload_class(report.options.workload)),
        store_page=str(place.parents[1] / INDEX),
        commands=_commands(report, place),
        figures=_figures(report.results),
        faults=[
            (entry["text"], when(fault), entry["took-effect"])
            for entry, fault in zip(report.results["faults"]["schedule"], report.options.faults, strict=True)
        ],
        results=_for_people(report.results["workload"]),
        pictures=pictures,
        files=sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()),
    )
    _write_text(folder / "index.html", page(summary))


def _rules_of(workload: type[Workload]) -> str:
    """Return what *workload* demands, for the page: its rules, or else its summary as a sentence."""
    return workload.rules or f"{workload.summary[:1].upper()}{workload.summary[1:]}."


def _commands(report: Report, place: Path) -> list[tuple[str, str]]:
    """Return commands that repeat the run, each after a short description."""
    command = report.command
    if command is None:
        unnamed = (
            "No command line can name the node under test. Call simulate() again with the same arguments, and with:"
        )
        return [(unnamed, f"seed={report.options.seed}")]
    ways = [(_REPEAT if "--node" in report.node else _REPEAT_IN_REAL_TIME, folder_command("replay", place))]
    if report.can_shrink:
        ways.append((_SHRINK, folder_command("shrink", place)))
    return [*ways, (_CHANGE, command)]


def _figures(results: Results) -> list[tuple[str, str | float]]:
    """Return the key figures, each short enough for a tile of the page."""
    counts, net = results["stats"], results["net"]
    told: list[tuple[str, str | float]] = [
        (name, counts[key]) for name, key in (("operations", "count"), ("ok", "ok-count"), ("fail", "fail-count"))
    ]
    told += [("info", counts["info-count"]), ("available", f"{results['availability']['ok-fraction']:.1%}")]
    told += [
        (f"p{float(q) * 100:g} latency", f"{figure(ms)} ms") for q, ms in results["latencies"]["quantiles"].items()
    ]
    told += [(f"p{float(q) * 100:g} stable latency", f"{figure(ms)} ms") for q, ms in stable_latencies(results).items()]
    told += [("messages", net["all"]["msg-count"])]
    if "servers" in net:
        told += [("server messages", net["servers"]["msg-count"])]
        told += [("server messages per operation", figure(net["servers"].get("msgs-per-op", 0)))]
    if "invariants" in results:
        told += [(f"checks of {name}", each["checks"]) for name, each in results["invariants"]["by-name"].items()]
    return told


def _for_people(results: Results) -> Results:
    """Return a workload's results for the page: latencies with their unit, without the parts that sentences explain."""
    return {
        name: in_milliseconds(value) if name in ("stable-latencies", "lost-latencies") else value
        for name, value in results.items()
        if name not in ("worst-stale", "worst-lost", "results")
    }


def _write_json(path: Path, value: object) -> None:
    _write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _write_text(path: Path, text: str) -> None:
    """Write *text* in UTF-8. Characters that cannot be encoded, such as stray bytes of a file name, are escaped."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
