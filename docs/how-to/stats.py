import trio
from network import run

from trio_messenger import Body, Node, RpcTimeout

n1, n2 = Node(), Node()


@n2.on("work")
async def work() -> Body:
    await trio.sleep(0.125)
    return {}


async def main() -> None:
    for _ in range(3):
        await n1.rpc("n2", {"type": "work"})
    n1.rpc_callback("n2", {"type": "work"}, lambda _: None)
    try:
        await n1.rpc("n2", {"type": "work"}, timeout=0.0625)
    except RpcTimeout as exc:
        print(exc)
    print(f"{n1.stats.rpcs} RPCs = {n1.stats.answered} answered + {n1.stats.reaped} reaped + {len(n1.pending)} pending")
    await trio.sleep(1.0)
    print(n1.stats.line())


run(main, n1, n2)
