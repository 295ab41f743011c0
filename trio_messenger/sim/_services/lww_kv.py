"""lww-kv: a key-value store that is deliberately only eventually consistent. The last write wins, by its own clocks.

The service has two replicas, and a random one of them serves each request. By default the replicas never exchange
anything. After a single write, half of all reads find no key, forever. After two writes of a key, each read may return
either value. A node that polls until it reads the same value twice in a row learns nothing from it.

Maelstrom intends more. Before each request it draws two replicas and merges the first into the second, but then it
continues with the unmerged replicas (``service.clj``, line 230). This module does the same, with the same draws,
because a node that works here must work there. Like Maelstrom, it ignores ``create_if_not_exists``. (Maelstrom's
documentation speaks of five replicas; Maelstrom has two.)

With ``--lww-kv merging`` the replicas merge, as Maelstrom's documentation promises. A replica stamps its writes with
its Lamport clock (Lamport, "Time, clocks, and the ordering of events in a distributed system", 1978), and a merge keeps
the later stamp. A read may still miss a key right after the write was acknowledged, an acknowledged write can vanish,
and a compare-and-set can succeed twice. But after the last write, all reads eventually return the same value.

If two stamps are equal, Maelstrom's merge keeps the value of the replica that is merged into the other, so the result
depends on the direction of the next merge. Here the number of the replica that wrote breaks the tie, as in Lamport's
article: the second replica wins. So the replicas converge in any order of merges.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar, NamedTuple, final

from trio_messenger import LWW_KV, Body

from .._records.canonical import Json
from .requests import KeyValueService, KvRequest, Write


class _Entry(NamedTuple):
    """A replica's value of a key. The greater entry wins. Different entries differ in their stamp or their writer."""

    stamp: int
    writer: int
    value: Json
    change: int  # the number of this change, among all changes of the key


@final
class _Replica:
    def __init__(self, number: int) -> None:
        self._number = number
        self._clock = 0
        self._entries: dict[Json, _Entry] = {}
        self._news: dict[Json, None] = {}  # an ordered set of keys whose entries the other replica may lack

    def merge(self, source: _Replica) -> None:
        """Copy the newer entries of *source*. Looks at its news only, so the cost does not grow with the keys."""
        self._clock = max(self._clock, source._clock)
        for key in source._news:
            theirs, mine = source._entries[key], self._entries.get(key)
            if mine is None or mine < theirs:
                self._entries[key] = theirs
        source._news.clear()

    def change_of(self, key: Json) -> int:
        """Return the number of the last change of *key* that this replica knows."""
        return self._entries[key].change if key in self._entries else 0

    def serve(self, request: KvRequest, change: int) -> Body:
        """Serve *request* from this replica; if it writes, record that as change number *change*."""
        entry = self._entries.get(request.key)
        reply, stores = request.on(None if entry is None else entry.value)
        if stores is not None:
            self._entries[request.key] = _Entry(self._clock, self._number, stores, change)
            self._news[request.key] = None
            self._clock += 1
        return reply


@final
class LwwKv(KeyValueService):
    """Maelstrom's ``lww-kv``.

    Args:
      random: Draws the replicas.
      merges: Whether the replicas merge.
    """

    name: ClassVar[str] = LWW_KV
    """The id of the service."""
    creates: ClassVar[bool] = False
    """It ignores ``create_if_not_exists``."""

    def __init__(self, random: Random, *, merges: bool = False) -> None:
        super().__init__()
        self._random = random
        self._changes: dict[Json, int] = {}  # how often each key was changed, in any replica
        self._merges = merges
        self._replicas = (_Replica(0), _Replica(1))

    def _serve(self, src: str, request: KvRequest) -> Body:  # noqa: ARG002 - any replica serves any client
        source, dest = self._draw(), self._draw()  # always drawn, so that the third draw is the same as Maelstrom's
        if self._merges and source is not dest:
            dest.merge(source)
        replica, changes = self._draw(), self._changes.get(request.key, 0)
        if not isinstance(request, Write):  # the reply to a write does not depend on the state
            self._age = changes - replica.change_of(request.key)
        reply = replica.serve(request, changes + 1)
        if replica.change_of(request.key) > changes:
            self._changes[request.key] = changes + 1
        return reply

    def _draw(self) -> _Replica:
        # Uses random(), because Python guarantees that only its numbers never change.
        return self._replicas[self._random.random() >= 0.5]  # noqa: PLR2004 - one half
