from random import Random

from network import run

from trio_messenger import Body, MessageLoss, Node, Request

loss = MessageLoss(exempt=["init_ok"])
n1, n2 = Node(), Node(wrap_transport=loss.wrap)


@n2.on("count")
def count(request: Request) -> Body:
    return {"number": request.body["number"]}


async def main() -> None:
    loss.turn_on(0.3, Random(42))
    for number in range(5):
        done = await n1.rpc_retry("n2", {"type": "count", "number": number}, timeout=0.5)
        print(f"number {number} took {done.attempts} attempts")
    loss.turn_off()
    print(f"lost {loss.total_dropped} of {loss.total_sent}; {len(n1.pending)} pending")


run(main, n1, n2)
