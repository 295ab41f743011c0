"""Outcomes of RPCs, recorded."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_messenger import Body, MessengerError, Node
from trio_messenger.testing import Network

ASK = {"type": "ask"}


class Recorder:
    """A callback that remembers each outcome and its time."""

    def __init__(self) -> None:
        self.outcomes: list[Body | Exception] = []
        self.times: list[float] = []

    def __call__(self, outcome: Body | Exception) -> None:
        self.outcomes.append(outcome)
        self.times.append(trio.current_time())


async def record_rpc(node: Node, recorder: Recorder, **kwargs: Any) -> None:
    """Await an RPC and record its outcome as a callback would get it."""
    try:
        recorder(await node.rpc("n2", ASK, **kwargs))
    except (MessengerError, trio.ClosedResourceError) as exc:
        recorder(exc)


async def start_rpc(network: Network, recorder: Recorder, *, callback: bool, **kwargs: Any) -> None:
    """Have the node send ``ask`` to n2, in a system task or with a callback, and let it leave."""
    if callback:
        network.node.rpc_callback("n2", ASK, recorder, **kwargs)
    else:
        trio.lowlevel.spawn_system_task(functools.partial(record_rpc, network.node, recorder, **kwargs))
    await wait_all_tasks_blocked()


both_ways = pytest.mark.parametrize("callback", [False, True], ids=["awaited", "callback"])
