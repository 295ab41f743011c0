from typing import Any

import attrs
import trio

from trio_messenger import Body, ErrorCode, KeyValue, RemoteProtocolError, RpcError


@attrs.frozen
class Account:
    owner: str
    balance: int


class Store:
    """Stands in for the service. Any object with a method ``rpc`` can be the caller; usually it is a `Node`."""

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
    kv = KeyValue(store)  # with a node: KeyValue(node)

    print("write and read a record:")
    await kv.write("ann", Account("Ann", 5))
    print(await kv.read("ann", as_=Account))

    print("count up, while somebody else does the same:")

    def count(old: int) -> int:
        if old == 0:
            store.values["visits"] = 41
        return old + 1

    print(await kv.update("visits", count, default=0, total_timeout=2.0))

    print("read a value of the wrong type:")
    try:
        await kv.read("visits", as_=list[int])
    except RemoteProtocolError as exc:
        print(exc)


trio.run(main)
