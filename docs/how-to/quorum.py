import trio
from network import run

from trio_messenger import ErrorCode, Node, QuorumNotReached, RpcError

nodes = [Node() for _ in range(5)]
n1 = nodes[0]


def add_read(node: Node, seconds: float, value: int) -> None:
    @node.on("read")
    async def read() -> dict[str, int]:
        await trio.sleep(seconds)
        if value < 0:
            raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, "no data yet")
        return {"value": value}


add_read(nodes[1], 0.25, 5)  # n2 has an old value
add_read(nodes[2], 0.75, 7)  # n3
add_read(nodes[3], 0.125, -1)  # n4 refuses
add_read(nodes[4], 9.0, 6)  # n5 is far too slow


async def main() -> None:
    known = {"n2": 5, "n3": 7, "n4": 0, "n5": 0}

    gathered = await n1.rpc_quorum(n1.peers, {"type": "read"}, need=2)
    values = {node: reply["value"] for node, reply in gathered.replies.items()}
    print(f"{trio.current_time()} s: {values}; {len(n1.pending)} pending")

    try:
        await n1.rpc_quorum(n1.peers, {"type": "read"}, need=3, timeout=1.0)
    except QuorumNotReached as exc:
        print(f"{trio.current_time()} s: {exc}")

    gathered = await n1.rpc_quorum(
        n1.peers, {"type": "read"}, need=1, accept=lambda reply: reply["value"] > known["n2"]
    )
    print(f"{trio.current_time()} s: accepted {list(gathered.replies)}, refused {list(gathered.refused)}")

    gathered = await n1.rpc_all(n1.peers, lambda node: {"type": "read", "since": known[node]}, timeout=1.0)
    print(f"{trio.current_time()} s: replies {list(gathered.replies)}")
    for node, error in gathered.errors.items():
        print(f"         {node}: {error}")


run(main, *nodes)
