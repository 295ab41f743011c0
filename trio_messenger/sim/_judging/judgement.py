"""The judgement of a run: the results of all checkers, and their meaning in sentences."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Final

from .._checkers import Results, Valid, worst
from .._checkers.audit import audit
from .._checkers.availability import Availability, availability
from .._checkers.late_replies import late_replies
from .._checkers.net import net
from .._checkers.operation_latencies import latencies
from .._checkers.operation_stats import stats
from .._cluster.diagnosis import unmatched_replies
from .._explanation import Finding, generic, stale_answers
from .._explanation.invariants import explain_assertions, explain_invariants, warn_of_invariants
from .._explanation.scene import Scene
from .._explanation.words import in_words
from .._faults.faults import describe, fault_to_json
from .._records.cut_texts import cut_text
from .._records.history import History
from .._records.journal import Journal
from .._runs.options import Options
from .._runs.run import Run
from .._workloads import (
    Workload,
    blaming_reader,
    checked_final,
    checked_findings,
    checked_pictures,
    checked_results,
    is_foreign,
)
from ..pictures import Picture

_PROBLEMS_LISTED: Final = 8
"""The number of problems of one kind that are listed one by one."""


def judge(run: Run) -> Results:
    """Return the results of *run*, which has ended: those of Maelstrom's ``results.edn``, and some of our own.

    ``workload``, ``stats``, ``availability``, ``net`` and ``valid?`` are Maelstrom's. The others are our own:

    - ``latencies``
    - ``audit``: how many final reads of each node were ok
    - ``clients``: how many operations they ``asked`` before the final ones; when the workload ``ran-out`` of operations
      (in seconds of the main phase; null if it did not); each node's ``late-replies`` to clients that had given up, and
      its ``unmatched-replies``, which reply to no request of their client
    - ``nodes``: their ``problems``, whether or not a client noticed them, such as messages to nodes that do not exist;
      ``remarks`` on things that may be harmless; the nodes that were ``unasked``; why the run is ``stuck`` (or null);
      and the ``daemons`` that still ran after the nodes ended
    - ``faults``: the schedule, how often each fault ``took-effect``, and what a ``search`` drew, unless it is uniform
    - ``invariants``, if there are any: how often each was checked, and its first violation
    - ``assertions``, if nodes called any: their ``calls``, and how often their condition ``held``

    Raises:
      WorkloadError: if the workload's code is wrong.
    """
    of_history = judge_history(run.history, run.workload, run.options.availability)
    return _with_verdict(
        {
            **{name: of_history[name] for name in ("workload", "stats", "availability")},
            "net": _net(run),
            **{name: of_history[name] for name in ("latencies", "audit")},
            "clients": _clients(run),
            "nodes": _nodes(run),
            "faults": _faults(run.options, run.network.bites),
            **_of_invariants(run),
        }
    )


def judge_history(history: History, workload: Workload, wanted: Availability) -> Results:
    """Return the results that follow from *history* alone: ``valid?`` and the first of those that `judge` returns.

    Args:
      history: The operations of the clients.
      workload: Has the checker.
      wanted: The required availability.

    Raises:
      WorkloadError: if the workload's code is wrong.
    """
    return _with_verdict(
        {
            "workload": _check(workload, history),
            "stats": stats(history),
            "availability": availability(history, wanted),
            "latencies": latencies(history),
            "audit": audit(history),
        }
    )


def _with_verdict(results: Results) -> Results:
    parts: list[Valid] = [part["valid?"] for part in results.values() if "valid?" in part]
    return {"valid?": worst(parts), **results}


def _check(workload: Workload, history: History) -> Results:
    with blaming_reader(workload, "check", history):
        results = workload.check(history)
    return checked_results(workload, results)


def explain(results: Results, workload: Workload, scene: Scene) -> list[Finding]:
    """Return the meaning of *results* in sentences: reasons why the run is not valid, if it is not, and remarks.

    Args:
      results: The result of `judge`.
      workload: The run's workload.
      scene: The run.

    Raises:
      WorkloadError: if the workload's code is wrong.
    """
    stuck = results["nodes"]["stuck"]
    first = [] if stuck is None else [Finding(stuck)]  # everything else usually follows from that
    of_workload, of_history = _explain_workload(results, workload, scene), _reasons_in_history(results)
    of_run = [*results["nodes"]["problems"], *_left_unasked(results["clients"])]
    found = [*first, *of_workload, *explain_invariants(results), *explain_assertions(results)]
    return [*found, *map(Finding, [*of_run, *of_history]), *stale_answers.explain(scene)]


def explain_history(results: Results, workload: Workload, scene: Scene) -> list[Finding]:
    """Return the meaning of *results*, those of `judge_history`, in sentences; see `explain`."""
    return [*_explain_workload(results, workload, scene), *map(Finding, _reasons_in_history(results))]


def _explain_workload(results: Results, workload: Workload, scene: Scene) -> list[Finding]:
    with blaming_reader(workload, "explain", scene.history):
        returned = workload.explain(_given(results["workload"], workload), scene)
    found = checked_findings(workload, returned)
    if results["workload"]["valid?"] is not True and not any(finding.is_reason for finding in found):
        return [*generic.explain(results["workload"]), *found]
    return found


def draw(results: Results, workload: Workload, scene: Scene) -> Sequence[Picture]:
    """Return the pictures that explain *results*, those of `judge` or `judge_history`; see `Workload.pictures`.

    Raises:
      WorkloadError: if the workload's code is wrong.
    """
    with blaming_reader(workload, "pictures", scene.history):
        pictures = workload.pictures(_given(results["workload"], workload), scene)
    return checked_pictures(workload, pictures)


def _given(results: Results, workload: Workload) -> Results:
    """Return *results* for a method of *workload*, which may take them apart."""
    return copy.deepcopy(results) if is_foreign(workload) else results


def _reasons_in_history(results: Results) -> list[str]:
    """Return the reasons in the history why *results* are not valid, apart from those of the workload's checker."""
    found = []
    for f, part in results["stats"]["by-f"].items():
        if part["valid?"] is not True:
            often = f"; most often: {part['frequent-error']}" if "frequent-error" in part else ""
            found.append(f"no {f!r} of {part['count']} was ok{often}")
    if results["availability"]["valid?"] is not True:
        found.append(f"availability is {results['availability']['ok-fraction']}, below the required fraction")
    return found


