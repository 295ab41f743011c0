"""The store: the folder that a run leaves, for people to look at and for `replay` and `shrink` to run again.

store/latest                     a link to the folder of the latest run of all
store/WORKLOAD/latest            and to that of the workload's
store/WORKLOAD/SEED or TIME/   complete, or not there
  index.html                     the verdict, and links to all of these
  results.json                   what the checkers found
  history.jsonl                  what clients did, an `Op` a line
  journal.jsonl                  every message, an `Entry` a line
  schedule.json                  what was run: options, faults and seed
  messages.svg                   who sent what to whom, over time
  latency.svg                    how long operations took
  rate.svg                       how many were completed in a second
  node-logs/NODE.log             what each node logged and printed
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, final

import attrs
import msgspec

from .._checkers import Results
from .._faults.faults import when
from .._records.history import History, Op
from .._records.journal import Journal
from .._runs.options import Options
from .._system.folders import point, write_folder
from ..pictures import PageSummary, latency, page, rate, space_time
from .command_lines import folder_command
from .report import Report, figure, headline, in_milliseconds, stable_latencies

FORMAT: Final = 1
"""The version of the files' format; a file of another one is refused."""

SCHEDULE: Final = "schedule.json"
"""The file that says what was run; a folder without it is none of ours."""


@final
@attrs.frozen
class Stored:
    """What was run, as the store has it."""

    options: Options
    """What was run."""
    node: tuple[str, ...]
    """How the command line names what was tested."""
    digest: str
    """That of the journal."""
    valid: Any
    """The verdict."""


def save(report: Report, store: Path, name: str, *, replace: bool = True) -> Path:
    """Write all files of a run, and let ``latest`` point to them.

    The folder is complete or not there: if this fails or is interrupted, no part of it is left. An earlier run of the
    same name is replaced once the new one is complete.

    Args:
      report: Of the run.
      store: The folder of all runs; made if it is not there.
      name: What to call this run among those of its workload: its seed, or the time. If there is something of that
        name that is not replaced, a number is added: ``NAME-2``.
      replace: Whether to replace an earlier run of that name. What no run has left is never replaced.

    Returns:
      The run's own folder.

    Raises:
      OSError: if that cannot be done.
    """
    workload = store / report.options.workload

    def write(folder: Path, place: Path) -> None:
        (folder / "node-logs").mkdir()
        _write_data(report, folder)
        _write_pictures(report, folder, place)

    folder = write_folder(workload, name, write, is_replaceable=lambda place: replace and _is_replaceable(place))
    point(store / "latest", folder)
    point(workload / "latest", folder)
    return folder


def _is_replaceable(place: Path) -> bool:
    """Tell whether a run may take *place*: there is another run, or nothing.

    Another process may be about to replace the one by the other, so it is asked twice.
    """
    return (place / SCHEDULE).exists() or not (place.exists() or place.is_symlink()) or (place / SCHEDULE).exists()


def load(folder: Path) -> Stored:
    """Read what was run from the folder that it left.

    Raises:
      ValueError: if *folder* is not one that `save` has written, or a later version has.
    """
    try:
        content = json.loads((folder / SCHEDULE).read_bytes())
    except FileNotFoundError:
        raise ValueError(
            f"{folder} has no {SCHEDULE}: give the folder that a run has left, such as store/latest"
        ) from None
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{folder / SCHEDULE} is no JSON: {exc}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{folder / SCHEDULE} has not the format {FORMAT}, which is the one that is known here")
    try:
        options = Options.from_json(content["options"])
        return Stored(options, _checked_node(content["node"]), content["digest"], content["valid?"])
    except KeyError as exc:
        raise ValueError(f"{folder / SCHEDULE} cannot be read: it has no {exc}") from None
    except (TypeError, AttributeError, ValueError) as exc:
        raise ValueError(f"{folder / SCHEDULE} cannot be read: {exc}") from None


def _checked_node(value: Any) -> tuple[str, ...]:
    """Return how the command line names what was tested, if *value* may be that; see `Report.node`."""
    is_list = isinstance(value, list) and all(isinstance(word, str) and "\0" not in word for word in value)
    match value if is_list else None:
        case [] | ["--node", _] | ["--bin", _] | ["--bin", _, "--", *_]:
            return tuple(value)
    raise ValueError(f"'node' is {value!r:.80}; it names a node as the command line does, as in ['--node', 'echo']")


