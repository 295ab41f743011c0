"""The judgement of a run: what all checkers together say of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from ._diagnosis import unmatched_replies
from .checkers import Results, Valid, worst
from .checkers.audit import audit
from .checkers.availability import availability
from .checkers.late_replies import late_replies
from .checkers.latencies import latencies
from .checkers.net import net
from .checkers.stats import stats
from .faults import describe, to_json
from .journal import Journal
from .options import Options
from .run import Run

_EXCERPT: Final = 160
"""Characters of a line that stand in a problem: enough to recognise it."""

_ASIDE: Final = (
    *("valid?", "stale-count", "stale", "worst-stale", "stable-latencies"),
    *("late", "worst-lost", "lost-latencies", "final-reads"),
)
"""What checkers say of the workload that never makes it invalid."""

_PLACE: Final = ("index", "time", "process", "type")
"""Where in the history a record of a checker is from; its text is for people, who look for that in ``results.json``."""

_SHOWN: Final = 8
"""Problems of one kind that are told one by one."""


def judge(run: Run) -> Results:
    """Return the results of *run*, which has ended, as Maelstrom's ``results.edn`` has them, and some of our own.

    ``workload``, ``stats``, ``availability``, ``net`` and ``valid?`` are Maelstrom's. Of our own are ``latencies``;
    ``audit``, with how many final reads of each node were ok; ``clients``, with what they ``asked`` before the final
    operations, when the workload ``ran-out`` of operations (in seconds of the main phase; null if it did not), and the
    ``late-replies`` of each node to clients that were gone, and its ``unmatched-replies`` to clients that had asked no
    such thing; ``nodes``, with the ``problems`` that nodes have whatever their clients saw, such as messages to nobody,
    ``remarks`` on what need not be a problem, those that are ``unasked``, why they are ``stuck``, if they are, and the
    ``daemons`` that outlived them; and ``faults``, with how often each ``took-effect``.
    """
    history = run.history
    results: dict[str, Any] = {
        "workload": run.workload.check(history),
        "stats": stats(history),
        "availability": availability(history, run.options.availability),
        "net": net(run.journal, history),
        "latencies": latencies(history),
        "audit": audit(history),
        "clients": _clients(run),
        "nodes": _nodes(run),
        "faults": _faults(run.options, run.network.bites),
    }
    parts: list[Valid] = [part["valid?"] for part in results.values() if "valid?" in part]
    return {"valid?": worst(parts), **results}


def reasons(results: Results) -> list[str]:
    """Return why *results* are not valid, a line for each reason; none, if they are."""
    workload, nodes = results["workload"], results["nodes"]
    found = [nodes["stuck"]] if nodes["stuck"] is not None else []  # all else is then a consequence, as a rule
    if workload["valid?"] is not True:
        figures = {name: value for name, value in workload.items() if name not in _ASIDE and value not in ([], 0, None)}
        verdict = "invalid" if workload["valid?"] is False else "undecided"
        found.append(f"the workload's checker says {verdict}: {_brief(figures) or 'too little was seen'}")
    found += nodes["problems"]
    found += _left_unasked(results["clients"])
    for f, part in results["stats"]["by-f"].items():
        if part["valid?"] is not True:
            found.append(f"no {f!r} of {part['count']} was ok")
    if results["availability"]["valid?"] is not True:
        found.append(f"availability is {results['availability']['ok-fraction']}, which is less than was asked for")
    return found


def warnings(results: Results) -> list[str]:
    """Return what makes *results* say less than they seem to: unseen nodes, faults without effect, late replies.

    And what is odd with nodes, and what outlived the run.
    """
    is_cut_off = results["nodes"]["stuck"] is not None
    unseen = [] if is_cut_off else _unseen_nodes(results)
    odd = [*results["nodes"]["remarks"], *results["nodes"]["daemons"]]
    return [*unseen, *_untested(results), *_too_late(results), *_unmatched(results), *odd]


def _unseen_nodes(results: Results) -> list[str]:
    found = []
    unread = [node for node, count in results["audit"]["ok-reads"].items() if not count]
    if unread:
        found.append(f"no final read of {in_words(unread)} was ok, so nobody knows what is missing there")
    unasked = results["nodes"]["unasked"]
    if unasked:
        found.append(f"no client asked {in_words(unasked)}: give more time, or as many clients (concurrency) as nodes")
    return found + [
        f"none of the {counts['count']} operations that asked {node} was ok"
        for node, counts in results["stats"].get("by-node", {}).items()
        if not counts["ok-count"] and node not in unread
    ]


def in_words(names: Sequence[str]) -> str:
    """Return *names* as they stand in a sentence: ``n1, n2 and n3``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _untested(results: Results) -> list[str]:
    nemesis, schedule = results["faults"]["nemesis"], results["faults"]["schedule"]
    if nemesis and not schedule:
        return [f"the nemesis ({', '.join(nemesis)}) made no fault by this seed: take another one, or a longer time"]
    inert = [entry for entry in schedule if not entry["took-effect"]]
    if inert and len(inert) == len(schedule):
        return ["no fault of the schedule took effect: this run has tested nothing that a run without faults has not"]
    return [f"fault {entry['index']} ({entry['text']}) took no effect" for entry in inert]


