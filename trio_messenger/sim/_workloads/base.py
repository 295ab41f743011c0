"""What a workload is: operations, the requests they make, the replies they take, and the judgement of it all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

from trio_messenger import Body, RpcError, RpcTimeout

from .._checkers import Results
from .._explanation import Finding, generic
from .._explanation.scene import Scene
from .._records.history import History
from .topologies import Topology

Invocation: TypeAlias = tuple[str, Any]
"""What a client is to do: the name of the function, such as ``read``, and its value."""


class Reply(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The schema of a reply: these fields, those of the subclass, and no others."""

    type: str
    in_reply_to: int
    msg_id: int | msgspec.UnsetType = msgspec.UNSET


class Workload(ABC):
    """One kind of test: operations, the requests they make, the replies they take, and the checker of the history.

    Made anew for each run.
    """

    name: ClassVar[str]
    """As the command line has it."""
    summary: ClassVar[str]
    """What it tests, in one line."""
    replies: ClassVar[dict[str, type[Reply]]]
    """The schema of the reply to each function's request."""
    idempotent: ClassVar[frozenset[str]] = frozenset()
    """Functions that change nothing, such as reads. A timeout or indefinite error leaves them without effect: they end
    as ``fail``. A final operation of one of them is an audit as well: the simulator asks it of every node, twice."""
    errors_are_indefinite: ClassVar[bool] = False
    """Whether every error ends as ``info``, definite or not, as Maelstrom has it for g-set and the counters."""

    reuses_clients: ClassVar[bool] = False
    """Whether a client whose operation ended as ``info`` goes on, as Maelstrom's of unique-ids do; else a new one takes
    its place."""

    @abstractmethod
    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield what clients do in the main phase, without end. All chance comes from *random*."""

    def final_invocation(self) -> Invocation | None:
        """Return what each worker does once, after all faults are healed and a pause; None for nothing.

        If its function is one of `idempotent`, every node is asked once more, and before that the nodes that no worker
        asks. These are audits: the history has them, marked as `Op.audit`, but no figure counts them.
        """
        return None

    def setup(self, node_ids: Sequence[str], topology: Topology) -> Body | None:  # noqa: ARG002 - for those that need it
        """Return a request that each node is sent after ``init``, and has to acknowledge; None for none.

        Args:
          node_ids: Of all nodes, in their order.
          topology: Makes of them who is whose neighbour.
        """
        return None

    @abstractmethod
    def request(self, f: str, value: Any) -> Body:
        """Return the request that function *f* with *value* makes."""

    def parse(self, f: str, reply: Body) -> Reply:
        """Return the reply to *f*'s request as an instance of its schema.

        Raises:
          msgspec.ValidationError: if it does not have the form that the workload demands, and no other fields.
        """
        wanted = f"{f}_ok"
        if reply.get("type") != wanted:
            raise msgspec.ValidationError(f"Expected the type {wanted!r}, got {reply.get('type')!r:.80}")
        return msgspec.convert(reply, self.replies[f])

    @abstractmethod
    def completed(self, f: str, value: Any, reply: Any) -> Any:
        """Return the value of an operation that is ok.

        Args:
          f: Its function.
          value: What it was begun with.
          reply: The reply, an instance of ``replies[f]``.
        """

    def outcome(self, f: str, error: RpcError) -> Literal["fail", "info"]:
        """Tell how an operation of *f* ends that met *error*, a timeout or an ``error`` body."""
        if self.errors_are_indefinite:
            return "info"
        is_without_effect = f in self.idempotent or (error.definite and not isinstance(error, RpcTimeout))
        return "fail" if is_without_effect else "info"

    @abstractmethod
    def check(self, history: History) -> Results:
        """Judge the history."""

    def explain(self, results: Results, scene: Scene) -> list[Finding]:  # noqa: ARG002 - for those that look further
        """Return what `check` found, in sentences for people; by default its figures, unless they are valid.

        Args:
          results: What `check` returned.
          scene: The run.
        """
        return generic.explain(results)
