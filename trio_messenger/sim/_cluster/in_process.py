"""Nodes in this process: each life is a new node from the factory, on a transport to the simulated network."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, final

import trio

from trio_messenger import Message, Node, printable
from trio_messenger.transports import Transport

from .._determinism.random_streams import Streams
from .._determinism.scheduler import end_by_force, place_of_error, unshield
from .._network.network import Delivery, SimulatedNetwork
from .._records.cut_texts import cut_text
from .._runaways.guard import Owner, StuckGuard, current_owner
from .durable import Build, Disk, SimulatedStore
from .hosts import Host, NodeLog, current_log

EPOCH: Final = 1_600_000_000.0
"""The wall-clock time at the beginning of a simulation, in seconds since 1970: 13 September 2020, 12:26:40 UTC."""


CLEANUP: Final = 60.0
"""Seconds of virtual time that the tasks of a dead node have to end before they are forced to. Nobody can observe them
in this time."""


@final
class InProcessHost(Host):
    """Runs a node from *build* in tasks of *nursery*. *guard* counts the messages that the node sends."""

    def __init__(
        self,
        node_id: str,
        network: SimulatedNetwork,
        log: NodeLog,
        build: Build,
        nursery: trio.Nursery,
        streams: Streams,
        guard: StuckGuard,
    ) -> None:
        super().__init__(node_id, network, log, Disk(streams, node_id))
        self._build = build
        self._takes_store = "store" in inspect.signature(build).parameters
        self._nursery = nursery
        self._streams = streams
        self._guard = guard
        self._began = trio.current_time()
        self._store: SimulatedStore | None = None  # of the latest life
        self._life: _Life | None = None
        self._ending: dict[_Life, None] = {}  # lives whose tasks still run, dead or not
        self._next_msg_id = 0  # higher than in all earlier lives, so that no reply to one of them matches a later one

    async def start(self) -> None:
        """Begin a life; see `Host.start`. Exceptions of *build* pass through."""
        store = self._store = SimulatedStore(self._store, self.disk)
        owner = Owner(self.node_id, self.log.add)
        log_token, owner_token = current_log.set(self.log), current_owner.set(owner)
        try:
            node = self._build(store=store) if self._takes_store else self._build()
        except BaseException as exc:
            if isinstance(exc, Exception) or not _ends_a_node(exc):
                raise
            raise RuntimeError(f"the node factory raised {_in_one_line(exc)}") from exc
        finally:
            current_log.reset(log_token)
            current_owner.reset(owner_token)
        if not isinstance(node, Node):
            raise TypeError(f"the node factory returned {node!r:.80}; it must return a trio_messenger.Node")
        node.random.seed(f"{self._streams.seed}/node/{self.node_id}/{self.lives}")
        transport = _SimTransport(self._send_if_sane, self._wall_time)
        self._life = life = _Life(node, store, transport, owner)
        self._ending[life] = None
        self._begin_life()
        self._nursery.start_soon(self._live, life)

    def kill(self) -> None:
        """End this life at once; see `Host.kill`."""
        life, self._life = self._life, None
        if life is None:
            return
        self._note_failures(life)
        self._end(life)
        self._end_life()

    async def aclose(self) -> None:
        """Kill the node and wait until all its tasks have ended; see `Host.aclose`.

        No task of the node runs after that, whatever it shields itself from or catches.
        """
        self.kill()
        for life in list(self._ending):
            await life.wait_until_gone()

    def _send_if_sane(self, line: bytes) -> None:
        if self._guard.note_message(self.node_id):
            self._send(line)

    @property
    def node(self) -> Node | None:
        """The node of the current life; None if it is dead."""
        return None if self._life is None else self._life.node

    def wall_time(self) -> float:
        """Return the time of the node's wall clock, in seconds since 1970."""
        return EPOCH + trio.current_time() - self._began + self.skew

    def _wall_time(self) -> float:
        self.skewed_reads += self.skew != 0
        return self.wall_time()

    def _hand_over(self, delivery: Delivery) -> None:
        assert self._life is not None  # a dead node is not in the network
        self._life.transport.hand_over(delivery.message)

    async def _live(self, life: _Life) -> None:
        life.task = trio.lowlevel.current_task()
        current_log.set(self.log)
        current_owner.set(life.owner)
        how = "ended by itself, although its input had not ended"
        try:
            with life.scope:
                await life.node.serve(life.transport, first_msg_id=self._next_msg_id)
        except BaseException as exc:
            if not _ends_a_node(exc):
                _note_interrupt(exc, self.node_id)
                raise
            self.log.add("".join(traceback.format_exception(exc)))
            self.log.failure = _in_one_line(exc)
            how = f"died: {self.log.failure}"
        finally:
            del self._ending[life]
            life.gone.set()
        if self._life is life:  # else it was killed
            self._note_failures(life)
            self._life = None
            self._end(life)
            self._note_exit(how)

    def _end(self, life: _Life) -> None:
        if lost := life.end():
            self.log.add_now(f"changes of the store that were lost, because they were not synced: {lost}")
        self._next_msg_id = max(self._next_msg_id, life.node.next_msg_id)

    def _note_failures(self, life: _Life) -> None:
        failures, failure = life.node.stats.handler_failures, self.log.failure
        if failures:
            such = "" if failure is None else f", such as {failure}"
            self.problems.append(
                f"node {self.node_id!r}: {failures} of its handlers, callbacks or background tasks raised an exception"
                f"{such}; see node-logs/{self.node_id}.log for the tracebacks"
            )


def _ends_a_node(exc: BaseException) -> bool:
    """Tell whether *exc* ends only its node, as in a process of its own, and not the whole run."""
    if isinstance(exc, BaseExceptionGroup):
        return all(map(_ends_a_node, exc.exceptions))
    return not isinstance(exc, (KeyboardInterrupt, trio.Cancelled))