def warnings(results: Results) -> list[str]:
    """Return the limits of what *results* prove: unseen nodes, faults without effect, late and unmatched replies.

    Also return odd behaviour of nodes, and processes that outlived the run.
    """
    is_cut_off = results["nodes"]["stuck"] is not None
    unseen = [] if is_cut_off else _unseen_nodes(results)
    odd = [*results["nodes"]["remarks"], *results["nodes"]["daemons"]]
    return [
        *unseen,
        *_untested(results),
        *_too_late(results),
        *_unmatched(results),
        *odd,
        *warn_of_invariants(results),
    ]


def _unseen_nodes(results: Results) -> list[str]:
    unasked = results["nodes"]["unasked"]
    found = []
    if unasked:
        found.append(
            f"no client asked {in_words(unasked)}: set a longer time limit, or as many clients (concurrency) as nodes"
        )
    return [*_unread_nodes(results), *found, *_unanswered(results)]


def history_warnings(results: Results, history: History, workload: Workload) -> list[str]:
    """Return the limits of what *results*, those of `judge_history`, prove."""
    found = []
    if checked_final(workload) is not None and all(op.node is None for op in history):
        found.append("the history does not name the nodes, so a value that only one node lacks may go unnoticed")
    if all(op.time == 0 for op in history):
        found.append("the history has no times, so all latencies are 0")
    return [*found, *_unread_nodes(results), *_unanswered(results)]


def _unread_nodes(results: Results) -> list[str]:
    unread = [node for node, count in results["audit"]["ok-reads"].items() if not count]
    return [f"no final read of {in_words(unread)} was ok, so values missing there go unnoticed"] if unread else []


def _unanswered(results: Results) -> list[str]:
    ok_reads = results["audit"]["ok-reads"]
    return [
        f"none of the {counts['count']} operations that asked {node} was ok"
        for node, counts in results["stats"].get("by-node", {}).items()
        if not counts["ok-count"] and ok_reads.get(node) != 0
    ]


def _untested(results: Results) -> list[str]:
    nemesis, schedule = results["faults"]["nemesis"], results["faults"]["schedule"]
    if nemesis and not schedule:
        return [
            f"the nemesis ({', '.join(nemesis)}) made no fault with this seed: use another seed, or a longer time limit"
        ]
    inert = [entry for entry in schedule if not entry["took-effect"]]
    if inert and len(inert) == len(schedule):
        return ["no fault in the schedule took effect: this run tested no more than a run without faults"]
    return [f"fault {entry['index']} ({entry['text']}) took no effect" for entry in inert]


