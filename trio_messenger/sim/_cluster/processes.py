"""Nodes that are executables, in any language: one process for each life, on real pipes and in real time.

A node gets the same surroundings as under Maelstrom, with two exceptions. Each node has its own folder, where its files
outlive it. And its environment is the simulator's environment plus one variable that marks the processes of the node
(see `Guardian`). In particular, the simulator does not help programs that forget to flush their output, because
Maelstrom does not help them either.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, final

import msgspec
import trio

from .._network.network import Delivery, SimulatedNetwork
from .._records.cut_texts import cut_line, cut_text
from .._runaways.guard import kinds_of_messages, remedy
from .._runaways.traffic import Traffic
from .._system.children import KILL_TIMEOUT, PIPE_GRACE, Child, LineSplitter
from .._system.executables import is_file
from .._system.guardian import Guardian
from .diagnosis import why_no_json
from .hosts import Host, NodeLog

PRINTED_LINE_LIMIT: Final = 16 * 1024 * 1024
"""The longest line that a node may print, in bytes."""

LOG_LINE_LIMIT: Final = 4096
"""The number of bytes that are kept of each line of stderr."""

EXIT_LOG_LINES: Final = 5
"""The number of lines of stderr that are shown for a node that ended by itself."""

STALE: Final = 1.0
"""Seconds after which an unfinished line probably never ends, if nothing more of it comes."""


class _Printed(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message as a node prints it. Like Maelstrom's, the schema allows no other fields; the ``id`` is ignored."""

    src: str
    dest: str
    body: dict[str, Any]
    id: int | None = None


_FIELDS: Final = ("src", "dest", "body")
"""The fields that are passed on."""

_SAFE_DEPTH: Final = 500
"""Lines with at most this many brackets are safe to decode. They stay far below Python's recursion limit in any order
of the brackets."""

_MARGIN: Final = 100
"""The number of additional Python calls that may be on the stack where the message is decoded again later."""

_decode = msgspec.json.Decoder(_Printed).decode
_encode = msgspec.json.Encoder().encode