def load_journal(folder: Path) -> Journal:
    """Read the journal of a run. Raises OSError or ValueError if there is none."""
    path = folder / "journal.jsonl"
    try:
        journal = Journal.load(path)
        journal.check()
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{path} cannot be read: {exc}") from None
    return journal


def load_history(folder: Path) -> History:
    """Read the history of a run. Raises OSError or ValueError if there is none."""
    decode = msgspec.json.Decoder(Op).decode
    with (folder / "history.jsonl").open("rb") as file:
        return History(decode(line) for line in file)


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
    """Return *op* as it stands in the file: its fields in their order, without those that say nothing."""
    return attrs.asdict(
        op, recurse=False, filter=lambda field, value: field.name == "value" or not (value is None or value is False)
    )


def _write_pictures(report: Report, folder: Path, place: Path) -> None:
    """Write the pictures into *folder*, which will be at *place*."""
    title = f"{headline(report.options)}, seed {report.options.seed}"
    diagram = space_time(report.journal, title=title, command=folder_command("diagram", place))
    _write_text(folder / "messages.svg", diagram)
    for name, chart in (("latency", latency), ("rate", rate)):
        _write_text(folder / f"{name}.svg", chart(report.history, report.journal, title=title))
    summary = PageSummary(
        title=headline(report.options),
        verdict=report.valid,
        reasons=[finding for finding in report.findings() if finding.is_reason],
        remarks=[finding for finding in report.findings() if not finding.is_reason],
        warnings=report.warnings(),
        seed=report.options.seed,
        commands=_commands(report, place),
        figures=_figures(report.results),
        faults=[
            (entry["text"], when(fault), entry["took-effect"])
            for entry, fault in zip(report.results["faults"]["schedule"], report.options.faults, strict=True)
        ],
        results=_for_people(report.results["workload"]),
        files=sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()),
    )
    _write_text(folder / "index.html", page(summary))


def _commands(report: Report, place: Path) -> list[tuple[str, str]]:
    """Return what one may type to see the run again, each with what it does."""
    command = report.command
    if command is None:
        unnamed = "no command line can name what was tested: call simulate with the same arguments, of which"
        return [(unnamed, f"seed={report.options.seed}")]
    ways = [("the same again", folder_command("replay", place))]
    if report.can_shrink:
        ways.append(("the fewest faults that still fail", folder_command("shrink", place)))
    return [*ways, ("from its options", command)]


def _figures(results: Results) -> list[tuple[str, str | float]]:
    """Return the key figures, each short enough for a tile."""
    counts, net = results["stats"], results["net"]
    told: list[tuple[str, str | float]] = [
        (name, counts[key]) for name, key in (("operations", "count"), ("ok", "ok-count"), ("fail", "fail-count"))
    ]
    told += [("info", counts["info-count"]), ("available", f"{results['availability']['ok-fraction']:.1%}")]
    told += [
        (f"p{float(q) * 100:g} latency", f"{figure(ms)} ms") for q, ms in results["latencies"]["quantiles"].items()
    ]
    told += [(f"p{float(q) * 100:g} stable latency", f"{figure(ms)} ms") for q, ms in stable_latencies(results).items()]
    told += [("messages", net["all"]["msg-count"]), ("among nodes and services", net["servers"]["msg-count"])]
    return [*told, ("of these an operation", figure(net["servers"].get("msgs-per-op", 0)))]


def _for_people(results: Results) -> Results:
    """Return what the page shows of a workload's results: latencies with their unit, and not what sentences tell."""
    return {
        name: in_milliseconds(value) if name in ("stable-latencies", "lost-latencies") else value
        for name, value in results.items()
        if name not in ("worst-stale", "worst-lost")
    }


def _write_json(path: Path, value: object) -> None:
    _write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _write_text(path: Path, text: str) -> None:
    """Write *text*. What is no text in it, such as a byte of a file's name, is written as JSON escapes it."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
