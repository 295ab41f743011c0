"""``trio-messenger shrink``: find the few faults that make a test fail."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from ..sim._for_cli import SHRINK_BUDGET, DoesNotFail, Fault, Shrunk, describe, fault_to_json, shrink, when
from .arguments import add_option
from .ending import STATUSES, concluding
from .outcome import check_store, keep, report_as_json, tell_and_keep
from .output import Console, Ticker, put
from .parsing import GREATEST_WHOLE, Parser, UsageError, count, folder
from .stored import load_run, store_of

_DESCRIPTION: Final = """\
Repeat a failed test with fewer and milder faults, to find the few faults that matter. The command prints the smallest
schedule that still fails, and saves its run next to the first one, as SEED-shrunk.
"""

_EXAMPLES: Final = """\
examples:
  trio-messenger shrink store/latest          the latest run
  trio-messenger shrink store/broadcast/7 --budget 50
                                              make at most 50 runs

This works for nodes in this process only: executables run in real time, which cannot be repeated.

exit status: 0 if the smallest schedule was found, or the smallest so far within the budget; 1 if the run does not fail
(any more); 254 for wrong arguments, such as a run without faults; 255 if something broke; 130 if interrupted.
"""


def configure(parser: Parser) -> None:
    """Add the arguments of this command to *parser*."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of a saved run")
    add_option(parser.add_argument_group("the nodes"), "invariants")
    parser.add_argument(
        "--budget",
        type=count(GREATEST_WHOLE),
        default=SHRINK_BUDGET,
        metavar="N",
        help=f"the largest number of runs to make (default: {SHRINK_BUDGET})",
    )
    parser.add_argument(
        "--store", type=folder, metavar="DIR", help="save the smallest run there (default: next to the first run)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")
    parser.set_defaults(run=concluding(_run, parser))


def _run(arguments: argparse.Namespace) -> int:
    stored, subject = load_run(arguments.folder, arguments.invariant or ())
    options = stored.options
    if not subject.is_virtual:
        raise UsageError(
            "executables run in real time, which cannot be repeated; shrink runs of nodes in this process only"
        )
    if not options.faults:
        raise UsageError(f"the run in {arguments.folder} had no faults, so there is nothing to shrink")

    store = arguments.store or store_of(arguments.folder, stored)
    check_store(store)

    def fails(faults: Sequence[Fault]) -> bool:
        return subject.run(attrs.evolve(options, faults=faults)).valid is False

    ticker, count = Ticker(Console()), len(options.faults)

    def tell_progress(state: Shrunk) -> None:
        ticker.tick(lambda: f"{state.runs} of {arguments.budget} runs made, {len(state.faults)} of {count} faults left")

    try:
        found = shrink(options.faults, fails, nodes=options.nodes, budget=arguments.budget, progress=tell_progress)
    except DoesNotFail:
        Console().say(_DOES_NOT_FAIL if stored.valid is not False else f"{_DOES_NOT_FAIL} {_ANY_MORE}")
        return STATUSES[False]
    finally:
        ticker.close()
    report = attrs.evolve(subject.run(attrs.evolve(options, faults=found.faults)), is_smallest=found.is_minimal)
    if not arguments.json:
        put("\n".join(_in_words(found, count)))

    def in_json(folder: Path | None) -> dict[str, Any]:
        smallest = [fault_to_json(fault) for fault in found.faults]
        return {
            **report_as_json(report, folder),
            "smallest": smallest,
            "runs": found.runs,
            "minimal?": found.is_minimal,
        }

    keep_it = partial(keep, report, store, f"{options.seed}-shrunk", replace=True)
    tell_and_keep(report, keep_it, in_json=in_json if arguments.json else None)
    return STATUSES[True]


_DOES_NOT_FAIL: Final = "The run does not fail: there is nothing to shrink."

_ANY_MORE: Final = (
    "It failed when it was stored: either the node's code has changed, or the seed does not determine the run."
)


def _in_words(found: Shrunk, count: int) -> Iterator[str]:
    """Yield lines that describe the result of a search that began with *count* faults."""
    if not found.faults:
        yield f"It fails without any fault, found in {found.runs} runs."
        return
    yield f"It still fails with {len(found.faults)} of its {count} faults, found in {found.runs} runs:"
    for fault in found.faults:
        yield f"  {when(fault)}: {describe(fault)}"
    if found.is_minimal:
        yield "If any one of them is left out, it does not fail."
    else:
        yield "The budget is spent; a larger --budget may find fewer or milder faults."
