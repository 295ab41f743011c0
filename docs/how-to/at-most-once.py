from network import run

from trio_messenger import AtMostOnce, Body, Node, Request

n1, n2 = Node(), Node()
once = AtMostOnce(capacity=1000, mark="was_duplicate")
paid: list[str] = []


@n2.on("pay", at_most_once=once)
def pay(request: Request) -> Body:
    paid.append(request.body["to"])
    return {"payments": len(paid)}


async def main() -> None:
    for to in ("Ann", "Bob", "Bob"):
        reply = await n1.rpc("n2", {"type": "pay", "to": to})
        print(f"msg_id {reply['in_reply_to']}: {reply['payments']} payments, was_duplicate {reply['was_duplicate']}")
    print(f"requests {once.total}, duplicates {once.duplicates}, paid {paid}")


run(main, n1, n2, copies=lambda message: 2 if message.body.get("to") == "Ann" else 1)