def _too_late(results: Results) -> list[str]:
    late = results["clients"]["late-replies"]
    if not late:
        return []
    count = sum(late.values())
    came = "1 reply came after its client" if count == 1 else f"{count} replies came after their clients"
    nodes = ", ".join(f"{node_id} {number}" for node_id, number in late.items())
    return [
        f"{came} had given up ({nodes}); here such replies are ignored, but Maelstrom stops listening to a node at the"
        " first one, so that all its later operations time out"
    ]


def _unmatched(results: Results) -> list[str]:
    return [
        f"{told['count']} messages of {node_id} to clients reply to nothing that they asked, the first: {told['first']}"
        if told["count"] > 1
        else f"a message of {node_id} to a client replies to nothing that it asked: {told['first']}"
        for node_id, told in results["clients"]["unmatched-replies"].items()
    ]


def _left_unasked(clients: Results) -> list[str]:
    """Return why the clients asked less than they should have."""
    if not clients["asked"]:
        return ["clients asked nothing: this run has tested only that nodes start; give a longer time, or a rate"]
    if clients["ran-out"] is None:
        return []
    return [
        f"the workload ran out of operations {clients['ran-out']:.3g} s into the main phase, after {clients['asked']};"
        " nothing was asked from then on: its invocations() must yield without end"
    ]


def _brief(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in figures.items())


def _shown(value: Any) -> str:
    """Return *value* as JSON, cut; of a list the first few, or the first record, and how many there are."""
    if isinstance(value, list) and isinstance(value[0], dict):
        fields = [f"{name} {_cut(json.dumps(field))}" for name, field in value[0].items() if name not in _PLACE]
        return f"{len(value)}, the first: {', '.join(fields)}"
    if isinstance(value, list) and len(value) > _SHOWN:
        return f"{_cut(json.dumps(value[:_SHOWN]))} and {len(value) - _SHOWN} more"
    return _cut(json.dumps(value))


def _cut(text: str) -> str:
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


def _clients(run: Run) -> Results:
    asked = sum(op.type == "invoke" and not op.final for op in run.history)
    return {
        "valid?": True if asked and run.ran_out_after is None else "unknown",
        "asked": asked,
        "ran-out": run.ran_out_after,
        "late-replies": late_replies(run.journal, run.closed_clients),
        "unmatched-replies": unmatched_replies(run.journal),
    }


def _nodes(run: Run) -> Results:
    problems = [problem for host in run.hosts.values() for problem in host.problems]
    problems += _shortened(_counted(run.malformed), "more kinds of malformed replies")
    problems += _shortened(_misdirected(run.journal), "more messages to nobody")
    asked = {op.node for op in run.history}
    unasked = [node_id for node_id in run.options.nodes if node_id not in asked] if asked else []
    return {
        "valid?": not problems and run.stuck is None,
        "stuck": run.stuck,
        "problems": problems,
        "remarks": [remark for host in run.hosts.values() for remark in host.remarks],
        "unasked": unasked,
        "daemons": run.daemons,
    }


def _misdirected(journal: Journal) -> list[str]:
    lost = {entry.id for entry in journal if entry.reason == "unknown"}
    return [
        f"a message to a node that does not exist: {bytes(entry.message or b'').decode():.{_EXCERPT}}"
        for entry in journal
        if entry.event == "send" and entry.id in lost
    ]


def _counted(lines: list[str]) -> list[str]:
    """Return each of *lines* once, with how often it was there."""
    return [f"{line}, {count} times" if count > 1 else line for line, count in Counter(lines).items()]


def _shortened(problems: list[str], more: str) -> list[str]:
    rest = len(problems) - _SHOWN
    return problems if rest <= 0 else [*problems[:_SHOWN], f"{rest} {more}"]


def _faults(options: Options, bites: Counter[int]) -> Results:
    schedule = [
        {"index": index, "text": describe(fault), "fault": to_json(fault), "took-effect": bites[index]}
        for index, fault in enumerate(options.faults)
    ]
    return {"nemesis": list(options.nemesis), "schedule": schedule}
