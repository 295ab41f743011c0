"""Nodes that are executables, in any language: a process for each life, on real pipes and in real time.

What a node finds is what Maelstrom gives it, with two exceptions. Each node has a folder of its own, where what it
writes outlives it. And the environment is the simulator's own with one more variable, by which the processes of a node
are found (see `Guardian`). In particular nothing is done for programs that forget to flush their output, since under
Maelstrom nobody does it either.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, final

import msgspec
import trio

from .._network.network import Delivery, Network
from .._runaways.guard import kinds_of_messages, remedy
from .._runaways.traffic import Traffic
from .._system.children import GRACE, KILL_TIMEOUT, Child, LineSplitter
from .._system.executables import is_file
from .._system.guardian import Guardian
from .diagnosis import excerpt, why_no_json
from .hosts import Host, NodeLog

LINE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of the longest line that a node may print."""

LOG_LINE_LIMIT: Final = 4096
"""Bytes of each line of stderr that are kept."""

LAST_LINES: Final = 5
"""Lines of stderr that are shown with a node that ended of itself."""

STALE: Final = 1.0
"""Seconds without more of a line after which it is likely that its end will never come."""

_EXCERPT: Final = 80
"""Bytes of a bad line that are shown, and characters of what is wrong with it."""


class _Printed(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message as a node prints it: the closed schema of Maelstrom, whose network ignores the ``id``."""

    src: str
    dest: str
    body: dict[str, Any]
    id: int | None = None


_FIELDS: Final = ("src", "dest", "body")
"""Those that are passed on."""

_SAFE_DEPTH: Final = 500
"""Brackets with which a line cannot come near Python's limit of recursion, whatever the order in which they stand."""

_MARGIN: Final = 100
"""Calls of Python that may be on the stack wherever a message is decoded later, and are not here."""

_decode = msgspec.json.Decoder(_Printed).decode
_encode = msgspec.json.Encoder().encode


@final
class ProcessHost(Host):
    """Runs a node as a process.

    Args:
      node_id: The id of the node.
      network: What its messages go through.
      log: Where to put its stderr.
      command: The path of the executable, and its arguments.
      folder: Where all lives of the node run; made if it is not there.
      nursery: For the tasks that serve it.
      traffic: Of the run.
      guardian: Ends what this process cannot end; None if there is none.
    """

    advice = "its process runs: does it read its stdin, and flush its stdout after each line?"

    def __init__(
        self,
        node_id: str,
        network: Network,
        log: NodeLog,
        *,
        command: Sequence[str],
        folder: Path,
        nursery: trio.Nursery,
        traffic: Traffic,
        guardian: Guardian | None = None,
    ) -> None:
        super().__init__(node_id, network, log)
        self._command = tuple(command)
        self._files = [word for word in self._command[1:] if is_file(Path(word))]
        self._folder = folder
        self._nursery = nursery
        self._traffic = traffic
        self._guardian = guardian
        self._child: Child | None = None  # the one that lives
        self._last: Child | None = None  # it, or the one that lived last
        self._stdout = LineSplitter(LINE_LIMIT)  # of the last one
        self._printed_at = 0.0  # when something came from there
        self._starting = trio.Lock()
        self._is_closed = False
        self._rubbish: dict[str, tuple[int, str, int]] = {}  # by its kind: where in the problems, what, how often

    async def start(self) -> None:
        """Begin a life; see `Host.start`. Waits for the end of the one before. If cancelled, there is none.

        Raises:
          OSError: if there can be no such process.
          trio.ClosedResourceError: if this host is closed.
        """
        async with self._starting:
            self.kill()  # it is to be dead already
            if self._last is not None:
                await self._last.gone.wait()
            self._check_open()
            self._folder.mkdir(parents=True, exist_ok=True)
            child = self._last = await self._open()
            self._nursery.start_soon(self._live, child)
            try:
                await trio.lowlevel.checkpoint_if_cancelled()  # so that nothing lives that a fault has killed by now
                self._check_open()
            except BaseException:
                child.kill()
                raise
            self._child = child
            self._begin_life()

    async def _open(self) -> Child:
        if self._guardian is None:
            return await Child.open(self._command, self._folder)
        child = await Child.open(self._command, self._folder, self._guardian.environment(self.node_id))
        self._guardian.note_start(child.pid)
        return child

    def _check_open(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("the run is over")

    def kill(self) -> None:
        """End this life by SIGKILL; see `Host.kill`. All processes of its group die."""
        child, self._child = self._child, None
        if child is None:
            return
        status = child.status
        child.kill()
        if status is None:
            if self._stdout.unfinished and trio.current_time() - self._printed_at >= STALE:
                self.remarks.append(f"node {self.node_id!r}: when it was killed, {self.unfinished_line()}")
            self._end_life()
        else:
            self._note_end(status)

    async def aclose(self) -> None:
        """Kill the node and wait until its process is gone; see `Host.aclose`."""
        self._is_closed = True
        self.kill()
        async with self._starting:  # the start that is under way, if there is one
            if self._last is not None:
                await self._last.gone.wait()

    def unfinished_line(self) -> str:
        """See `Host.unfinished_line`."""
        line = self._stdout.unfinished
        if not line:
            return ""
        return (
            f"it had begun a line on stdout whose end did not come: {excerpt(line)} ({len(line):,} bytes);"
            " end each message with a newline, and flush after that"
        )

    def pause(self) -> None:
        """Stop the node by SIGSTOP, and hold what comes and goes; see `Host.pause`.

        Also held is what it printed before, if it was not read yet.
        """
        super().pause()
        if self._child is not None:
            self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on by SIGCONT; see `Host.resume`."""
        if self._child is not None:
            self._child.signal(signal.SIGCONT)
        super().resume()

    def _hand_over(self, delivery: Delivery) -> None:
        child = self._child
        if child is not None and not child.put(b'{"id":%d,%b\n' % (delivery.id, delivery.line[1:])):
            self._condemn("does not read its stdin: more than 64 MiB wait to be written there")

    async def _live(self, child: Child) -> None:
        """Serve *child* until its end, whether it lives or not."""
        try:
            with child.serving:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, child)
                    nursery.start_soon(self._read_stdout, child)
                    nursery.start_soon(self._read_stderr, child)
                    status = await child.wait()
                    nursery.cancel_scope.deadline = trio.current_time() + GRACE  # for what it said last
        finally:
            if not await child.aclose():
                self._note_problem(f"could not be killed in {KILL_TIMEOUT:g} s: process {child.pid} still runs")
            elif self._guardian is not None:
                self._guardian.note_end(child.pid)
        if self._child is child:
            self._child = None
            self._note_end(status)
        if nursery.cancel_scope.cancelled_caught:
            self._note_problem(
                "left something running that is not of its process group, and holds its stdout or stderr"
            )

    async def _write(self, child: Child) -> None:
        await child.write()
        await self._expect_end(child, "closed its stdin, though it still runs")

    async def _read_stdout(self, child: Child) -> None:
        self._stdout = LineSplitter(LINE_LIMIT)

        def take(lines: list[bytes], size: int) -> None:
            self._printed_at = trio.current_time()
            for line in lines:
                if self._child is child:  # what the dead have said is not heard, and they may die of a line
                    self._take(line)
            if self._child is child and self._traffic.add(self.node_id, len(lines), size):
                self._condemn(f"floods its stdout: {self._flood_in_words()}")

        await _read(child.stdout, self._stdout, take)
        await self._expect_end(child, "closed its stdout, though it still runs")

    def _flood_in_words(self) -> str:
        amount, seconds = self._traffic.describe(self.node_id)
        since = self._network.now() - round(seconds * 1e9)
        entries = (entry for entry in self._network.journal if entry.t >= since)
        kinds = kinds_of_messages(entries, src=self.node_id)
        return f"{amount} within {seconds:.3g} s{kinds}; {remedy(self._traffic.burst)}"

    async def _read_stderr(self, child: Child) -> None:
        def take(lines: list[bytes], _: int) -> None:
            for line in lines:
                cut = "..." if len(line) > LOG_LINE_LIMIT else ""
                self.log.add(line[:LOG_LINE_LIMIT].decode(errors="replace") + cut)

        await _read(child.stderr, LineSplitter(LOG_LINE_LIMIT), take)

    async def _expect_end(self, child: Child, otherwise: str) -> None:
        """Note a problem if the process does not end now."""
        with trio.move_on_after(GRACE):
            await child.ended.wait()
        if self._child is child and not child.ended.is_set():
            self._note_problem(otherwise)

    def _take(self, line: bytes) -> None:
        """Take a line of the node's stdout."""
        if len(line) > LINE_LIMIT:
            self._refuse("printed a line on stdout that is longer than 16 MiB", line)
            return
        line = line.strip()
        try:
            is_deep = line.count(b"[") + line.count(b"{") > _SAFE_DEPTH
            printed = _decode_below(line, _MARGIN) if is_deep else _decode(line)
        except msgspec.ValidationError as exc:
            self._refuse("printed a line on stdout that is no message", line, f" ({exc!s:.{_EXCERPT}})")
        except (ValueError, RecursionError) as exc:
            self._refuse(
                f"printed a line on stdout that {why_no_json(line, f'{exc}')}", line, f" ({exc!s:.{_EXCERPT}})"
            )
        else:
            if printed.src != self.node_id:
                self._refuse("printed a message with the src of another", line)
            elif self._network.role(printed.dest) is None:
                self._refuse("printed a message to a dest that does not exist", line)
            else:
                is_plain = printed.id is None
                self._send(line if is_plain else _encode({name: getattr(printed, name) for name in _FIELDS}))

    def _refuse(self, what: str, line: bytes, why: str = "") -> None:
        """Note that the node printed a bad line; of those of one kind only the first is shown."""
        if what not in self._rubbish:
            self._note_problem(f"{what}: {excerpt(line, _EXCERPT)}{why}")
            self._rubbish[what] = (len(self.problems) - 1, self.problems[-1], 1)
            return
        index, text, count = self._rubbish[what]
        self._rubbish[what] = (index, text, count + 1)
        self.problems[index] = f"{text}, and {count} more of that kind"

    def _condemn(self, what: str) -> None:
        """Kill the node for what it does."""
        child, self._child = self._child, None
        assert child is not None
        child.kill()
        self._note_exit(f"{what}; it was killed", self._last_words())

    def _note_end(self, status: int) -> None:
        self._note_exit(_end_of(status) + self._misplaced(), self._last_words())

    def _misplaced(self) -> str:
        """Return what to say of files that are where the simulator runs, and not where the node does."""
        names = [name for name in self._files if not is_file(self._folder / name)]
        return f"; it runs in a folder of its own: give the absolute path of {names[0]!r}" if names else ""

    def _last_words(self) -> str:
        lines = self.log.last(LAST_LINES)
        return "".join(f"\n  {line}" for line in ["the last it said on stderr:", *lines]) if lines else ""


async def _read(
    stream: trio.abc.ReceiveStream, splitter: LineSplitter, take: Callable[[list[bytes], int], object]
) -> None:
    """Call *take* with the lines that each read completes, and with its size, until the stream ends."""
    async for data in stream:
        take(splitter.receive_data(bytes(data)), len(data))
    take(splitter.receive_eof(), 0)


def _decode_below(line: bytes, margin: int) -> _Printed:
    """Decode *line* with *margin* more calls on the stack, so that it can be decoded anywhere if it can be here."""
    return _decode_below(line, margin - 1) if margin else _decode(line)


def _end_of(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # one of the real-time signals, which have no names
        return f"was killed by signal {-status}"
