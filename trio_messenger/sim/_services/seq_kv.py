"""seq-kv: a sequentially consistent key-value store. Nobody's view goes back, but reads may be stale.

The service keeps its last `STATES` states, numbered 0, 1, 2, ..., and for each client the number of the state that it
saw last. A client is served on a state drawn from its own up to the newest:

- A request that leaves that state as it is - a read, a compare-and-set that fails, a write of what is there already -
  is answered from it, and that is where the client stands from now on.
- Any other is done again on the newest state, which makes a new one, where the client stands from now on.

So whoever keeps reading catches up, whoever changes something is up to date at once, and what changes nothing may take
effect in the past: after ``n1`` has written 1 and ``n2`` 2, a second write of 1 by ``n1`` may leave 2 there.

Maelstrom finds a state that it no longer keeps by its number modulo 32, which is a newer one: a client that was far
behind then goes back with its next read. Here such a client gets the oldest state that is kept, and stands there.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from random import Random
from typing import ClassVar, Final, NamedTuple, final

from trio_messenger import SEQ_KV, Body

from .._records.canonical import Json
from .requests import KeyValueService, KvRequest, same

STATES: Final = 32
"""How many states are kept, the newest among them; as many as Maelstrom does."""


class _Version(NamedTuple):
    """What a key holds from one state on."""

    since: int
    """The number of the first state that has it."""
    value: Json


_since: Final = itemgetter(0)


@final
class SeqKv(KeyValueService):
    """Maelstrom's ``seq-kv``.

    A state is no map of its own: each key has the versions that states which are kept can see, at most as many as there
    are states.

    Args:
      random: Draws the states.
    """

    name: ClassVar[str] = SEQ_KV
    """Its id."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._newest = 0
        self._seen: dict[str, int] = {}  # for each client, the number of the state it saw last
        self._versions: dict[Json, list[_Version]] = {}  # in the order of the states

    def _serve(self, src: str, request: KvRequest) -> Body:
        state = self._draw(self._seen.get(src, 0))
        held = self._held(request.key, state)
        reply, stores = request.on(held)
        if stores is None or same(stores, held):
            self._seen[src] = state
            self._age = self._changes_since(request.key, state, held)
            return reply
        return self._advance(src, request)

    def _draw(self, seen: int) -> int:
        # By random(), the one method whose numbers Python promises never to change.
        drawn = seen + int(self._random.random() * (self._newest - seen + 1))
        return max(drawn, self._oldest)

    @property
    def _oldest(self) -> int:
        return self._newest - STATES + 1  # of the first states it is below 0, and all of them are kept

    def _held(self, key: Json, state: int) -> Json | None:
        versions = self._versions.get(key)
        place = bisect_right(versions, state, key=_since) if versions else 0
        return versions[place - 1].value if versions and place else None

    def _changes_since(self, key: Json, state: int, held: Json | None) -> int:
        """Return how often *key* changed since *state*, in which it was *held*; 0 if it is that again."""
        versions = self._versions.get(key, ())
        if not versions or same(versions[-1].value, held):
            return 0
        return len(versions) - bisect_right(versions, state, key=_since)

    def _advance(self, src: str, request: KvRequest) -> Body:
        """Serve *request* on the newest state. That makes a new one, even if nothing changes; so it does there."""
        reply, stores = request.on(self._held(request.key, self._newest))
        self._newest += 1
        self._seen[src] = self._newest
        if stores is not None:
            versions = self._versions.setdefault(request.key, [])
            versions.append(_Version(self._newest, stores))
            # What the oldest state sees is the first that is still needed.
            del versions[: max(bisect_right(versions, self._oldest, key=_since) - 1, 0)]
        return reply
