"""``trio-messenger check``: judge a history by itself, without the run that it comes from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from ..sim._for_cli import WORKLOADS, HistoryReport, ReadingError, read_history
from .arguments import add_option, make_options
from .ending import STATUSES, Crash, concluding
from .outcome import put_json, tell_verdict
from .output import put
from .parsing import Parser, UsageError, folder, reason_of

_DESCRIPTION: Final = """\
Judge a history: the operations of clients, when they began, and how they ended. The history comes from an earlier test,
from Maelstrom, or from a test of a database with Jepsen. The command starts no node.
"""

_EXAMPLES: Final = """\
examples:
  trio-messenger check store/latest/history.jsonl -w broadcast
                                              a history that `test` has saved
  trio-messenger check store/latest -w g-set  the history in a folder: history.jsonl or history.edn
  ssh server cat run/history.edn | trio-messenger check - -w unique-ids
                                              a history from stdin

exit status: 0 valid, 1 invalid, 2 unknown (too little was seen), 254 wrong arguments, or a file that is not a complete
history of the workload, 255 something broke, 130 interrupted.
"""

_JUDGED_BY: Final = ("workload", "consistency_models", "availability")
"""The options of the checkers. Each is a field of `Options`, so the workload gets it as it does in a run."""

_FILES_IN_FOLDERS: Final = ("history.jsonl", "history.edn")
"""The histories that a folder may have."""

LARGEST_HISTORY: Final = 1 << 29
"""Bytes of the largest history, 512 MiB: it has to fit into the memory several times, and a pipe may be endless."""

_READ_AT_ONCE: Final = 1 << 20


def configure(parser: Parser) -> None:
    """Add the arguments of this command to *parser*."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    parser.add_argument(
        "history",
        metavar="HISTORY",
        help="a history.jsonl of this program, a history.edn of Jepsen or Maelstrom, a folder with one of them, or -"
        " for stdin",
    )
    group = parser.add_argument_group("what is judged")
    for name in _JUDGED_BY:
        add_option(group, name)
    parser.add_argument(
        "--pictures",
        type=folder,
        metavar="DIR",
        help="save the pictures that explain the verdict, such as linear.svg of lin-kv, in this folder (default: none)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")
    parser.set_defaults(run=concluding(_run, parser))


def _run(arguments: argparse.Namespace) -> int:
    if arguments.workload is None:
        known = ", ".join(WORKLOADS)
        raise UsageError(
            f"-w is missing: give the workload of the history; there are: {known}, or your own as MODULE:CLASS"
        )
    options = make_options(arguments)
    name, content = _read(arguments.history)
    try:
        report = HistoryReport(options, read_history(content))
    except ReadingError as exc:
        raise UsageError(f"{name}, {exc}") from None
    saved = [] if arguments.pictures is None else _save_pictures(report, arguments.pictures)
    if arguments.json:
        put_json(_as_json(report, saved))
    else:
        tell_verdict(report)
        for path in saved:
            put(f"  picture     {path}")
    return STATUSES[report.valid]


def _as_json(report: HistoryReport, saved: Sequence[Path]) -> dict[str, Any]:
    told = {"reasons": report.reasons(), "warnings": report.warnings()}
    return {**report.results, **told, "pictures": [str(path) for path in saved]}


def _save_pictures(report: HistoryReport, place: Path) -> list[Path]:
    """Write the pictures of *report* into the folder *place*, and return their paths.

    Raises:
      Crash: if they cannot be written.
    """
    saved = []
    try:
        for picture in report.pictures():
            place.mkdir(parents=True, exist_ok=True)
            saved.append(place / picture.name)
            saved[-1].write_text(picture.svg, encoding="utf-8", errors="backslashreplace")
    except OSError as exc:
        raise Crash(f"cannot save the pictures in {str(place)!r}: {exc.strerror}; give another --pictures") from None
    return saved


def _read(text: str) -> tuple[str, bytes]:
    """Return the name and the content of the history that the argument *text* names.

    Raises:
      UsageError: if it cannot be read.
    """
    try:
        if text == "-":
            if sys.stdin is None:
                raise UsageError("stdin is closed; give a file")
            return "stdin", _read_all(sys.stdin.buffer)
        path = _in_folder(Path(text)) if Path(text).is_dir() else Path(text)
        with path.open("rb") as file:
            return f"{path}", _read_all(file)
    except (OSError, ValueError) as exc:
        raise UsageError(
            f"{text!r:.80} cannot be read: {reason_of(exc)}; give a history.jsonl or a history.edn"
        ) from None


def _read_all(file: BinaryIO) -> bytes:
    """Return the rest of *file*, or, if it is not a text, its beginning.

    Raises:
      ValueError: if it is larger than `LARGEST_HISTORY`.
    """
    content = bytearray()
    while chunk := file.read(_READ_AT_ONCE):
        content += chunk
        if content.startswith(b"\0"):  # such as /dev/zero
            break
        if len(content) > LARGEST_HISTORY:
            raise ValueError(f"it is larger than {LARGEST_HISTORY >> 20} MiB")
    return bytes(content)


def _in_folder(place: Path) -> Path:
    found = [place / name for name in _FILES_IN_FOLDERS if (place / name).exists()]
    if len(found) != 1:
        has = "both" if found else "neither"
        raise UsageError(f"{place} has {has} of {' and '.join(_FILES_IN_FOLDERS)}; give the file")
    return found[0]
