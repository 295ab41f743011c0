"""``trio-messenger test``: test nodes in a simulated cluster."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Final

import attrs

from ..sim._for_cli import NEMESES, WORKLOADS, Options, RunFailedError, check_determinism
from . import arguments as args
from .ending import STATUSES, Crash, concluding
from .nats_options import nats_words
from .outcome import check_store, keep, put_json, report_as_json, tell_and_keep, time_name
from .output import Console, put
from .parsing import Parser, UsageError
from .progress import run_and_tell
from .seeds import make_run, run_seeds
from .subject import Subject, find_subject, name_of_subject

_DESCRIPTION: Final = """\
Test nodes in a simulated cluster: start them, send the requests of a workload, break the network, and check the
history. The command works like `maelstrom test`, and most options have the names of Maelstrom's. Nodes in this process
run in virtual time, from a seed: a minute of cluster life takes a moment, and the same command gives the same run,
message by message.
"""

_EXAMPLES: Final = """\
examples:
  trio-messenger test -w echo                 the ready-made echo node
  trio-messenger test -w echo --node my_nodes:node
                                              a node in my_nodes.py, in this folder
  trio-messenger test -w broadcast --node my_nodes:build --nemesis partition,kill --seeds 100
                                              a hundred schedules of faults
  trio-messenger test -w broadcast --node my_nodes:build --nemesis partition,kill --search mix --seeds 100
                                              the same, drawn in four different ways
  trio-messenger test -w lin-kv --nemesis kill,partition --search mix --seeds 0 --max-seconds 600
                                              until a run fails, for ten minutes or until Ctrl-C
  trio-messenger test -w g-set --latency 100 --latency-dist exponential --loss 0.1 --seed 7
  trio-messenger test -w echo --bin ./my_node -- --verbose
                                              an executable, in any language, in real time
  trio-messenger test -w broadcast --nats nats://10.0.0.1 --cluster demo --nodes n1,n2,n3
                                              nodes that run on other machines already

exit status: 0 valid, 1 invalid, 2 unknown (too little was seen), 254 wrong arguments, 255 no verdict (a node did not
come up, or something broke) or results or files that cannot be written, 130 interrupted.
"""


_EXPLANATIONS: Final = "\n".join(
    [
        "workloads:",
        *(f"  {name:17}{workload.summary}" for name, workload in WORKLOADS.items()),
        "",
        "kinds of --nemesis:",
        *(f"  {kind.name:17}{kind.help}" for kind in NEMESES),
        "",
    ]
)


def configure(parser: Parser) -> None:
    """Add the arguments of this command to *parser*."""
    parser.description, parser.epilog = _DESCRIPTION, "\n".join([_EXPLANATIONS, _EXAMPLES])
    parser.usage = "trio-messenger test -w WORKLOAD [--node NAME | --bin FILE] [options] [-- ARGUMENTS]"
    parser.takes_rest = True
    args.add_arguments(parser)
    parser.set_defaults(run=concluding(_run, parser))


def _run(arguments: argparse.Namespace) -> int:
    args.check_together(arguments)
    if arguments.nats is None:
        tested = name_of_subject(arguments.workload, arguments.node, arguments.bin, arguments.rest)
    else:
        tested = nats_words(arguments, "id")
    options = args.make_options(arguments)
    subject = find_subject(tested)
    subject.check(options)
    if not arguments.no_store:
        check_store(arguments.store)
    if arguments.seeds is not None:
        return run_seeds(subject, options, arguments)
    if arguments.check_determinism and not _is_repeatable(subject, options, arguments):
        return STATUSES[False]
    report = run_and_tell(subject, options, arguments)
    name, replace = (f"{options.seed}", True) if subject.is_virtual else (time_name(), False)
    keep_it = None if arguments.no_store else partial(keep, report, arguments.store, name, replace=replace)
    tell_and_keep(report, keep_it, in_json=partial(report_as_json, report) if arguments.json else None)
    return STATUSES[report.valid]


def _is_repeatable(subject: Subject, options: Options, arguments: argparse.Namespace) -> bool:
    """Return True if two runs are the same; otherwise print their first difference and return False."""
    if not subject.is_virtual:
        raise UsageError("--check-determinism is for nodes in this process; two runs in real time always differ")
    try:
        difference = check_determinism(options, subject.name, make_run=make_run)
    except RunFailedError as exc:
        raise Crash(f"{exc}") from None
    if difference is None:
        Console().say("two runs in two processes were the same, message by message")
    elif arguments.json:
        put_json({"valid?": False, "seed": options.seed, "difference": attrs.asdict(difference)})
    else:
        put(f"{difference}")
    return difference is None
