"""A program that writes into a store until it is killed, again and again, without starting Python each time.

For each line on stdin it forks a writer, says ``pid N``, and says ``gone`` when the writer has been killed. The writer
says ``found N`` once the store is open, with the last number in it, and ``synced N`` for each further number that is
durable.
"""

from __future__ import annotations

import os
import sys

import trio

from trio_messenger import FileStore
from trio_messenger._storage import file_store


def say(*words: object) -> None:
    """Print *words* in one write."""
    os.write(1, " ".join(map(str, words)).encode() + b"\n")


async def write(directory: str) -> None:
    """Assign one number after another, each under three names and with more or less text, and sync each."""
    with FileStore(directory) as store:
        number = store.get("number", 0)
        if number:
            assert len(store["text"]) in (number % 997, (number + 1) % 997), "it is written before the number"
            assert store[f"last {number % 7}"] == number, "so is this"
        say("found", number)
        while True:
            number += 1
            store["text"] = "x" * (number % 997)
            store[f"last {number % 7}"] = number
            store["number"] = number
            await store.sync()
            say("synced", number)


def main() -> None:
    """Serve the lines on stdin."""
    file_store.SYNC_SLACK = 2000  # type: ignore[misc]  # so that kills also meet the renaming of a new log
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            trio.run(write, sys.argv[1])
        say("pid", pid)
        os.waitpid(pid, 0)
        say("gone")


if __name__ == "__main__":
    main()
