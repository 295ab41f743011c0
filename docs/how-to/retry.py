import math

import trio
from network import run

from trio_messenger import Backoff, Body, Node, Request

n1, n2 = Node(), Node()
balance_after: dict[str, int] = {}  # n2 remembers its work by the id that the sender chose


@n2.on("deposit")
def deposit(request: Request) -> Body:
    request_id = request.body["request_id"]
    print(f"n2: msg_id {request.msg_id}, request_id {request_id}:", end=" ")
    if request_id in balance_after:
        print("done already")
    else:
        balance_after[request_id] = request.body["amount"]
        print(f"deposited {request.body['amount']}")
    return {"balance": balance_after[request_id]}


async def main() -> None:
    done = await n1.rpc_retry(
        "n2",
        {"type": "deposit", "amount": 5, "request_id": "n1/1"},
        attempts=4,
        timeout=0.5,
        backoff=Backoff(base=0.25, jitter=0),
    )
    print(f"n1: {done.reply['balance']} after {done.attempts} attempts, {done.delay} s of them between attempts")

    with trio.move_on_after(10) as scope:  # n3 does not exist
        await n1.rpc_retry("n3", {"type": "deposit", "amount": 5, "request_id": "n1/2"}, attempts=math.inf)
    print(f"n1: gave up on n3 after 10 s: {scope.cancelled_caught}; {len(n1.pending)} pending")


lost = iter([False, True, True])  # the network loses the reply to the first request, and the second request
run(main, n1, n2, copies=lambda _: 0 if next(lost, False) else 1)
