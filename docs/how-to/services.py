from typing import Any

import attrs
import trio

from trio_messenger import Body, ErrorCode, KeyValue, RemoteProtocolError, RpcError


@attrs.frozen
class Account:
    owner: str
    balance: int


class Store:
    """Stands for the service; whatever has an ``rpc`` will do, and in a node of yours that is the node."""

    def __init__(self) -> None:
        self.values: Body = {}

    async def rpc(self, dest: str, body: Any, *, timeout: float | None = None) -> Body:  # noqa: ARG002 - as Node.rpc has it
        print(f"  {dest}: {body}")
        match body:
            case {"type": "read", "key": key} if key in self.values:
                return {"type": "read_ok", "value": self.values[key]}
            case {"type": "write", "key": key, "value": value}:
                self.values[key] = value
            case {"type": "cas", "key": key, "from": old, "to": new} if self.values.get(key, old) == old:
                self.values[key] = new
            case {"type": "cas"}:
                raise RpcError(ErrorCode.PRECONDITION_FAILED, "somebody was faster")
            case _:
                raise RpcError(ErrorCode.KEY_DOES_NOT_EXIST)
        return {"type": "ok"}


async def main() -> None:
    store = Store()
    kv = KeyValue(store)  # of a node: KeyValue(node)

    print("a record goes in, and comes out:")
    await kv.write("ann", Account("Ann", 5))
    print(await kv.read("ann", as_=Account))

    print("a counter, which somebody else counts up in between:")

    def count(old: int) -> int:
        if old == 0:
            store.values["visits"] = 41
        return old + 1

    print(await kv.update("visits", count, default=0))

    print("what is not what it should be:")
    try:
        await kv.read("visits", as_=list[int])
    except RemoteProtocolError as exc:
        print(exc)


trio.run(main)
