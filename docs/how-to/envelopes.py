from network import run

from trio_messenger import Body, Node, Request

n1, n2 = Node(envelope_log=4), Node()


@n2.on("greet")
def greet(request: Request) -> Body:
    return {"greeting": f"hello {request.src}"}


async def main() -> None:
    for _ in range(3):
        await n1.rpc("n2", {"type": "greet"})
    await n1.send("n2", {"type": "bye"})

    print(f"{len(n1.envelopes)} kept")
    for envelope in n1.envelopes:
        print(f"{envelope.dir} {envelope.src} -> {envelope.dest} {envelope.msg_type}")
    [latest] = n1.envelopes.latest(1)
    print(f"the latest is a {latest.msg_type!r}; its time ends with {latest.ts[-6:]}, as UTC does")


run(main, n1, n2)
