"""The judgement of a run: what all checkers together say of it."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from .._checkers import Results, Valid, worst
from .._checkers.audit import audit
from .._checkers.availability import availability
from .._checkers.late_replies import late_replies
from .._checkers.net import net
from .._checkers.operation_latencies import latencies
from .._checkers.stats import stats
from .._cluster.diagnosis import unmatched_replies
from .._explanation import Finding, generic, services
from .._explanation.scene import Scene
from .._explanation.words import in_words
from .._faults.faults import describe, to_json
from .._records.journal import Journal
from .._runs.options import Options
from .._runs.run import Run
from .._workloads import Workload

_EXCERPT: Final = 160
"""Characters of a line that stand in a problem: enough to recognise it."""

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


def explain(results: Results, workload: Workload, scene: Scene) -> list[Finding]:
    """Return what *results* mean, in sentences: why the run is not valid, if it is not, and remarks.

    Args:
      results: What `judge` returned.
      workload: That of the run.
      scene: The run.
    """
    of_workload = workload.explain(results["workload"], scene)
    if results["workload"]["valid?"] is not True and not any(finding.is_reason for finding in of_workload):
        of_workload = [*generic.explain(results["workload"]), *of_workload]
    stuck = results["nodes"]["stuck"]
    first = [] if stuck is None else [Finding(stuck)]  # all else is then a consequence, as a rule
    return [*first, *of_workload, *map(Finding, _other_reasons(results)), *services.explain(scene)]


def _other_reasons(results: Results) -> list[str]:
    """Return why *results* are not valid, whatever the workload's checker says."""
    found = [*results["nodes"]["problems"]]
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
