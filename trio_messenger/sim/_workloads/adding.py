"""The common part of workloads whose clients add values and read everything that was added."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar

import attrs

from trio_messenger import Body

from .._records.cut_texts import cut_json
from .._records.history import Op
from .base import Workload
from .interface import Invocation, WorkloadClient
from .shapes import A_LIST


class Adding(Workload, abstract=True):
    """Each operation is an addition or a ``read``, with equal probability; at the end each worker reads once.

    The request to add has the value in `field`; the reply to a read has the result in `read_field`.
    """

    idempotent: ClassVar[frozenset[str]] = frozenset({"read"})
    """Reads change nothing."""
    add: ClassVar[str] = "add"
    """The name of the function that adds."""
    field: ClassVar[str]
    """The field of its request that has the value to add."""
    read_field: ClassVar[str] = "value"
    """The field of the reply to ``read`` that has the result."""

    @abstractmethod
    def values(self, random: Random) -> Iterator[Any]:
        """Yield the values to add, endlessly. Take random numbers only from *random*, which others also draw from."""

    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield the operations; see `Workload.invocations`."""
        values = self.values(random)
        while True:
            yield (self.add, next(values)) if random.random() < 0.5 else ("read", None)  # noqa: PLR2004 - even odds

    def final_invocation(self) -> Invocation:
        """Return a read; see `Workload.final_invocation`."""
        return "read", None

    def request(self, f: str, value: Any) -> Body:
        """Return the request; see `Workload.request`."""
        return {"type": f, self.field: value} if f == self.add else {"type": f}

    async def leftovers(self, client: WorkloadClient) -> str | None:
        """Return what the node returns to a read, unless that is nothing; see `Workload.leftovers`."""
        found = await self.invoke(client, "read", None)
        return f"returns {cut_json(found)} to a 'read'" if found else None

    def adopt(self, op: Op) -> Op:
        """Return the entry with an empty list if a set was read as null; see `Workload.adopt` and `completed`."""
        if op.f == "read" and op.type == "ok" and op.value is None and self.shapes["read"] is A_LIST:
            op = attrs.evolve(op, value=[])
        return super().adopt(op)

    def completed(self, f: str, value: Any, reply: Any) -> Any:
        """Return the value that was read or added; see `Workload.completed`."""
        if f != "read":
            return value
        found = getattr(reply, self.read_field)
        return [] if found is None else found  # null: Go encodes an empty (nil) slice like this
