"""The base class of workloads: operations, their requests, the expected replies, and the judgement of the history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Literal

import msgspec

from trio_messenger import Body, RpcError, RpcTimeout

from .._checkers import Results
from .._explanation import Finding, generic
from .._explanation.scene import Scene
from .._records.history import History, Op
from ..pictures import Picture
from .definition import check_definition
from .interface import CLIENT_TIMEOUT, GeneratorContext, Invocation, Reply, Setting, WorkloadClient
from .shapes import Shape, check_shape
from .topologies import Topology


class Workload(ABC):
    """One kind of test: operations, their requests, the expected replies, and the checker of the history.

    Each run makes a new instance, so an instance may keep state. A subclass has to define `name`, `summary`, `replies`,
    `check`, either `invocations` or `next_invocation`, and either `request` and `completed` or `invoke`. Everything
    else has a default. A class that leaves some of these to its own subclasses says so:
    ``class Adding(Workload, abstract=True)``.

    Raises:
      TypeError: when the class is defined, if it lacks some of these or defines them wrongly; the text lists all.

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
      >>> context = GeneratorContext(worker=0, process=0, node="n1", time=0)
      >>> workload.next_invocation(context, Random(1)), workload.final_invocations(context)
      (('echo', 'Please echo 34'), None)
      >>> workload.setup(["n1"], TOPOLOGIES["line"]), workload.final_invocation(), workload.check_setting()
      (None, None, None)
      >>> workload.client_timeout(), workload.client_state()
      (5.0, None)
      >>> workload.adopt(Op(index=0, time=0, type="invoke", process=0, f="echo", value=value)).value
      'Please echo 34'
      >>> workload.check(History())
      {'valid?': True, 'errors': []}
    """

    name: ClassVar[str]
    """The name on the command line."""
    summary: ClassVar[str]
    """The purpose of the test, in one line; on the page of a run if there are no `rules`."""
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
    is_abstract: ClassVar[bool] = True
    """Whether the class leaves parts to its subclasses, because it was defined with ``abstract=True``."""
    clients_per_node: ClassVar[int] = 1
    """The default number of clients for each node."""
    final_pause: ClassVar[float] = 0.0
    """Seconds between the end of a final operation and the beginning of the same worker's next one."""
    final_limit: ClassVar[float] = 60.0
    """Seconds of the final phase after which no worker begins another operation."""

    setting: Setting = Setting()
    """The options of the run that the workload may depend on. The run sets it before it calls any method."""
    _unfinished: Iterator[Invocation] | None = None  # what invocations() returned

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.is_abstract = abstract
        if not abstract:
            check_definition(cls, Workload)

    # The operations

    def check_setting(self) -> None:  # noqa: B027 - optional
        """Check that the workload can run with its `setting`; by default it can.

        Raises:
          ValueError: if not. The text begins with the name of the option in Python's form, such as ``concurrency``, and
            says which value would do.
        """

    def invocations(self, random: Random) -> Iterator[Invocation]:
        """Yield the operations of the main phase, endlessly. Take random numbers only from *random*.

        This is enough for operations that may go to any worker. Otherwise override `next_invocation`.
        """
        raise NotImplementedError

    def next_invocation(self, context: GeneratorContext, random: Random) -> Invocation | None:  # noqa: ARG002 - for subclasses
        """Return the next operation of the main phase; by default the next one of `invocations`.

        Override this if an operation depends on its worker, on the time, or on the operations so far (see `update`).

        Args:
          context: The worker that will do it, and the time.
          random: The only source of random numbers, always the same object.

        Returns:
          The operation; None if there are no more operations for any worker.
        """
        if self._unfinished is None:
            self._unfinished = self.invocations(random)
        return next(self._unfinished, None)

    def update(self, op: Op) -> None:  # noqa: B027 - optional
        """Take note of *op*, the beginning or the end of an operation, in the order of the history.

        By default nothing happens. Generators that depend on what happened so far override this, as in Jepsen.
        """

    def final_invocation(self) -> Invocation | None:
        """Return the operation that each worker does once, after all faults are healed and a pause; None for none.

        If its function is in `idempotent`, the simulator then asks the nodes that no worker asks, and after that every
        node once. These are audits: the history has them, marked with `Op.audit`, but no figure counts them.
        """
        return None

    def final_invocations(self, context: GeneratorContext) -> Iterator[Invocation] | None:  # noqa: ARG002 - for subclasses
        """Return the operations that a worker does after all faults are healed and a pause; None for no final phase.

        By default, it does the `final_invocation` once. The simulator takes the next operation when the one before it
        has ended, and `update` has been called, so a generator can go on until it has seen enough. See `final_pause`
        and `final_limit`.

        Args:
          context: The worker; its time is the end of the main phase.
        """
        last = self.final_invocation()
        return None if last is None else iter([last])

    # What clients send, and what it means

    def setup(self, node_ids: Sequence[str], topology: Topology) -> Body | None:  # noqa: ARG002 - for subclasses
        """Return a request for each node after ``init``, which each node must acknowledge; None for no request.

        Args:
          node_ids: The ids of all nodes, in order.
          topology: Returns the neighbours of each node, given these ids.
        """
        return None

    async def leftovers(self, client: WorkloadClient) -> str | None:  # noqa: ARG002 - for subclasses
        """Ask the node of *client* for what only an earlier run can have left there, before the first operation.

        A run on a cluster that runs elsewhere calls this for each node, and begins only if none has anything left. The
        checker would take old values for wrong ones. By default the node is not asked.

        Returns:
          What is left, as in ``returns [1, 2]``, to follow the name of the node; None if nothing is.

        Raises:
          RpcError, RpcTimeout, msgspec.ValidationError: The node is taken for one without leftovers.

        It may be cancelled, when a signal ends the run.

        Example:
          >>> class Greatest(Workload, abstract=True):
          ...     async def leftovers(self, client: WorkloadClient) -> str | None:
          ...         reply = await client.rpc({"type": "read"})
          ...         return f"has the value {reply['value']}" if reply["value"] else None
        """
        return None

    def client_state(self) -> Any:
        """Return the initial `WorkloadClient.state` of a new client; None by default."""
        return None

    def client_timeout(self) -> float:
        """Return how many seconds a client waits for a reply."""
        return CLIENT_TIMEOUT

    async def invoke(self, client: WorkloadClient, f: str, value: Any) -> Any:
        """Do one operation with *client*, and return the value of its ``ok`` end.

        By default the client sends `request`, and `parse` and `completed` make the value from the reply. Override this
        for an operation that takes several requests or none, depends on the client's state, or understands an error:
        catch `~trio_messenger.RpcError` and return a value if it is an observation, such as "the key does not exist".

        Args:
          client: The client, with its state.
          f: The function of the operation.
          value: The value of its invocation. The history keeps it, so do not change it.

        Raises:
          RpcError, RpcTimeout: The operation ends as `outcome` says.
          msgspec.ValidationError: The reply was malformed: the operation ends as ``info``, and the run is not valid.
          ClientCrash: The operation ends as ``info``, and a new client replaces this one.

        If it is cancelled, because the run is given up, the history has no end of the operation.
        """
        return self.completed(f, value, self.parse(f, await client.rpc(self.request(f, value))))

    def request(self, f: str, value: Any) -> Body:
        """Return the request for function *f* with *value*."""
        raise NotImplementedError

    def parse(self, f: str, reply: Body) -> Reply:
        """Return the reply to *f*'s request as an instance of its schema.

        Raises:
          msgspec.ValidationError: if the reply has another type, or does not match the schema, or has extra fields.
          LookupError: if `replies` has no schema for *f*.
        """
        schema = self.replies.get(f)
        if schema is None:
            raise LookupError(f"`replies` has no schema for the reply to {f!r}; it has {list(self.replies)!r:.80}")
        wanted = f"{f}_ok"
        if reply.get("type") != wanted:
            raise msgspec.ValidationError(f"Expected the type {wanted!r}, got {reply.get('type')!r:.80}")
        return msgspec.convert(reply, schema)

    def completed(self, f: str, value: Any, reply: Any) -> Any:
        """Return the value of an operation that ended as ``ok``.

        Return another object each time, and do not change it later: the history keeps it, without a copy.

        Args:
          f: The function of the operation.
          value: The value of its invocation.
          reply: The reply, an instance of ``replies[f]``.
        """
        raise NotImplementedError

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

    # The judgement

    @abstractmethod
    def check(self, history: History) -> Results:
        """Judge the history: ``valid?``, which is True, False or ``unknown``, and figures as JSON values.

        The keys of dicts are texts. Do not change *history* or the values in it, which are saved later; sort copies.
        """

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
