r"""The life of a node: its phases, the transitions between them, and the order in which its parts close.

A node is in one `Phase` at a time. An `Event` leads from one phase to another; the table `TRANSITIONS` lists all of
them. If the table has no transition for an event in the current phase, the caller has a bug, and gets an error.

    NEW -> BEFORE_INIT -> IN_INIT -> SERVING -> CLOSING -> CLOSED -> ENDED
                                            \-> CUT_OFF -/

Only the life closes what callers use:

- When the input ends, it closes the reaper and the pending table, since no reply can come any more.
- When the output ends, it closes the outbox, since nothing can be sent any more.
- It closes the transport last; see `Life.on`.

Normally the input ends first. If the output breaks or all tasks are cancelled, the output may end first. Both orders
lead to CLOSED.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, final

import trio

from .._protocol.messages import Identity
from .._rpc.reaper import Reaper
from .._rpc.table import PendingTable
from .._sending.outbox import Outbox
from .._sending.sender import Sender
from .._user_code.failures import is_cancellation
from ..transports import Transport


@final
class Phase(enum.Enum):
    """The current phase of a node."""

    NEW = "new"
    """It does not serve yet. Its author registers handlers, hooks and background tasks."""
    BEFORE_INIT = "before init"
    """It reads messages and does not know its id. Requests get error 11: see `Router._route_before_init`."""
    IN_INIT = "in init"
    """It knows its id. The hooks of ``on_init`` run, and may send. Requests still get error 11."""
    SERVING = "serving"
    """It serves requests and runs background tasks."""
    CLOSING = "closing"
    """No more messages come, so all RPCs have ended and none can begin. Handlers that still run may send."""
    CUT_OFF = "cut off"
    """Nothing can be sent any more, while the input has not ended yet."""
    CLOSED = "closed"
    """No more messages come and nothing more is sent. The writer still writes the outbox, unless it was cancelled."""
    ENDED = "ended"
    """The transport is closed."""


@final
class Event(enum.Enum):
    """An event that leads from one phase to another."""

    BEGIN = "serve() begins"
    INIT = "init tells the node its id"
    INIT_DONE = "the hooks of on_init have ended"
    INIT_FAILED = "a hook of on_init fails"
    INPUT_ENDED = "the input ends"
    OUTPUT_ENDED = "the output ends"
    END = "serve() ends"


TRANSITIONS: Final[Mapping[Phase, Mapping[Event, Phase]]] = {
    Phase.NEW: {
        Event.BEGIN: Phase.BEFORE_INIT,
    },
    Phase.BEFORE_INIT: {
        Event.INIT: Phase.IN_INIT,
        Event.INPUT_ENDED: Phase.CLOSING,
        Event.OUTPUT_ENDED: Phase.CUT_OFF,
        Event.END: Phase.ENDED,  # the node could not begin to read
    },
    Phase.IN_INIT: {
        Event.INIT_DONE: Phase.SERVING,
        Event.INIT_FAILED: Phase.BEFORE_INIT,
        Event.INPUT_ENDED: Phase.CLOSING,
        Event.OUTPUT_ENDED: Phase.CUT_OFF,
        Event.END: Phase.ENDED,  # here and below: a KeyboardInterrupt may end serve() anywhere
    },
    Phase.SERVING: {
        Event.INPUT_ENDED: Phase.CLOSING,
        Event.OUTPUT_ENDED: Phase.CUT_OFF,
        Event.END: Phase.ENDED,
    },
    # From here on `init` leads to no other phase, but goes on: its hooks have as much time to end as handlers have.
    # These phases do not show whether hooks run, so `Life` also checks that `init` comes before the end of its hooks.
    Phase.CLOSING: {
        Event.INIT: Phase.CLOSING,
        Event.INIT_DONE: Phase.CLOSING,
        Event.INIT_FAILED: Phase.CLOSING,
        Event.OUTPUT_ENDED: Phase.CLOSED,
        Event.END: Phase.ENDED,
    },
    Phase.CUT_OFF: {
        Event.INIT: Phase.CUT_OFF,
        Event.INIT_DONE: Phase.CUT_OFF,
        Event.INIT_FAILED: Phase.CUT_OFF,
        Event.INPUT_ENDED: Phase.CLOSED,
        Event.END: Phase.ENDED,
    },
    Phase.CLOSED: {
        Event.INIT: Phase.CLOSED,
        Event.INIT_DONE: Phase.CLOSED,
        Event.INIT_FAILED: Phase.CLOSED,
        Event.OUTPUT_ENDED: Phase.CLOSED,  # the output ends when nobody is left to send, and again when all is written
        Event.END: Phase.ENDED,
    },
    Phase.ENDED: {},
}
"""The phase that an event leads to, by the phase in which it comes."""

_ENDS_OF_HOOKS: Final = (Event.INIT_DONE, Event.INIT_FAILED)

_CLOSING_PHASES: Final = (Phase.CLOSING, Phase.CUT_OFF, Phase.CLOSED, Phase.ENDED)


def next_phase(phase: Phase, event: Event) -> Phase:
    """Return the phase that *event* leads to from *phase*. Raises RuntimeError if the table has no such transition."""
    following = TRANSITIONS[phase].get(event)
    if following is None:
        ways = [
            f"from {before.value!r} to {events[event].value!r}"
            for before, events in TRANSITIONS.items()
            if events.get(event, before) is not before
        ]
        raise RuntimeError(f"not possible in phase {phase.value!r}: {event.value}; this leads {', or '.join(ways)}")
    return following


@final
class Life:
    """The life of one node. It gives the sender the node's id, and closes the other parts.

    Args:
      sender: Learns the node's id.
      outbox: Closed when the output ends.
      table: Closed when the input ends.
      reaper: Closed when the input ends.
    """

    def __init__(self, sender: Sender, outbox: Outbox, table: PendingTable, reaper: Reaper) -> None:
        self.phase = Phase.NEW
        """The current phase."""
        self.is_closing = False
        """True in all phases from CLOSING and CUT_OFF on."""
        self.is_initialised = False
        """True when the hooks of ``on_init`` have ended; it stays True when the node closes."""
        self.identity: Identity | None = None
        """The ids from the ``init`` message; None before it. They stay when the node closes."""
        self.node_id = ""
        """The node's own id; empty before ``init``."""
        self._sender = sender
        self._outbox = outbox
        self._table = table
        self._reaper = reaper

    def on(
        self, transport: Transport, wrap: Callable[[Transport], Transport] | None
    ) -> AbstractAsyncContextManager[Transport]:
        """Open *transport*, in the wrapping of *wrap*, for the block. Close it after everything else.

        Entering returns the transport to use: the outermost one itself, whatever its ``__aenter__`` returns.
        """
        return _On(self, transport, wrap)

    def begin(self) -> None:
        """Enter BEFORE_INIT: the node begins to serve."""
        self._pass(Event.BEGIN)

    def end(self) -> None:
        """Enter ENDED: the transport is closed, or could not be opened."""
        self._pass(Event.END)
        self._close_rpcs()  # this has no effect if the input has ended before
        self._outbox.close()

    def begin_init(self, identity: Identity) -> None:
        """Enter IN_INIT: the node has learnt its *identity* from ``init``."""
        self._pass(Event.INIT)
        self._learn(identity)

    def finish_init(self) -> None:
        """Enter SERVING: all hooks have ended."""
        self._pass(Event.INIT_DONE)
        self.is_initialised = True

    def take_back_init(self) -> None:
        """Return to BEFORE_INIT: a hook failed, and ``init`` may be tried again."""
        self._pass(Event.INIT_FAILED)
        self._learn(None)

    def end_input(self) -> None:
        """Enter CLOSING or CLOSED: end all RPCs and refuse new ones, since no reply can come any more."""
        self._pass(Event.INPUT_ENDED)
        self._outbox.refuse_requests()
        self._close_rpcs()

    def end_output(self) -> None:
        """Enter CLOSED or CUT_OFF: send nothing more. The lines in the outbox can still be written."""
        self._pass(Event.OUTPUT_ENDED)
        self._outbox.close()

    def _close_rpcs(self) -> None:
        self._reaper.close()
        self._table.close()

    def _learn(self, identity: Identity | None) -> None:
        self.identity = identity
        self.node_id = self._sender.src = "" if identity is None else identity.node_id

    def _pass(self, event: Event) -> None:
        following = next_phase(self.phase, event)
        hooks_run = self.identity is not None and not self.is_initialised
        if (event is Event.INIT and self.identity is not None) or (event in _ENDS_OF_HOOKS and not hooks_run):
            raise RuntimeError(
                f"not possible in phase {self.phase.value!r}: {event.value}; this comes"
                f" {'only once' if event is Event.INIT else 'once after each init'}"
            )
        self.phase = following
        self.is_closing = self.phase in _CLOSING_PHASES


@final
class _On(AbstractAsyncContextManager[Transport]):
    """The block of `Life.on`. If this were a generator, the exception that ends the block would be in a cycle."""

    def __init__(self, life: Life, transport: Transport, wrap: Callable[[Transport], Transport] | None) -> None:
        self._life = life
        self._transport = transport
        self._wrap = wrap

    async def __aenter__(self) -> Transport:
        self._life.begin()
        try:
            if self._wrap is not None:
                self._transport = self._wrap(self._transport)
            await self._transport.__aenter__()
        except BaseException:
            self._life.end()
            raise
        return self._transport

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._transport.__aexit__(kind, error, traceback)
        except trio.Cancelled:
            if error is None or is_cancellation(error):
                raise  # otherwise failures that end the node together with its cancellation would be lost
        finally:
            self._life.end()
            del error, traceback  # otherwise this frame would be in a cycle with a second error that is raised here
