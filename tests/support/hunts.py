"""Hunts: wrong nodes, each with the runs in which the simulator is to find the mistake; `HUNTS`, and `RIGHT`.

A run catches a mistake of Raft only if the faults come at an unlucky moment, so a hunt tries one seed after another.
The faults of a run are an explicit schedule, which depends on the seed alone, so that it can be reduced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import Any

import attrs

from support.raft_invariants import raft_invariants
from support.raft_mistakes import MISTAKES, Impatient, Long, Small
from support.wrong_nodes import READY_MADE, Case
from trio_messenger._cli.finding import find_build
from trio_messenger.nodes import raft
from trio_messenger.sim import Fault, Invariant, Kill, Partition, Report, SlowLinks, make_schedule, simulate

Faults = Sequence[Fault]


def _nemesis(*kinds: str, interval: float) -> Callable[[Mapping[str, Any], int], Faults]:
    """Return a function that makes the schedule of ``--nemesis`` for the options and the seed of a run."""

    def faults(options: Mapping[str, Any], seed: int) -> Faults:
        return make_schedule(kinds, options["nodes"], seed, interval=interval, time_limit=options["time_limit"])

    return faults


def _isolated(node: str, nodes: Sequence[str], at: float, until: float) -> Partition:
    """Return the fault that cuts *node* off from all other *nodes*."""
    return Partition.between([node], [other for other in nodes if other != node], at=at, until=until)


def _isolations(stream: str) -> Callable[[Mapping[str, Any], int], Faults]:
    """Return a function that cuts one member off, at once after that another one, and so on.

    So leaders change in the middle of their work. Schedules with different names of the *stream* are different.
    """

    def make(options: Mapping[str, Any], seed: int) -> Faults:
        chance, nodes, begins = Random(f"{stream}/{seed}"), options["nodes"], 0.5
        faults: list[Fault] = []
        alone = ""
        while begins < options["time_limit"]:
            ends = round(begins + chance.uniform(0.4, 1.4), 3)
            alone = chance.choice([node for node in nodes if node != alone])
            faults.append(_isolated(alone, nodes, begins, ends))
            begins = ends
        return faults

    return make


def _short_kills(options: Mapping[str, Any], seed: int) -> Faults:
    """Kill one member after another for a moment, from 2.5 s on, while messages to it are still on their way."""
    chance, at = Random(f"kills/{seed}"), 2.5
    faults: list[Fault] = []
    while at < options["time_limit"]:
        faults.append(Kill(nodes=[chance.choice(options["nodes"])], at=at, until=round(at + 0.03, 3)))
        at = round(at + chance.uniform(0.1, 0.8), 3)
    return faults


def _one_after_another(options: Mapping[str, Any], seed: int) -> Faults:
    """Cut each member off once, for longer than an election takes, and let all be well after that."""
    nodes, seconds = options["nodes"], 1.2
    order = Random(f"one after another/{seed}").sample(nodes, len(nodes))
    return [
        _isolated(node, nodes, begins, begins + seconds) for node, begins in zip(order, count(1, seconds), strict=False)
    ]


def _slow_then_cut_off(options: Mapping[str, Any], seed: int) -> Faults:
    """Slow down each member for a while, and then cut it off.

    A leader that is used to slow answers goes on to lead for long, when the others have elected a new one already.
    """
    nodes = options["nodes"]
    order = Random(f"slow, then cut off/{seed}").sample(nodes, len(nodes))
    faults: list[Fault] = []
    for node, begins in zip(order, count(1.0, 3.5), strict=False):
        cut = begins + 1.2
        links = [(node, "nodes"), ("nodes", node)]
        faults.append(SlowLinks(links=links, factor=1, extra=0.4, at=begins, until=cut))
        faults.append(_isolated(node, nodes, cut, cut + 2))
    return faults


def _rival_candidates(options: Mapping[str, Any], seed: int) -> tuple[list[Fault], list[tuple[float, str, str]]]:
    """Restart all members at once, while two of them do not hear each other: both may stand in the same term.

    Also return the votes of the run with these faults: when, who, and for whom.
    """
    at, nodes = 0.5, options["nodes"]
    one, other, _ = Random(f"rivals/{seed}").sample(nodes, 3)
    faults: list[Fault] = [
        Kill(nodes=nodes, at=at, until=at + 0.01),
        Partition.between([one], [other], at=at, until=at + 3),
    ]
    rehearsal = simulate(build=partial(raft.build, member=Small), seed=seed, faults=faults, **options)
    votes: list[tuple[float, str, str]] = []
    for entry in rehearsal.journal:
        message, time = entry.message, entry.t / 1e9
        if entry.event != "send" or message is None or time < at + 0.01:
            continue
        if message.body["type"] == "request_vote_ok" and message.body["granted"]:
            votes.append((time, message.src, message.dest))
    return faults, votes


def _late_votes(options: Mapping[str, Any], seed: int) -> Faults:
    """Let the first vote for one of two rivals be so late that it may arrive in the next term."""
    chance = Random(f"late votes/{seed}")
    faults, votes = _rival_candidates(options, seed)
    for at, voter, candidate in votes[:1]:
        link, extra = (voter, candidate), chance.uniform(0.8, 1.6)
        faults.append(SlowLinks(links=[link], factor=1, extra=extra, at=at - 0.0005, until=at + 0.0005))
    return faults


def _restarted_voters(options: Mapping[str, Any], seed: int) -> Faults:
    """Restart each member that votes for one of two rivals, a millisecond after its vote."""
    faults, votes = _rival_candidates(options, seed)
    free = dict.fromkeys(options["nodes"], 0.0)
    for at, voter, _ in votes:
        begins, ends = at + 0.001, at + 0.011
        if free[voter] < begins and ends < options["time_limit"]:
            free[voter] = ends
            faults.append(Kill(nodes=[voter], at=begins, until=ends))
    return faults


@attrs.frozen(kw_only=True)
class Hunt:
    """A node, and how to run it."""

    name: str
    what: str
    """What is wrong with the node, in a sentence."""
    options: Mapping[str, Any]
    """Arguments of `simulate`, with the workload."""
    build: Callable[..., Any] = attrs.field(repr=False)
    schedule: Callable[[Mapping[str, Any], int], Faults] = attrs.field(repr=False)
    invariants: Callable[[], Sequence[Invariant]] = list

    def faults(self, seed: int) -> Faults:
        """Return the schedule of the run with *seed*."""
        return self.schedule(self.options, seed)

    def run(self, seed: int, faults: Faults | None = None) -> Report:
        """Make the run with *seed*, perhaps with other *faults* than its own."""
        schedule = self.faults(seed) if faults is None else faults
        return simulate(build=self.build, seed=seed, faults=schedule, invariants=self.invariants(), **self.options)

    def catch(self, seed: int) -> str:
        """Make the run with *seed*, and return what has caught the mistake; an empty string if nothing has."""
        report = self.run(seed)
        return caught_by(report) if report.valid is False else ""


def caught_by(report: Report) -> str:
    """Name what has found something: invariants by their classes, otherwise the workload or its availability.

    That operations of some kind never succeeded does not count. Hard faults alone may do that.
    """
    wrong = [name for name, result in report.results.items() if name != "stats" and _is_invalid(result)]
    if "invariants" in wrong:
        by_name = report.results["invariants"]["by-name"]
        return ", ".join(name.rpartition(":")[2] for name, result in by_name.items() if result["violation"])
    return ", ".join(wrong)


def _is_invalid(result: object) -> bool:
    return isinstance(result, Mapping) and result.get("valid?") is False


def _options(nodes: int = 3, **options: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"workload": "lin-kv", "time_limit": 8.0, "rate": 40.0, "latency": 5.0}
    return {"nodes": [f"n{number + 1}" for number in range(nodes)], "latency_dist": "exponential", **usual, **options}


CUTS_AND_KILLS = (_options(), _nemesis("partition", "links", "kill", "duplicate", "reorder", interval=1))
BAD_DISKS = (_options(), _nemesis("kill", "storage", interval=0.8))
ROUND_ROBIN_CUTS = (_options(time_limit=8.0, concurrency=48, availability=0.4), _one_after_another)
LATE_VOTES = (_options(latency=100.0, time_limit=5.0, rate=10.0), _late_votes)
RESTARTED_VOTERS = (_options(latency=100.0, time_limit=4.0, rate=10.0), _restarted_voters)
ISOLATIONS = (_options(latency=60.0, time_limit=12.0), _isolations("isolations"))
FIGURE_8 = (_options(latency=60.0, time_limit=12.0), _isolations("isolate"))
SLOW_LEADERS = (_options(time_limit=12.0), _slow_then_cut_off)
SHORT_KILLS = (_options(latency=100.0, time_limit=10.0, concurrency=12), _short_kills)
FAR_AWAY = (_options(latency=40.0), _nemesis(interval=1))
FIVE_NODES = (_options(nodes=5, rate=30.0), _nemesis("partition", interval=1))

RAFT = {
    "VotesForAnyone": CUTS_AND_KILLS,
    "AnswersBeforeSync": BAD_DISKS,
    "SavesAfterReplying": BAD_DISKS,
    "ForgetsItsVote": RESTARTED_VOTERS,
    "CommitsOlderTerms": FIGURE_8,
    "TruncatesAlways": CUTS_AND_KILLS,
    "CommitsMoreThanIsProven": ISOLATIONS,
    "StaleLeaderReads": SLOW_LEADERS,
    "ReadsBeforeItsFirstCommit": SHORT_KILLS,
    "EveryMessageResetsTheTimer": ROUND_ROBIN_CUTS,
    "SnapshotWithoutIndexAndTerm": CUTS_AND_KILLS,
    "AcceptsOldAnswers": LATE_VOTES,
    "CountsRepliesNotMembers": FIVE_NODES,
    "AppliesRetriesTwice": FAR_AWAY,
    "NeverLowersNextIndex": ROUND_ROBIN_CUTS,
}
"""The mistakes of Raft, each with the options and the schedules of its runs."""


def _raft(name: str, member: type[raft.Raft], how: tuple[dict[str, Any], Any]) -> Hunt:
    options, schedule = how
    what = (member.__doc__ or "").partition("\n")[0]
    build = partial(raft.build, member=member)
    return Hunt(
        name=f"raft {name}",
        what=what,
        options=options,
        build=build,
        schedule=schedule,
        invariants=raft_invariants,
    )


def _ready_made(case: Case) -> Hunt:
    options, build = case.options, find_build(case.node)
    named = {
        "workload": options.workload,
        "nodes": options.nodes,
        "rate": options.rate,
        "time_limit": options.time_limit,
        "latency": options.latency.mean,
        "loss": options.loss,
        "concurrency": options.concurrency,
    }
    return Hunt(
        name=f"{options.workload} {case.node.rpartition(':')[2]}",
        what="",
        options=named,
        build=build,
        schedule=lambda _, __: options.faults,
    )


RAFT_HUNTS = tuple(_raft(name, MISTAKES[name], how) for name, how in RAFT.items())

HUNTS = (*RAFT_HUNTS, *map(_ready_made, READY_MADE))
"""All mistakes."""

RIGHT = (
    _raft("right, cuts and kills", Small, CUTS_AND_KILLS),
    _raft("right, bad disks", Small, BAD_DISKS),
    _raft("right, cuts one after another", Small, ROUND_ROBIN_CUTS),
    _raft("right, late votes", Small, LATE_VOTES),
    _raft("right, restarted voters", Small, RESTARTED_VOTERS),
    _raft("right, short kills", Small, SHORT_KILLS),
    _raft("right, isolations", Small, ISOLATIONS),
    _raft("right, figure 8", Small, FIGURE_8),
    _raft("right, slow leaders", Small, SLOW_LEADERS),
    _raft("right, five nodes", Small, FIVE_NODES),
    _raft("right, impatient", Impatient, FAR_AWAY),
    _raft("right, isolations without snapshots", Long, ISOLATIONS),
)
"""The right node, with the options of each of these mistakes: it must pass with every seed."""
