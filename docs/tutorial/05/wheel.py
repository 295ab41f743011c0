import math

import trio

WIDTH = 0.125
SLICE = 512


class Record:
    def __init__(self, tick, channel):
        self.tick = tick
        self.channel = channel


class Table:
    def __init__(self):
        self.records = {}
        self.buckets = {}
        self.looked_at = 0
        self.tick = math.floor(trio.current_time() / WIDTH)

    def open(self, msg_id, deadline, channel):
        tick = max(math.ceil(deadline / WIDTH), self.tick + 1)
        self.records[msg_id] = Record(tick, channel)
        self.buckets.setdefault(tick, set()).add(msg_id)

    def settle(self, msg_id, outcome):
        record = self.records.pop(msg_id, None)
        if record:
            self.buckets[record.tick].discard(msg_id)
            record.channel.send_nowait((msg_id, outcome))

    async def reap(self):
        while True:
            await trio.sleep_until((self.tick + 1) * WIDTH)
            self.tick += 1
            due = self.buckets.get(self.tick, set())
            while due:
                for _ in range(min(SLICE, len(due))):
                    self.looked_at += 1
                    self.settle(due.pop(), "timeout")
                await trio.lowlevel.checkpoint()
            self.buckets.pop(self.tick, None)
