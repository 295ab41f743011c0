"""Real clusters, judged by the simulator's checkers: three machines with a NATS server each, cuts, kills and pauses.

Run it as root, since it makes network namespaces: ``nox -s cluster``, or ``python tests/bench/nats_cluster.py``
with the names of scenarios. It prints a line of figures for each, and fails if a verdict is wrong. All take four
minutes.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.machines import why_not
from support.nats_server import PROGRAM
from support.real_cluster import RealCluster, judged, ok_by_node, real_cluster

from trio_messenger.sim import Options, Report
from trio_messenger.sim._runs.run import Run

DEAF = """
from trio_messenger import Node

node, messages = Node(), []
node.on("topology")(lambda: {})
node.on("read")(lambda: {"messages": messages})

@node.on("broadcast")
def take(request):
    messages.append(request.body["message"])
    return {}
"""
"""A broadcast node that tells nobody."""

Scenario = Callable[[RealCluster], bool]
Meanwhile = Callable[[Run, dict[str, float]], Awaitable[object]]
"""What happens during the main phase. It notes when it begins and ends."""


def tell(name: str, report: Report, times: Mapping[str, float]) -> None:
    """Print the verdict, the operations, and those of each node before, during and after what happened."""
    first, second = times.get("begin", 0.0), times.get("end", 0.0)
    counts = report.results["stats"]
    line = f"{name}: {report.results['valid?']}; {counts['count']} operations, {counts['ok-count']} ok,"
    line += f" {counts['fail-count']} fail, {counts['info-count']} info"
    if second:
        spans = ((0.0, first), (first, second), (second, float("inf")))
        line += f"; ok before {first:.1f} s, until {second:.1f} s, after: "
        line += ", ".join(str(list(ok_by_node(report, *span).values())) for span in spans)
    print(line, *report.reasons(), *report.warnings(), sep="\n  ", flush=True)


def run(
    name: str, cluster: RealCluster, workload: str, meanwhile: Meanwhile, *, rate: float, time_limit: float
) -> tuple[Report, dict[str, float]]:
    """Test the cluster, and print figures."""
    times: dict[str, float] = {}

    async def act(run: Run) -> None:
        await meanwhile(run, times)

    options = Options(workload=workload, nodes=cluster.node_ids, rate=rate, time_limit=time_limit)
    report: Report = trio.run(judged, cluster, options, act)
    tell(name, report, times)
    return report, times


async def nothing(_: Run, __: dict[str, float]) -> None:
    await trio.lowlevel.checkpoint()


def between(begin: Callable[[], object], end: Callable[[], object], after: float, seconds: float) -> Meanwhile:
    """Return what calls *begin* after some seconds, and *end* after others."""

    async def act(run: Run, times: dict[str, float]) -> None:
        await trio.sleep(after)
        times["begin"] = run.network.now() / 1e9
        begin()
        await trio.sleep(seconds)
        times["end"] = run.network.now() / 1e9
        end()

    return act


def broadcast(cluster: RealCluster) -> bool:
    """The ready-made node is valid."""
    for number in cluster.machines.numbers:
        cluster.start_node(number, "broadcast")
    report, _ = run("broadcast", cluster, "broadcast", nothing, rate=50, time_limit=10)
    return report.valid is True


def deaf_broadcast(cluster: RealCluster) -> bool:
    """A node that tells nobody is invalid."""
    (cluster.folder / "deaf.py").write_text(DEAF)
    for number in cluster.machines.numbers:
        cluster.start_node(number, "deaf:node", cwd=cluster.folder)
    report, _ = run("a broadcast node that tells nobody", cluster, "broadcast", nothing, rate=50, time_limit=5)
    return report.valid is False


def raft_cut(cluster: RealCluster) -> bool:
    """While a machine is cut off, the majority goes on; then all do; and the history is linearizable."""
    for number in cluster.machines.numbers:
        cluster.start_node(number, "raft")
    cut = between(lambda: cluster.machines.cut(3), lambda: cluster.machines.join(3), 8, 10)
    report, times = run("raft, machine 3 is cut off", cluster, "lin-kv", cut, rate=60, time_limit=30)
    meanwhile = ok_by_node(report, times["begin"] + 1, times["end"])
    return report.valid is True and meanwhile["n3"] == 0 < meanwhile["n1"]


def raft_killed_server(cluster: RealCluster) -> bool:
    """A server is killed and started again: its node connects again."""
    servers = {1: cluster.processes[0]}
    for number in cluster.machines.numbers:
        cluster.start_node(number, "raft")
    kill = between(servers[1].kill, lambda: cluster.start_server(1), 8, 5)
    report, times = run("raft, server 1 is killed and restarted", cluster, "lin-kv", kill, rate=60, time_limit=30)
    return report.valid is True and ok_by_node(report, times["end"])["n1"] > 0


def raft_paused_node(cluster: RealCluster) -> bool:
    """A node is paused: the others go on."""
    nodes = [cluster.start_node(number, "raft") for number in cluster.machines.numbers]
    pause = between(lambda: nodes[1].send_signal(signal.SIGSTOP), lambda: nodes[1].send_signal(signal.SIGCONT), 8, 8)
    report, times = run("raft, node 2 is paused", cluster, "lin-kv", pause, rate=60, time_limit=25)
    return report.valid is True and ok_by_node(report, times["end"])["n2"] > 0


def services_cut(cluster: RealCluster) -> bool:
    """lin-kv on JetStream is linearizable while a machine is cut off."""
    time.sleep(5)  # JetStream chooses a leader
    for number in cluster.machines.numbers:
        cluster.start_services(number)
        cluster.start_node(number, "lin-kv-proxy")
    time.sleep(5)
    cut = between(lambda: cluster.machines.cut(1), lambda: cluster.machines.join(1), 12, 20)
    report, times = run("lin-kv on JetStream, machine 1 is cut off", cluster, "lin-kv", cut, rate=40, time_limit=50)
    meanwhile = ok_by_node(report, times["begin"], times["end"])
    return report.valid is True and meanwhile["n2"] + meanwhile["n3"] > 0


SCENARIOS: dict[str, Scenario] = {
    each.__name__: each
    for each in (broadcast, deaf_broadcast, raft_cut, raft_killed_server, raft_paused_node, services_cut)
}


def main(names: list[str]) -> int:
    """Run scenarios; return 1 if one fails."""
    reason = "nats-server is not installed" if PROGRAM is None else why_not()
    if reason is not None:
        print(f"skipped: {reason}")
        return 0
    failed = []
    for name in names or list(SCENARIOS):
        with tempfile.TemporaryDirectory() as folder, real_cluster(3, Path(folder)) as cluster:
            if not SCENARIOS[name](cluster):
                failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all as expected")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
