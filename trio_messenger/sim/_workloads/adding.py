"""What the workloads have in common whose clients add something, or read all that was added."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar

from trio_messenger import Body

from .base import Invocation, Workload


class Adding(Workload):
    """Each operation is an addition or a ``read``, equally likely; in the end each worker reads once more.

    The request of an addition has its value as *field*; the reply to a read has what was read as *read_field*.
    """

    idempotent: ClassVar[frozenset[str]] = frozenset({"read"})
    """Reads change nothing."""
    add: ClassVar[str] = "add"
    """The function that adds."""
    field: ClassVar[str]
    """Where its request has what is added."""
    read_field: ClassVar[str] = "value"
    """Where the reply to ``read`` has what was read."""

    @abstractmethod
    def values(self, random: Random) -> Iterator[Any]:
        """Yield what is added, without end. All chance comes from *random*, which others draw from in between."""

    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield what clients do; see `Workload.invocations`."""
        values = self.values(random)
        while True:
            yield (self.add, next(values)) if random.random() < 0.5 else ("read", None)  # noqa: PLR2004 - even odds

    def final_invocation(self) -> Invocation:
        """Return a read; see `Workload.final_invocation`."""
        return "read", None

    def request(self, f: str, value: Any) -> Body:
        """Return the request; see `Workload.request`."""
        return {"type": f, self.field: value} if f == self.add else {"type": f}

    def completed(self, f: str, value: Any, reply: Any) -> Any:
        """Return what was read, or was added; see `Workload.completed`."""
        if f != "read":
            return value
        found = getattr(reply, self.read_field)
        return [] if found is None else found  # null: so Go writes a slice that nothing was ever added to