def _too_late(results: Results) -> list[str]:
    late = results["clients"]["late-replies"]
    if not late:
        return []
    count = sum(late.values())
    came = "1 reply arrived after its client" if count == 1 else f"{count} replies arrived after their clients"
    nodes = ", ".join(f"{node_id} {number}" for node_id, number in late.items())
    return [
        f"{came} had given up ({nodes}); the simulator ignores such replies, but Maelstrom stops listening to a node"
        " after the first one, so all its later operations time out"
    ]


def _unmatched(results: Results) -> list[str]:
    return [
        f"{told['count']} messages from {node_id} to clients reply to none of their requests; first: {told['first']}"
        if told["count"] > 1
        else f"a message from {node_id} to a client replies to none of its requests: {told['first']}"
        for node_id, told in results["clients"]["unmatched-replies"].items()
    ]


def _left_unasked(clients: Results) -> list[str]:
    """Return the reasons why the clients asked less than they should."""
    if not clients["asked"]:
        return ["clients asked nothing: this run tested only that nodes start; set a longer time limit, or a rate"]
    if clients["ran-out"] is None:
        return []
    return [
        f"the workload ran out of operations {clients['ran-out']:.3g} s into the main phase, after {clients['asked']};"
        " nothing was asked after that: its invocations() must never end"
    ]


def _clients(run: Run) -> Results:
    asked = sum(op.type == "invoke" and not op.final for op in run.history)
    return {
        "valid?": True if asked and run.ran_out_after is None else "unknown",
        "asked": asked,
        "ran-out": run.ran_out_after,
        "late-replies": late_replies(run.journal, run.workers.closed_clients),
        "unmatched-replies": unmatched_replies(run.journal),
    }


def _net(run: Run) -> Results:
    """Count messages; not those between nodes, if these run elsewhere."""
    counted = net(run.journal, run.history)
    is_all_seen = all(host.is_here for host in run.hosts.values())
    return counted if is_all_seen else {name: part for name, part in counted.items() if name != "servers"}


def _nodes(run: Run) -> Results:
    problems = [problem for host in run.hosts.values() for problem in host.problems]
    problems += _shortened(_counted(run.workers.malformed), "more kinds of malformed replies")
    problems += _shortened(_misdirected(run.journal), "more messages to nodes that do not exist")
    asked = {op.node for op in run.history}
    unasked = [node_id for node_id in run.options.nodes if node_id not in asked] if asked else []
    return {
        "valid?": not problems and run.stuck is None,
        "stuck": run.stuck,
        "problems": problems,
        "remarks": [*run.remarks, *(remark for host in run.hosts.values() for remark in host.remarks)],
        "unasked": unasked,
        "daemons": run.daemons,
    }


def _of_invariants(run: Run) -> Results:
    """Return the results of the invariants and of the nodes' assertions, if there are any."""
    invariants = {} if run.invariants is None else run.invariants.results()
    assertions = {} if run.assertions is None else run.assertions.results()
    found = {"invariants": invariants, "assertions": assertions}
    return {name: results for name, results in found.items() if results}


def _misdirected(journal: Journal) -> list[str]:
    lost = {entry.id for entry in journal if entry.reason == "unknown"}
    return [
        f"a message to a node that does not exist: {cut_text(bytes(entry.raw or b'').decode())}"
        for entry in journal
        if entry.event == "send" and entry.id in lost
    ]


def _counted(lines: list[str]) -> list[str]:
    """Return each of *lines* once, with the number of times it occurs."""
    return [f"{line}, {count} times" if count > 1 else line for line, count in Counter(lines).items()]


def _shortened(problems: list[str], more: str) -> list[str]:
    rest = len(problems) - _PROBLEMS_LISTED
    return problems if rest <= 0 else [*problems[:_PROBLEMS_LISTED], f"{rest} {more}"]


def _faults(options: Options, bites: Counter[int]) -> Results:
    schedule = [
        {"index": index, "text": describe(fault), "fault": fault_to_json(fault), "took-effect": bites[index]}
        for index, fault in enumerate(options.faults)
    ]
    drawn = options.drawn()
    searched = {} if drawn is None else {"search": {"strategy": drawn.strategy, "drawn": list(drawn.lines)}}
    return {"nemesis": list(options.nemesis), **searched, "schedule": schedule}
