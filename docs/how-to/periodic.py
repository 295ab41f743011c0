import trio
from network import run

from trio_messenger import Node

n1 = Node()
takes = {3.0: 2.5}  # the round that begins at 3 s takes long
reports = trio.CancelScope()
silence = n1.timer(4.25)


async def gossip() -> None:
    began = trio.current_time()
    await trio.sleep(takes.get(began, 0.25))
    print(f"{began} s: gossip, until {trio.current_time()} s")


def report(name: str) -> None:
    print(f"{trio.current_time()} s: {name}: {n1.stats.line()}")


async def watch(name: str) -> None:
    await silence.wait()
    print(f"{trio.current_time()} s: heard nothing of {name} for 4.25 s")


n1.every(1.0, gossip)
n1.every(2.0, report, "n1", scope=reports)
n1.background(watch, "n2")


async def main() -> None:
    silence.reset()
    await trio.sleep(2.5)
    silence.reset()  # as a handler does when n2 sends something
    reports.cancel()
    await trio.sleep(6.0)


run(main, n1)
