"""lin-kv: a linearizable key-value store. It is a single map, and each request takes effect when it arrives."""

from __future__ import annotations

from typing import ClassVar, final

from trio_messenger import LIN_KV, Body

from .._records.canonical import Json
from .requests import KeyValueService, KvRequest


@final
class LinKv(KeyValueService):
    """Maelstrom's ``lin-kv``."""

    name: ClassVar[str] = LIN_KV
    """The id of the service."""

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[Json, Json] = {}

    def _serve(self, src: str, request: KvRequest) -> Body:  # noqa: ARG002 - all clients share one state
        reply, stores = request.on(self._values.get(request.key))
        if stores is not None:
            self._values[request.key] = stores
        return reply