@final
class ProcessHost(Host):
    """Runs a node as a process.

    Args:
      node_id: The id of the node.
      network: Carries the node's messages.
      log: Receives the node's lines on stderr.
      command: The path of the executable, and its arguments.
      folder: The working folder of all lives of the node; created if it does not exist.
      nursery: Runs the tasks that serve the node.
      traffic: Measures the output of the run.
      guardian: Ends the processes that this process cannot end; None to run without one.
    """

    advice = "its process is running: does it read its stdin, and flush its stdout after each line?"

    def __init__(
        self,
        node_id: str,
        network: SimulatedNetwork,
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
        self._child: Child | None = None  # the process of the current life
        self._last: Child | None = None  # the process of the current or the last life
        self._stdout = LineSplitter(PRINTED_LINE_LIMIT)  # splits the stdout of that process
        self._printed_at = 0.0  # the time of its last output
        self._starting = trio.Lock()
        self._is_closed = False
        self._rubbish: dict[str, tuple[int, str, int]] = {}  # by kind: index of the problem, its text, count

    async def start(self) -> None:
        """Begin a life; see `Host.start`. Waits for the end of the previous life. If cancelled, no life begins.

        Raises:
          OSError: if the process cannot be started.
          trio.ClosedResourceError: if this host is closed.
        """
        async with self._starting:
            self.kill()  # the node should be dead already
            if self._last is not None:
                await self._last.gone.wait()
            self._check_open()
            self._folder.mkdir(parents=True, exist_ok=True)
            child = self._last = await self._open()
            self._nursery.start_soon(self._live, child)
            try:
                await trio.lowlevel.checkpoint_if_cancelled()  # a fault may have killed the node by now
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
        """End this life by SIGKILL; see `Host.kill`. Kills all processes of the group."""
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
        async with self._starting:  # wait for a start in progress, if there is one
            if self._last is not None:
                await self._last.gone.wait()

    def unfinished_line(self) -> str:
        """See `Host.unfinished_line`."""
        line = self._stdout.unfinished
        if not line:
            return ""
        return (
            f"it had not ended a line on stdout: {cut_line(line)} ({len(line):,} bytes);"
            " end each message with a newline, then flush"
        )

    def pause(self) -> None:
        """Stop the node by SIGSTOP, and hold all messages to and from it; see `Host.pause`.

        This includes messages that the node printed before, if they were not read yet.
        """
        super().pause()
        if self._child is not None:
            self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the node by SIGCONT; see `Host.resume`."""
        if self._child is not None:
            self._child.signal(signal.SIGCONT)
        super().resume()

    def _hand_over(self, delivery: Delivery) -> None:
        child = self._child
        if child is not None and not child.put(b'{"id":%d,%b\n' % (delivery.id, delivery.line[1:])):
            self._condemn("does not read its stdin: more than 64 MiB are waiting there")

    async def _live(self, child: Child) -> None:
        """Serve *child* until its process has ended, also after its life has ended."""
        try:
            with child.serving:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, child)
                    nursery.start_soon(self._read_stdout, child)
                    nursery.start_soon(self._read_stderr, child)
                    status = await child.wait()
                    nursery.cancel_scope.deadline = trio.current_time() + PIPE_GRACE  # time to read its last output
        finally:
            if not await child.aclose():
                self._note_problem(f"could not be killed within {KILL_TIMEOUT:g} s: process {child.pid} still runs")
            elif self._guardian is not None:
                self._guardian.note_end(child.pid)
        if self._child is child:
            self._child = None
            self._note_end(status)
        if nursery.cancel_scope.cancelled_caught:
            self._note_problem(
                "left a process running outside of its process group, which keeps its stdout or stderr open"
            )

    async def _write(self, child: Child) -> None:
        await child.write()
        await self._expect_end(child, "closed its stdin, although it still runs")

    async def _read_stdout(self, child: Child) -> None:
        self._stdout = LineSplitter(PRINTED_LINE_LIMIT)

        def take(lines: list[bytes], size: int) -> None:
            self._printed_at = trio.current_time()
            for line in lines:
                if self._child is child:  # ignore lines of a dead node; a line may also end the node
                    self._take(line)
            if self._child is child and self._traffic.add(self.node_id, len(lines), size):
                self._condemn(f"floods its stdout: {self._flood_in_words()}")

        await _read(child.stdout, self._stdout, take)
        await self._expect_end(child, "closed its stdout, although it still runs")

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
        """Record the problem *otherwise* if the process does not end soon."""
        with trio.move_on_after(PIPE_GRACE):
            await child.ended.wait()
        if self._child is child and not child.ended.is_set():
            self._note_problem(otherwise)

    def _take(self, line: bytes) -> None:
        """Handle a line of the node's stdout."""
        if len(line) > PRINTED_LINE_LIMIT:
            self._refuse("printed a line on stdout that is longer than 16 MiB", line)
            return
        line = line.strip()
        try:
            is_deep = line.count(b"[") + line.count(b"{") > _SAFE_DEPTH
            printed = _decode_below(line, _MARGIN) if is_deep else _decode(line)
        except msgspec.ValidationError as exc:
            self._refuse("printed a line on stdout that is not a message", line, f" ({cut_text(f'{exc}')})")
        except (ValueError, RecursionError) as exc:
            self._refuse(
                f"printed a line on stdout that {why_no_json(line, f'{exc}')}", line, f" ({cut_text(f'{exc}')})"
            )
        else:
            if printed.src != self.node_id:
                self._refuse("printed a message whose src is not its own id", line)
            elif self._network.role(printed.dest) is None:
                self._refuse("printed a message to a dest that does not exist", line)
            else:
                is_plain = printed.id is None
                self._send(line if is_plain else _encode({name: getattr(printed, name) for name in _FIELDS}))

    def _refuse(self, what: str, line: bytes, why: str = "") -> None:
        """Record that the node printed a bad line. Only the first bad line of each kind is shown."""
        if what not in self._rubbish:
            self._note_problem(f"{what}: {cut_line(line)}{why}")
            self._rubbish[what] = (len(self.problems) - 1, self.problems[-1], 1)
            return
        index, text, count = self._rubbish[what]
        self._rubbish[what] = (index, text, count + 1)
        self.problems[index] = f"{text}, and {count} more of this kind"

    def _condemn(self, what: str) -> None:
        """Kill the node because of *what* it does."""
        child, self._child = self._child, None
        assert child is not None
        child.kill()
        self._note_exit(f"{what}; it was killed", self._last_words())

    def _note_end(self, status: int) -> None:
        self._note_exit(_end_of(status) + self._misplaced(), self._last_words())

    def _misplaced(self) -> str:
        """Return a hint if an argument is a file in the simulator's folder, but not in the node's folder."""
        names = [name for name in self._files if not is_file(self._folder / name)]
        return f"; it runs in its own folder: give the absolute path of {names[0]!r}" if names else ""

    def _last_words(self) -> str:
        lines = self.log.last(EXIT_LOG_LINES)
        return "".join(f"\n  {line}" for line in ["its last lines on stderr:", *lines]) if lines else ""


async def _read(
    stream: trio.abc.ReceiveStream, splitter: LineSplitter, take: Callable[[list[bytes], int], object]
) -> None:
    """Read until the stream ends. After each read, call *take* with the completed lines and the bytes read."""
    async for data in stream:
        take(splitter.receive_data(bytes(data)), len(data))
    take(splitter.receive_eof(), 0)


def _decode_below(line: bytes, margin: int) -> _Printed:
    """Decode *line* with *margin* more calls on the stack, so that decoding it later elsewhere also succeeds."""
    return _decode_below(line, margin - 1) if margin else _decode(line)


def _end_of(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal, which has no name
        return f"was killed by signal {-status}"
