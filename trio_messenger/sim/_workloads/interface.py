"""The interface between a run and its workload: the records and exceptions that pass between them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, final

import attrs
import msgspec

from trio_messenger import Body

from .._checkers.transactions.consistency_models import STRICT_SERIALIZABLE

Invocation: TypeAlias = tuple[str, Any]
"""An operation for a client: the name of a function, such as ``read``, and its value."""

CLIENT_TIMEOUT: Final = 5.0
"""Seconds that a client waits for a reply (as in Maelstrom's ``client.clj``)."""


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


@final
@attrs.frozen(kw_only=True)
class Setting:
    """The options of a run that its workload may depend on.

    Example:
      >>> WORKLOADS["echo"]().setting.nodes
      ('n1', 'n2', 'n3', 'n4', 'n5')
    """

    nodes: Sequence[str] = ("n1", "n2", "n3", "n4", "n5")
    """The ids of the nodes. The worker with number *w* asks ``nodes[w % len(nodes)]``."""
    concurrency: int = 5
    """The number of workers."""
    latency: float = 0.0
    """The mean latency between nodes, in milliseconds."""
    key_count: int = 10
    """How many keys transactions and logs use at the same time."""
    max_txn_length: int = 4
    """The maximum number of operations in a transaction."""
    max_writes_per_key: int = 16
    """How many writes a key gets before another one replaces it."""
    consistency_models: Sequence[str] = STRICT_SERIALIZABLE
    """The consistency models that transactions have to satisfy."""


@final
@attrs.frozen(kw_only=True)
class GeneratorContext:
    """The worker that is free to begin an operation, and the time. Jepsen's generators have a similar context.

    Example:
      Of four workers on two nodes, the first two only read, and each node has one of them:

      >>> class Split(Workload, abstract=True):
      ...     def next_invocation(self, context: GeneratorContext, random: Random) -> Invocation:
      ...         return ("read", None) if context.worker < 2 else ("write", random.randrange(5))
    """

    worker: int
    """The number of the worker, from 0."""
    process: int
    """The number of its process; it changes after an operation that ended as ``info``."""
    node: str
    """The id of the node that the worker asks."""
    time: int
    """Nanoseconds since the main phase began."""


class ClientCrash(Exception):
    """`Workload.invoke` raises this to end the client: the operation ends as ``info``, and a new client follows.

    The text says why; the history has it.

    Example:
      >>> raise ClientCrash("the client crashes, as the generator wants")
      Traceback (most recent call last):
      ...
      trio_messenger.sim.ClientCrash: the client crashes, as the generator wants
    """


@final
@attrs.define(eq=False, kw_only=True)
class WorkloadClient:
    """The client of one worker, as `Workload.invoke` sees it. It does one operation at a time.

    Example:
      A poll of the kafka workload needs the offsets that this client has reached, and remembers the new ones:

      >>> class Polling(Workload, abstract=True):
      ...     def client_state(self) -> dict[str, int]:
      ...         return {}
      ...
      ...     async def invoke(self, client: WorkloadClient, f: str, value: object) -> object:
      ...         reply = await client.rpc({"type": "poll", "offsets": client.state})
      ...         client.state.update(reply["next"])
      ...         return reply["msgs"]
    """

    id: str
    """The client's id on the network, such as ``c6``."""
    worker: int
    """The number of its worker, from 0."""
    process: int
    """The number of the process of its current operation."""
    node: str
    """The id of the node that the worker asks."""
    state: Any
    """What `Workload.client_state` returned for this client; the workload may change or replace it."""
    _ask: Callable[[Body, float], Awaitable[Body]] = attrs.field(repr=False, alias="ask")
    _timeout: float = attrs.field(repr=False, alias="timeout")

    async def rpc(self, body: Body, *, timeout: float | None = None) -> Body:
        """Send a request to the worker's node and return the body of the reply.

        If it is cancelled, which happens when the run is given up, the client ignores the reply.

        Args:
          body: The request. The client adds its ``msg_id``.
          timeout: Seconds to wait for the reply; by default `Workload.client_timeout`.

        Raises:
          RpcTimeout: if no reply came in time. A late reply is dropped, as in Maelstrom.
          RpcError: if the reply is an error.
          msgspec.ValidationError: if the reply is an error without an integer code.
        """
        return await self._ask(body, self._timeout if timeout is None else timeout)
