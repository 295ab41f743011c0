"""lww-kv: a key-value store that is only eventually consistent, on purpose. The last write wins, by its own clocks.

There are two replicas, and each request is served by one of them, drawn at random. They never hear of each other. After
one write, half of all reads find no key, forever; and a key that was written twice may have one value or the other in
each read. A node that polls until it reads the same value twice in a row has learned nothing.

Maelstrom means to do more. Before each request it draws two replicas and merges the first into the second, but then it
goes on with the replicas as they were before (``service.clj``, line 230). We do as it does, with the same draws: a node
that works here must work there. ``create_if_not_exists`` is ignored, as Maelstrom does. (Its documents speak of five
replicas; it has two.)

With ``--lww-kv merging`` the replicas merge, as Maelstrom's documents promise. A replica stamps what it writes with its
Lamport clock (Lamport, "Time, clocks, and the ordering of events in a distributed system", 1978); in a merge the later
stamp wins. A read may still miss a key right after its write was acknowledged, an acknowledged write can vanish, and a
compare-and-set can succeed twice; but once nobody writes any more, all reads come to agree.

Where two stamps are equal, Maelstrom's merge takes the value of the replica that is merged into the other, so the
survivor would depend on the direction of the next merge. Here the replica that wrote breaks the tie, as in Lamport's
article; the second one's wins. So the replicas converge in whatever order they are merged.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar, NamedTuple, final

from trio_messenger import LWW_KV, Body

from .._records.canonical import Json
from .requests import KeyValueService, KvRequest, Write


class _Entry(NamedTuple):
    """What a replica holds of a key. Of two the greater wins; no two that differ have the same stamp and writer."""

    stamp: int
    writer: int
    value: Json
    change: int  # the number of the change that made it, among those of the key


@final
class _Replica:
    def __init__(self, number: int) -> None:
        self._number = number
        self._clock = 0
        self._entries: dict[Json, _Entry] = {}
        self._news: dict[Json, None] = {}  # the keys whose entries the other replica may not have; an ordered set

    def merge(self, source: _Replica) -> None:
        """Take over what *source* knows better. Looks at its news only, so it costs the same however many keys are."""
        self._clock = max(self._clock, source._clock)
        for key in source._news:
            theirs, mine = source._entries[key], self._entries.get(key)
            if mine is None or mine < theirs:
                self._entries[key] = theirs
        source._news.clear()

    def change_of(self, key: Json) -> int:
        """Return the number of the last change of *key* that is known here."""
        return self._entries[key].change if key in self._entries else 0

    def serve(self, request: KvRequest, change: int) -> Body:
        """Serve *request* with what is known here; what it writes is the change of that number."""
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
      merges: Whether the replicas ever hear of each other.
    """

    name: ClassVar[str] = LWW_KV
    """Its id."""
    creates: ClassVar[bool] = False
    """It does not know ``create_if_not_exists``."""

    def __init__(self, random: Random, *, merges: bool = False) -> None:
        super().__init__()
        self._random = random
        self._changes: dict[Json, int] = {}  # how often each key was changed, in whichever replica
        self._merges = merges
        self._replicas = (_Replica(0), _Replica(1))

    def _serve(self, src: str, request: KvRequest) -> Body:  # noqa: ARG002 - any replica serves any client
        source, dest = self._draw(), self._draw()  # drawn in any case, so that the third draw is Maelstrom's
        if self._merges and source is not dest:
            dest.merge(source)
        replica, changes = self._draw(), self._changes.get(request.key, 0)
        if not isinstance(request, Write):  # which asks for nothing
            self._age = changes - replica.change_of(request.key)
        reply = replica.serve(request, changes + 1)
        if replica.change_of(request.key) > changes:
            self._changes[request.key] = changes + 1
        return reply

    def _draw(self) -> _Replica:
        # By random(), the one method whose numbers Python promises never to change.
        return self._replicas[self._random.random() >= 0.5]  # noqa: PLR2004 - a half
