from trio_messenger import Backoff, Body, ErrorCode, Node, RetriesExhausted, RpcError
from trio_messenger.sim import Loss, Report, simulate

LINKS = [("nodes", "services"), ("services", "nodes")]


def run(timeout: float, attempts: int, lost: float) -> tuple[Report, Node]:
    """Let clients ask a node for ids, which it gets from a service over a slow network."""
    nodes = []

    def build() -> Node:
        node = Node()
        nodes.append(node)

        @node.on("generate")
        async def generate() -> Body:
            asked = {"timeout": timeout, "attempts": attempts}
            try:
                done = await node.rpc_retry("lin-tso", {"type": "ts"}, **asked)
            except RetriesExhausted as exc:
                raise RpcError(ErrorCode.TIMEOUT, str(exc)) from exc
            return {"id": done.reply["ts"]}

        return node

    load = {"nodes": 1, "concurrency": 20, "rate": 20, "time_limit": 30}
    network = {"latency": 100, "latency_dist": "exponential", "faults": [Loss(links=LINKS, rate=lost)]}
    return simulate("unique-ids", build, **load, **network), nodes[0]


def measure(timeout: float) -> None:
    _, node = run(timeout, attempts=1, lost=0)
    latency, late = node.stats.rpc_latency, node.stats.late_replies
    shown = ", ".join(f"p{q * 100:g} {latency.quantile(q) * 1000:.0f}" for q in (0.5, 0.95, 0.99, 1))
    print(f"with a timeout of {timeout:g} s: {shown} ms; late replies: {late}")


def try_out(timeout: float, attempts: int) -> None:
    report, node = run(timeout, attempts, lost=0.1)
    at_worst = attempts * timeout + sum(Backoff().schedule(attempts - 1))
    ok = report.results["availability"]["ok-fraction"]
    latency = report.results["latencies"]["quantiles"]
    asked = node.stats.rpcs / report.results["stats"]["count"]
    print(f"{timeout:5} s {attempts:9} {at_worst:6.1f} s {ok:8.1%}", end=" ")
    print(f"{latency['0.5']:7.0f} {latency['0.99']:7.0f} {asked:22.2f}")


for timeout in (10.0, 0.25):
    measure(timeout)

print("\ntimeout  attempts  at worst       ok  p50 ms  p99 ms  requests an operation")
for timeout, attempts in ((0.1, 6), (0.25, 6), (0.7, 5), (2.0, 6), (4.5, 1)):
    try_out(timeout, attempts)
