"""Read the files of a saved run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal, final

import attrs
import msgspec

from .._records.history import History
from .._records.history_lines import read_history_lines
from .._records.journal import Journal
from .._runs.options import Options

FORMAT: Final = 1
"""The version of the file format; `load` refuses files of another version."""

SCHEDULE: Final = "schedule.json"
"""The file that says what was run; a folder without it is not the folder of a run."""


@final
@attrs.frozen
class Stored:
    """A saved run, as `load` reads it."""

    options: Options
    """The options of the run."""
    node: tuple[str, ...]
    """The command-line arguments that name the node under test."""
    digest: str
    """The digest of the journal."""
    valid: Any
    """The verdict."""


class _ListedOptions(msgspec.Struct):
    seed: int
    nodes: list[str]
    faults: list[dict[str, Any]]


class Listed(msgspec.Struct):
    """A saved run, as the list of a store needs it."""

    options: _ListedOptions
    """Some of the options."""
    node: list[str]
    """The command-line arguments that name the node under test."""
    valid: bool | Literal["unknown"] = msgspec.field(name="valid?")
    """The verdict."""


def load_listed(folder: Path) -> Listed:
    """Read what the list of a store needs of a run, without importing its workload, which may be gone.

    Raises:
      ValueError: as `load` does.
    """
    content = _load_schedule(folder)
    try:
        return msgspec.convert(content, Listed)
    except msgspec.ValidationError as exc:
        raise ValueError(f"{folder / SCHEDULE} cannot be read: {exc}") from None


def load(folder: Path) -> Stored:
    """Read the options of a run from its folder.

    Raises:
      ValueError: if `save` did not write *folder*, or another version of it did, or its workload cannot be imported.
    """
    content = _load_schedule(folder)
    try:
        options = Options.from_json(content["options"])
        return Stored(options, _checked_node(content["node"]), content["digest"], content["valid?"])
    except KeyError as exc:
        raise ValueError(f"{folder / SCHEDULE} cannot be read: it has no {exc}") from None
    except (TypeError, AttributeError, ValueError) as exc:
        raise ValueError(f"{folder / SCHEDULE} cannot be read: {exc}") from None


def _load_schedule(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / SCHEDULE).read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{folder} has no {SCHEDULE}: give the folder of a run, such as store/latest") from None
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{folder / SCHEDULE} is not JSON: {exc}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{folder / SCHEDULE} does not have format {FORMAT}, the only one that this version reads")
    return content


def _checked_node(value: Any) -> tuple[str, ...]:
    """Return *value* as a tuple if it can be a `Report.node`; raise ValueError if not."""
    is_list = isinstance(value, list) and all(isinstance(word, str) and "\0" not in word for word in value)
    match value if is_list else None:
        case [] | ["--node", _] | ["--bin", _] | ["--bin", _, "--", *_] | ["--nats", _, *_]:
            return tuple(value)
    raise ValueError(f"'node' is {value!r:.80}; it must be the arguments that name a node, such as ['--node', 'echo']")


def load_journal(folder: Path) -> Journal:
    """Read the journal of a run.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if its content is not a journal.
    """
    path = folder / "journal.jsonl"
    try:
        journal = Journal.load(path)
        journal.check()
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{path} cannot be read: {exc}") from None
    return journal


def load_history(folder: Path) -> History:
    """Read the history of a run.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if its content is not a history.
    """
    return History(op for _, op in read_history_lines((folder / "history.jsonl").read_bytes()))
