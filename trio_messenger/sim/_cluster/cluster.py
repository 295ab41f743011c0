"""The cluster: starts and initialises the nodes of a run, as Maelstrom does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, final

import msgspec
import trio

from trio_messenger import Body, RpcError, RpcTimeout

from .._network.network import SimulatedNetwork
from .._records.cut_texts import cut_text
from .clients import INIT_TIMEOUT, SETUP_TIMEOUT, Clients
from .diagnosis import what_came
from .hosts import Host, NoAnswerError

LINGER: Final = 1.0
"""Seconds to wait for the reply of a node that printed a bad line before. The node has failed in any case, but it helps
to know whether it works otherwise."""

START_LOG_LINES: Final = 20
"""The number of lines that are shown of a node's log if the node does not come up."""


class SetUpError(Exception):
    """A node did not come up, so the test could not begin. The text names the node and shows the end of its log.

    Example:
      >>> def build():
      ...     node = Node()
      ...
      ...     @node.on_init
      ...     def begin():
      ...         raise RpcError(11, "no disk")
      ...
      ...     return node
      >>> try:
      ...     simulate("echo", build, nodes=["n1"])
      ... except SetUpError as error:
      ...     print(error)
      node 'n1' did not answer 'init': temporarily-unavailable (11): no disk
      its last lines on stderr:
        set-up 0.000000 ERROR: on_init failed, so the node serves nothing: temporarily-unavailable (11): no disk
    """


@final
class Cluster:
    """All nodes of a run.

    Args:
      hosts: The hosts by the ids of their nodes, in the nodes' order.
      network: The network that connects them.
      clients: Creates the clients that send ``init``.
    """

    def __init__(self, hosts: Mapping[str, Host], network: SimulatedNetwork, clients: Clients) -> None:
        self.hosts: Final = dict(hosts)
        """The hosts by the ids of their nodes, in the nodes' order."""
        self._network = network
        self._clients = clients
        self._is_over = False

    async def start(self, delays: Mapping[str, float] | None = None) -> None:
        """Start all nodes, then send ``init`` to each.

        Args:
          delays: By the id of each node, the seconds from the start of the last node until this node receives ``init``;
            None sends ``init`` to all nodes at once.

        Raises:
          SetUpError: if a node does not come up.
        """

        async def init(host: Host) -> None:
            if delays is not None:
                await trio.sleep(delays[host.node_id])
            await self._init(host)

        await self._for_all(self._start)
        await self._for_all(init)

    async def ask_all(self, body: Body) -> None:
        """Send *body* to each node and wait until all have acknowledged it.

        Raises:
          SetUpError: if a node does not acknowledge it.
        """

        async def ask(host: Host) -> None:
            await self._ask(host, body, SETUP_TIMEOUT)

        await self._for_all(ask)

    async def restart(self, host: Host) -> None:
        """Start the node of *host* again. If it does not come up, that is one of its problems.

        Being killed again during start-up is not a problem.
        """
        known = len(host.problems)
        try:
            await self._start(host)
            await self._init(host)
        except SetUpError as exc:
            if len(host.problems) == known and not self._is_over:
                host.problems.append(f"after it was killed and started again, {exc}")

    async def aclose(self) -> None:
        """Kill all nodes and wait until nothing of them is left. No node can be started after that."""
        self._is_over = True
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for host in self.hosts.values():
                    nursery.start_soon(host.aclose)

    async def _for_all(self, async_fn: Callable[[Host], Awaitable[None]]) -> None:
        failures: dict[str, SetUpError] = {}

        async def run(host: Host) -> None:
            try:
                await async_fn(host)
            except SetUpError as exc:
                failures[host.node_id] = exc

        async with trio.open_nursery() as nursery:
            for host in self.hosts.values():
                nursery.start_soon(run, host)
        for node_id in self.hosts:  # report the first in the nodes' order, whichever failed first
            if node_id in failures:
                raise failures[node_id]

    async def _start(self, host: Host) -> None:
        try:
            await host.start()
        except NoAnswerError as exc:
            raise self._failure(host, f"{exc}") from None
        except Exception as exc:
            raise self._failure(host, f"could not be started: {type(exc).__name__}: {exc}") from exc

    async def _init(self, host: Host) -> None:
        init = {"type": "init", "node_id": host.node_id, "node_ids": list(self.hosts)}
        if await self._ask(host, init, INIT_TIMEOUT):
            self._network.journal.note(self._network.now(), "ready", node=host.node_id)

    async def _ask(self, host: Host, body: Body, timeout: float) -> bool:
        """Send *body* to the node and wait for its acknowledgement; return False if a fault killed the node first."""
        client = self._clients.open()
        before = len(self._network.journal)
        late = None
        try:
            with host.until_trouble() as trouble:
                reply = await client.rpc(host.node_id, body, timeout)
            if trouble.cancelled_caught and host.is_alive and host.trouble is not None:
                late = await client.linger(LINGER)
        except RpcTimeout as exc:
            request = {**body, "msg_id": exc.msg_id}
            raise self._failure(host, self._unanswered(host, client.id, request, before, exc)) from None
        except RpcError as exc:
            raise self._failure(host, f"did not answer {body['type']!r}: {exc}") from None
        except msgspec.ValidationError as exc:
            raise self._failure(host, f"answered {body['type']!r} with a malformed error: {exc}") from None
        finally:
            client.close()
        if trouble.cancelled_caught:
            if host.trouble is None:
                return False
            if late is not None and late.get("type") == f"{body['type']}_ok":
                raise self._failure(host, f"answered {body['type']!r}, but before that it {host.trouble}")
            raise self._failure(host, f"did not answer {body['type']!r}: it {host.trouble}")
        wanted = body["type"] + "_ok"
        if reply.get("type") != wanted:
            raise self._failure(host, f"answered {body['type']!r} with {cut_text(repr(reply))} instead of {wanted!r}")
        return True

    def _unanswered(self, host: Host, client_id: str, request: Body, before: int, timeout: RpcTimeout) -> str:
        """Return a text that the node did not answer *request*, and what it sent since entry *before*."""
        journal = self._network.journal
        since = (journal[index] for index in range(before, len(journal)))
        found = [what_came(since, host.node_id, client_id, request), host.unfinished_line()]
        told = "; ".join(text for text in found if text)
        return f"did not answer {request['type']!r}: {timeout}; {told or host.advice}".rstrip("; ")

    def _failure(self, host: Host, what: str) -> SetUpError:
        if not host.is_here:
            return SetUpError(f"node {host.node_id!r} {what}")
        lines = host.log.last(START_LOG_LINES)
        log = "".join(f"\n  {line}" for line in lines) or "\n  (nothing)"
        return SetUpError(f"node {host.node_id!r} {what}\nits last lines on stderr:{log}")
