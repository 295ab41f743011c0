#!/usr/bin/env python3
import itertools

from trio_messenger import Body, Node

node = Node()
numbers = itertools.count()


@node.on("generate")
def generate() -> Body:
    return {"id": f"{node.id}-{next(numbers)}"}


if __name__ == "__main__":
    node.run()
