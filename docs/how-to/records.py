from typing import ClassVar

import attrs
from network import run

from trio_messenger import Message, Node, RemoteProtocolError, RpcError


@attrs.frozen
class Append:
    type: ClassVar[str] = "append"
    from_: str  # called "from" in messages
    entries: list[int]


@attrs.frozen
class Appended:
    length: int


@attrs.frozen
class Vote:
    granted: bool


n1, n2 = Node(), Node()
log: list[int] = []


@n2.on(Append)
def append(body: Append) -> Appended:
    log.extend(body.entries)
    return Appended(length=len(log))


async def main() -> None:
    appended = await n1.rpc("n2", Append(from_="n1", entries=[3, 5]), as_=Appended)
    print(f"n1 got {appended}")

    try:
        await n1.rpc("n2", {"type": "append", "from": "n1", "entries": "three"})
    except RpcError as exc:
        print(exc)
    try:
        await n1.rpc("n2", Append(from_="n1", entries=[]), as_=Vote)
    except RemoteProtocolError as exc:
        print(exc)


def show(message: Message) -> int:
    print(f"{message.src} -> {message.dest}: {message.body}")
    return 1


run(main, n1, n2, copies=show)
