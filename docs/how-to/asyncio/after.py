#!/usr/bin/env python3
from trio_messenger import Body, Node, TimestampOracle

node = Node(rpc_timeout=0.5)
oracle = TimestampOracle(node)


@node.on("generate")
async def generate() -> Body:
    return {"id": await oracle.ts()}


if __name__ == "__main__":
    node.run()