def _note_interrupt(exc: BaseException, node_id: str) -> None:
    """Add a note to a Ctrl-C exception that it came while the node was running, and where."""
    while isinstance(exc, BaseExceptionGroup):
        exc = next(each for each in exc.exceptions if not _ends_a_node(each))
    exc.add_note(f"node {node_id!r} was in {place_of_error(exc)}")


@final
class _Life:
    """One life of a node, from start to end."""

    def __init__(self, node: Node, store: SimulatedStore, transport: _SimTransport, owner: Owner) -> None:
        self.node = node
        self.store = store
        self.transport = transport
        self.owner = owner
        self.scope = trio.CancelScope()
        self.gone = trio.Event()
        self.task: trio.lowlevel.Task | None = None  # set once it runs

    def end(self) -> int:
        """Prevent every further effect of the node that anybody could notice, also from its ``finally`` clauses.

        Return how many changes of its store a fault has lost.
        """
        self.owner.is_over = True
        self.transport.cut()
        self.scope.cancel()
        return self.store.detach()

    async def wait_until_gone(self) -> None:
        """Wait until all tasks have ended, after `end`. Wait, then remove shields, then end the tasks by force."""
        for forces in ([], [unshield], [end_by_force, unshield]):
            for task in self._tasks():
                if forces[:1] == [end_by_force]:
                    self.owner.note_force(task)
                for force in forces:
                    force(task)
            with trio.move_on_after(CLEANUP):
                await self.gone.wait()
                return
        await self.gone.wait()  # a task that waits for a thread cannot end earlier

    def _tasks(self) -> Iterator[trio.lowlevel.Task]:
        """Yield all tasks that the node has started, each after its parent."""
        waiting = [] if self.task is None else list(self.task.child_nurseries)
        while waiting:
            for task in waiting.pop().child_tasks:
                yield task
                waiting += task.child_nurseries


@final
class _SimTransport(Transport):
    """A node's end of the simulated network."""

    def __init__(self, send: Callable[[bytes], object], wall_time: Callable[[], float]) -> None:
        self._send_line = send
        self._wall_time = wall_time
        self._inbox: list[Message] = []
        self._reader: trio.lowlevel.Task | None = None
        self._is_cut = False

    def hand_over(self, message: Message) -> None:
        """Give *message* to the node's reader."""
        self._inbox.append(message)
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None

    def cut(self) -> None:
        """Carry nothing more, either way."""
        self._is_cut = True

    async def receive(self) -> list[Message]:
        """Wait for messages; see `Transport.receive`. The input does not end before the node is killed."""
        if self._inbox:
            await trio.lowlevel.checkpoint()
        else:
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        batch, self._inbox = self._inbox, []
        return batch

    def _abort(self, _: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def send(self, value: list[bytes]) -> None:
        """Send lines; see `Transport.send`. Never waits."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self.send_now(value)

    def send_now(self, value: list[bytes]) -> list[bytes]:
        """Send lines; see `Transport.send_now`."""
        if not self._is_cut:
            for line in value:
                self._send_line(line)
        return []

    def wall_time(self) -> float:
        """Return the time of the node's wall clock, in seconds since 1970."""
        return self._wall_time()

    async def aclose(self) -> None:
        """Close the transport. Always a checkpoint."""
        self.cut()
        await trio.lowlevel.checkpoint()


@final
class _LogHandler(logging.Handler):
    """Puts log records from the tasks of a node into the log of that node, and passes all others to *others*."""

    def __init__(self, others: Sequence[logging.Handler]) -> None:
        super().__init__()
        self._others = others

    def emit(self, record: logging.LogRecord) -> None:
        """Take *record*."""
        log = current_log.get()
        if log is not None:
            if record.exc_info and record.name == "trio_messenger":
                log.failure = _in_one_line(record.exc_info[1])
            log.add_now(self.format(record))
            return
        for handler in self._others:
            if record.levelno >= handler.level:
                handler.handle(record)


def _in_one_line(exc: BaseException | None) -> str:
    """Return *exc* in one line, without its traceback. For a group, as nurseries raise it, use its first exception."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return cut_text(printable(" ".join(traceback.format_exception_only(exc)[-1].split())))


@final
class _PrintedByNodes(io.TextIOBase):
    """A stdout or stderr that puts the output of nodes into their logs, and passes all other output on."""

    def __init__(self, others: Any) -> None:
        self._others = others
        self._unfinished: dict[NodeLog, str] = {}  # print() writes its arguments one by one

    def write(self, text: str) -> int:
        """Write *text*."""
        log = current_log.get()
        if log is None:
            return int(self._others.write(text) or 0)
        *lines, rest = (self._unfinished.pop(log, "") + text).split("\n")
        for line in lines:
            log.add(line)
        if rest:
            self._unfinished[log] = rest
        return len(text)

    def flush(self) -> None:
        """Flush the original stream."""
        self._others.flush()

    def finish(self) -> None:
        """Put the unfinished lines of nodes into their logs."""
        for log, rest in self._unfinished.items():
            log.add(rest)
        self._unfinished.clear()


@contextlib.contextmanager
def capturing_logs() -> Iterator[None]:
    """While inside, put everything that the nodes of this process log or print into their logs."""
    root = logging.getLogger()
    others = root.handlers[:]
    handler = _LogHandler(others)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    root.handlers[:] = [handler]
    printed, said = _PrintedByNodes(sys.stdout), _PrintedByNodes(sys.stderr)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            yield
    finally:
        root.handlers[:] = others
        printed.finish()
        said.finish()
