import math

import trio
from scan import Table
from trio.testing import MockClock

COUNT = 100_000


async def main():
    table = Table()
    outcomes, received = trio.open_memory_channel(math.inf)
    for msg_id in range(COUNT):
        table.open(msg_id, deadline=1.5, channel=outcomes)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(table.reap)
        for time in (1.1, 2.1):
            await trio.sleep_until(time)
            print(f"{time} s: {table.looked_at} records looked at, {len(table.records)} pending")
        nursery.cancel_scope.cancel()
    print(f"{received.statistics().current_buffer_used} have ended")


trio.run(main, clock=MockClock(autojump_threshold=0))
