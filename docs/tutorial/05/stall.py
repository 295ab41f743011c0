import importlib
import math
import sys
import time

import trio
import trio.testing


class Longest(trio.abc.Instrument):
    """The longest that any task has kept all others waiting, in seconds of CPU time."""

    seconds = 0.0

    def before_task_step(self, _task):
        self.began = time.thread_time()

    def after_task_step(self, _task):
        self.seconds = max(self.seconds, time.thread_time() - self.began)


longest = Longest()


async def watch(table, what):
    looked_at, longest.seconds = table.looked_at, 0.0
    await trio.sleep(1)
    print(f"{what}: {table.looked_at - looked_at} records looked at, {len(table.records)} pending")
    print(f"longest stall: {longest.seconds * 1000:.2f} ms", flush=True)


async def main(name, count):
    table = importlib.import_module(name).Table()
    outcomes, received = trio.open_memory_channel(math.inf)
    for msg_id in range(count):
        table.open(msg_id, deadline=1.5, channel=outcomes)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(table.reap)
        await trio.sleep(1 / 16)  # so that we never look in the moment of a sweep
        await watch(table, "a second in which nothing is due")
        await watch(table, "a second in which all are")
        nursery.cancel_scope.cancel()
    print(f"{received.statistics().current_buffer_used} of {count} have ended")


clock = trio.testing.MockClock(autojump_threshold=0)
trio.run(main, sys.argv[1], int(sys.argv[2]), clock=clock, instruments=[longest])
