"""Hosts: each host runs one node of the cluster through all its lives."""

from __future__ import annotations

import contextlib
import contextvars
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, Final

import trio

from trio_messenger import printable

from .._network.network import Delivery, SimulatedNetwork
from .durable import Disk

LOG_LINES: Final = 10_000
"""The number of lines that are kept of a node's log. If there are more, the log keeps the first and the last half."""


class NodeLog:
    """The log of one node over all its lives: its lines on stderr and its log records.

    Args:
      node_id: The id of the node.
      echo: Called with the id and each line at once; None to call nothing.
      moment: Returns the time that log lines of nodes in this process begin with.
    """

    def __init__(
        self,
        node_id: str,
        echo: Callable[[str, str], object] | None = None,
        moment: Callable[[], str] = lambda: f"{trio.current_time():.6f}",
    ) -> None:
        self.node_id: Final = node_id
        """The id of the node."""
        self.failure: str | None = None
        """The last exception of the node that the library caught, in one line; None if there was none."""
        self._first: list[str] = []
        self._last: list[str] = []
        self._left_out = 0
        self._echo = echo
        self._moment = moment

    def add_now(self, text: str) -> None:
        """Add *text*, with the time in front of it."""
        self.add(f"{self._moment()} {text}")

    def add(self, text: str) -> None:
        """Add *text*, which may have several lines. Control characters are escaped by `printable`."""
        if text:
            for line in text.removesuffix("\n").split("\n"):
                self._add_line(printable(line.removesuffix("\r").expandtabs()))

    def _add_line(self, line: str) -> None:
        if self._echo is not None:
            self._echo(self.node_id, line)
        if len(self._first) < LOG_LINES // 2:
            self._first.append(line)
            return
        self._last.append(line)
        if len(self._last) > LOG_LINES:  # delete many lines at once, to do it rarely
            self._left_out += LOG_LINES // 2
            del self._last[: LOG_LINES // 2]

    def lines(self) -> list[str]:
        """Return the lines that are kept."""
        gap = [f"... {self._left_out} lines left out ..."] if self._left_out else []
        return [*self._first, *gap, *self._last]

    def last(self, count: int) -> list[str]:
        """Return the last *count* lines."""
        return self.lines()[-count:]


class NoAnswerError(Exception):
    """A node that runs elsewhere does not answer; the text continues after the name of the node."""


class Host(ABC):
    """Runs one node. The cluster tells it when to start, kill, pause and resume the node.

    Args:
      node_id: The id of the node.
      network: Carries the node's messages.
      log: Receives the node's log lines.
      disk: The node's disk; None if it is a real one.
    """

    advice: ClassVar[str] = ""
    """Advice for the user if the node did not answer a request and sent nothing else either."""
    is_here: ClassVar[bool] = True
    """Whether the node runs here. If not, nothing is known of its log, and of its messages to other nodes."""

    def __init__(self, node_id: str, network: SimulatedNetwork, log: NodeLog, disk: Disk | None = None) -> None:
        self.node_id: Final = node_id
        """The id of the node."""
        self.log: Final = log
        """The node's log."""
        self.problems: Final[list[str]] = []
        """The problems of the node itself, for example that it exited. Each makes the run invalid."""
        self.remarks: Final[list[str]] = []
        """Unusual behaviour of the node that is not necessarily wrong."""
        self.trouble: str | None = None
        """The last problem of this life, without the node's name; None if there is none."""
        self.lives: int = 0
        """How often the node was started."""
        self.is_alive: bool = False
        """Whether the node runs or is paused."""
        self.held: int = 0
        """The number of messages to and from the node that waited because it was paused."""
        self.skew: float = 0.0
        """Seconds by which the node's wall clock is ahead."""
        self.skewed_reads: int = 0
        """How often the node read its wall clock while that was wrong."""
        self.disk: Final = Disk() if disk is None else disk
        """The node's disk."""
        self._network = network
        self._is_paused = False
        self._held_in: list[Delivery] = []
        self._held_out: list[bytes] = []
        self._waits: list[trio.CancelScope] = []

    @abstractmethod
    async def start(self) -> None:
        """Begin a life: from now on the node receives messages. The cluster sends ``init``."""

    @abstractmethod
    def kill(self) -> None:
        """End this life at once: the node sends and writes nothing more. Does nothing if the node is already dead."""

    async def aclose(self) -> None:
        """Kill the node and wait until nothing of it is left."""
        self.kill()

    def unfinished_line(self) -> str:
        """Describe the line that the node began to print but did not end; an empty string if there is none."""
        return ""

    def pause(self) -> None:
        """Pause the node: hold all messages to and from it until `resume`."""
        self._is_paused = True

    def resume(self) -> None:
        """Resume the node: pass on the held messages, in their order."""
        self._is_paused = False
        held_in, self._held_in = self._held_in, []
        held_out, self._held_out = self._held_out, []
        for delivery in held_in:
            self._hand_over(delivery)
        for line in held_out:
            self._network.send(line)

    @contextlib.contextmanager
    def until_trouble(self) -> Iterator[trio.CancelScope]:
        """Cancel the body once this life has a problem or ends; at once if it already has."""
        with trio.CancelScope() as scope:
            self._waits.append(scope)
            if not self.is_alive or self.trouble is not None:
                scope.cancel()
            try:
                yield scope
            finally:
                self._waits.remove(scope)

    @abstractmethod
    def _hand_over(self, delivery: Delivery) -> None:
        """Give the message to the node."""

    def _receive(self, delivery: Delivery) -> None:
        """Take a message from the network for the node."""
        if self._is_paused:
            self.held += 1
            self._held_in.append(delivery)
        else:
            self._hand_over(delivery)

    def _send(self, line: bytes) -> None:
        """Take a message from the node for the network."""
        if self._is_paused:
            self.held += 1
            self._held_out.append(line)
        else:
            self._network.send(line)

    def _begin_life(self) -> None:
        self.lives += 1
        self.is_alive = True
        self.trouble = None
        self._network.attach(self.node_id, "nodes", self._receive)
        self._network.journal.note(self._network.now(), "start", node=self.node_id)

    def _end_life(self) -> None:
        self.is_alive = False
        self._network.detach(self.node_id)
        self._is_paused = False
        self._held_in.clear()
        self._held_out.clear()
        self._cut_waits()

    def _note_problem(self, what: str, details: str = "") -> None:
        """Record a problem of the node.

        Args:
          what: One line that continues after the name of the node, such as ``died``.
          details: More lines, each after a newline.
        """
        self.trouble = what
        self.problems.append(f"node {self.node_id!r} {what}{details}")
        self._cut_waits()

    def _note_exit(self, what: str, details: str = "") -> None:
        """Record that the node ended by itself; see `_note_problem`."""
        self._end_life()
        self._note_problem(what, details)
        self._network.journal.note(self._network.now(), "exit", node=self.node_id, text=what)

    def _cut_waits(self) -> None:
        for scope in self._waits:
            scope.cancel()


current_log: Final[contextvars.ContextVar[NodeLog | None]] = contextvars.ContextVar("current_log", default=None)
"""The log of the node that the current task belongs to; None outside of nodes."""
