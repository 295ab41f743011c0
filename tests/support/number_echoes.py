"""A workload that is not of the package: echoes of numbers. Tests change parts of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar

from trio_messenger import Body
from trio_messenger.sim import History, Invocation, Reply, Results, Workload


class EchoOk(Reply, kw_only=True):
    """The number that comes back."""

    echo: Any


class Numbers(Workload):
    """Echoes of 0, 1, 2 and so on. Whatever happens is valid."""

    name = "numbers"
    summary = "numbers come back"
    replies: ClassVar[dict[str, type[Reply]]] = {"echo": EchoOk}

    def invocations(self, random: Random) -> Iterator[Invocation]:  # noqa: ARG002 - nothing is random
        """Yield the echoes."""
        return (("echo", number) for number in itertools.count())

    def request(self, f: str, value: Any) -> Body:
        """Return the request."""
        return {"type": f, "echo": value}

    def completed(self, f: str, value: Any, reply: Any) -> Any:  # noqa: ARG002 - only the reply counts
        """Return what came back."""
        return reply.echo

    def check(self, history: History) -> Results:  # noqa: ARG002 - whatever happened
        """Judge nothing."""
        return {"valid?": True}


def wrong(**parts: Any) -> type[Workload]:
    """Return the workload with these *parts*, which may be wrong. The type checker need not know."""
    return type("Wrong", (Numbers,), {"name": "wrong", **parts})
