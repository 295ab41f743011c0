"""seq-kv: a sequentially consistent key-value store. Reads may be stale, but no client's view goes back in time.

The service keeps its last `STATES` states, numbered 0, 1, 2, ..., and for each client the number of the state that the
client saw last. For each request it draws a state, from the client's last one up to the newest:

- If the request does not change this state (a read, a failed compare-and-set, a write of the same value), the service
  answers from it. This state becomes the client's last one.
- Otherwise the service executes the request again on the newest state, which creates a new state. The new state becomes
  the client's last one.

So a client that keeps reading catches up, and a client that changes something is up to date at once. A request that
changes nothing may take effect in the past: after ``n1`` writes 1 and ``n2`` writes 2, a second write of 1 by ``n1``
may leave the value at 2.

Maelstrom looks up states by their number modulo 32. For a state that it no longer keeps, it finds a newer one, and the
client's next read may go back in time. Here such a client gets the oldest kept state, which becomes its last one.
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
"""The number of states that are kept, including the newest; the same as Maelstrom's."""


class _Version(NamedTuple):
    """The value of a key from one state on."""

    since: int
    """The number of the first state with this value."""
    value: Json


_since: Final = itemgetter(0)


@final
class SeqKv(KeyValueService):
    """Maelstrom's ``seq-kv``.

    It does not store a map for each state. Instead each key has the versions that the kept states can see, so a key has
    at most `STATES` versions.

    Args:
      random: Draws the states.
    """

    name: ClassVar[str] = SEQ_KV
    """The id of the service."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._newest = 0
        self._seen: dict[str, int] = {}  # for each client, the number of the state that it saw last
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
        # Uses random(), because Python guarantees that only its numbers never change.
        drawn = seen + int(self._random.random() * (self._newest - seen + 1))
        return max(drawn, self._oldest)

    @property
    def _oldest(self) -> int:
        return self._newest - STATES + 1  # negative at first, when all states are kept

    def _held(self, key: Json, state: int) -> Json | None:
        versions = self._versions.get(key)
        place = bisect_right(versions, state, key=_since) if versions else 0
        return versions[place - 1].value if versions and place else None

    def _changes_since(self, key: Json, state: int, held: Json | None) -> int:
        """Return how often *key* changed since *state*, where it had the value *held*; 0 if it has that value again."""
        versions = self._versions.get(key, ())
        if not versions or same(versions[-1].value, held):
            return 0
        return len(versions) - bisect_right(versions, state, key=_since)

    def _advance(self, src: str, request: KvRequest) -> Body:
        """Serve *request* on the newest state. Creates a new state even if nothing changes, as Maelstrom does."""
        reply, stores = request.on(self._held(request.key, self._newest))
        self._newest += 1
        self._seen[src] = self._newest
        if stores is not None:
            versions = self._versions.setdefault(request.key, [])
            versions.append(_Version(self._newest, stores))
            # The oldest kept state needs its version; older versions can go.
            del versions[: max(bisect_right(versions, self._oldest, key=_since) - 1, 0)]
        return reply
