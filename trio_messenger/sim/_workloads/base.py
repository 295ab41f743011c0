"""The base class of workloads: operations, their requests, the expected replies, and the judgement of the history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

from trio_messenger import Body, RpcError, RpcTimeout

from .._checkers import Results
from .._explanation import Finding, generic
from .._explanation.scene import Scene
from .._records.history import History, Op
from ..pictures import Picture
from .shapes import Shape, check_shape
from .topologies import Topology

Invocation: TypeAlias = tuple[str, Any]
"""An operation for a client: the name of a function, such as ``read``, and its value."""


class Reply(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The schema of a reply: these fields and those of the subclass, no others.

    Example:
      >>> class Ok(Reply, kw_only=True):
      ...     value: int
      >>> Ok(type="read_ok", in_reply_to=1, value=3)
      Ok(type='read_ok', in_reply_to=1, msg_id=UNSET, value=3)
    """

    type: str
    in_reply_to: int
    msg_id: int | msgspec.UnsetType = msgspec.UNSET


class Workload(ABC):
    """One kind of test: operations, their requests, the expected replies, and the checker of the history.

    Each run makes a new instance.

    Example:
      The steps of one operation of the echo workload:

      >>> workload = WORKLOADS["echo"]()
      >>> f, value = next(workload.invocations(Random(1)))
      >>> workload.request(f, value)
      {'type': 'echo', 'echo': 'Please echo 34'}
      >>> reply = workload.parse(f, {"type": "echo_ok", "in_reply_to": 1, "echo": value})
      >>> workload.completed(f, value, reply)
      'Please echo 34'
      >>> workload.outcome(f, RpcTimeout("n1", 1, 1.0)), workload.outcome(f, RpcError(11))
      ('info', 'fail')
      >>> workload.setup(["n1"], TOPOLOGIES["line"]), workload.final_invocation()
      (None, None)
      >>> workload.adopt(Op(index=0, time=0, type="invoke", process=0, f="echo", value=value)).value
      'Please echo 34'
      >>> workload.check(History())
      {'valid?': True, 'errors': []}
    """

    name: ClassVar[str]
    """The name on the command line."""
    summary: ClassVar[str]
    """The purpose of the test, in one line."""
    rules: ClassVar[str] = ""
    """What clients do and what nodes have to do, in two or three sentences, for the page of a run."""
    replies: ClassVar[dict[str, type[Reply]]]
    """The schema of the reply to each function's request."""
    shapes: ClassVar[Mapping[str, Shape]] = {}
    """The types of the values on which `check` relies, by function. They are compared with histories from elsewhere; a
    function that is not here may have any values."""
    idempotent: ClassVar[frozenset[str]] = frozenset()
    """The read-only functions. After a timeout or an indefinite error they had no effect, so the operation ends as
    ``fail``. If the final operation uses one of them, the simulator also runs it as an audit, so that it asks every
    node twice."""
    errors_are_indefinite: ClassVar[bool] = False
    """Whether every error ends the operation as ``info``, even a definite one, as Maelstrom does for g-set and the
    counters."""

    reuses_clients: ClassVar[bool] = False
    """Whether a client stays in use after an operation that ended as ``info``, as in Maelstrom's unique-ids. If not, a
    new client replaces it."""

    @abstractmethod
    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield the operations of the main phase, endlessly. Take random numbers only from *random*."""

    def final_invocation(self) -> Invocation | None:
        """Return the operation that each worker does once, after all faults are healed and a pause; None for none.

        If its function is in `idempotent`, the simulator then asks the nodes that no worker asks, and after that every
        node once. These are audits: the history has them, marked with `Op.audit`, but no figure counts them.
        """
        return None

    def setup(self, node_ids: Sequence[str], topology: Topology) -> Body | None:  # noqa: ARG002 - for subclasses
        """Return a request for each node after ``init``, which each node must acknowledge; None for no request.

        Args:
          node_ids: The ids of all nodes, in order.
          topology: Returns the neighbours of each node, given these ids.
        """
        return None

    @abstractmethod
    def request(self, f: str, value: Any) -> Body:
        """Return the request for function *f* with *value*."""

    def parse(self, f: str, reply: Body) -> Reply:
        """Return the reply to *f*'s request as an instance of its schema.

        Raises:
          msgspec.ValidationError: if the reply has another type, or does not match the schema, or has extra fields.
        """
        wanted = f"{f}_ok"
        if reply.get("type") != wanted:
            raise msgspec.ValidationError(f"Expected the type {wanted!r}, got {reply.get('type')!r:.80}")
        return msgspec.convert(reply, self.replies[f])

    @abstractmethod
    def completed(self, f: str, value: Any, reply: Any) -> Any:
        """Return the value of an operation that ended as ``ok``.

        Args:
          f: The function of the operation.
          value: The value of its invocation.
          reply: The reply, an instance of ``replies[f]``.
        """

    def outcome(self, f: str, error: RpcError) -> Literal["fail", "info"]:
        """Return how an operation of *f* ends after *error*, a timeout or an ``error`` body."""
        if self.errors_are_indefinite:
            return "info"
        is_without_effect = f in self.idempotent or (error.definite and not isinstance(error, RpcTimeout))
        return "fail" if is_without_effect else "info"

    def adopt(self, op: Op) -> Op:
        """Return an entry of a history from elsewhere as a client of this workload would have recorded it.

        Raises:
          ValueError: if it cannot be in a history of this workload.
        """
        check_shape(op, self.name, self.replies.keys() | self.shapes.keys(), self.shapes)
        return op

    @abstractmethod
    def check(self, history: History) -> Results:
        """Judge the history."""

    def explain(self, results: Results, scene: Scene) -> list[Finding]:  # noqa: ARG002 - for subclasses
        """Return the findings of `check` in sentences for people; by default its figures, if they are not valid.

        Args:
          results: The result of `check`.
          scene: The run.
        """
        return generic.explain(results)

    def pictures(self, results: Results, scene: Scene) -> Sequence[Picture]:  # noqa: ARG002 - for subclasses
        """Return pictures that explain the findings of `check`, for the folder and the page of a run; by default none.

        Args:
          results: The result of `check`.
          scene: The run.
        """
        return ()
