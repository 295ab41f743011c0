import trio
from network import run

from trio_messenger import Node

n1 = Node()
takes = {3.0: 2.5}  # the round that begins at 3 s takes long


async def gossip() -> None:
    began = trio.current_time()
    await trio.sleep(takes.get(began, 0.25))
    print(f"{began} s: gossip, until {trio.current_time()} s")


n1.every(1.0, gossip)
n1.every(4.0, lambda: print(f"{trio.current_time()} s: {n1.stats.line()}"))


async def main() -> None:
    await trio.sleep(8.5)


run(main, n1)
