"""The error vocabulary: Maelstrom's codes, and the exceptions that carry them.

An error is *definite* when the operation surely did not happen and never will, so that it may be
tried again. Anything else, a timeout above all, leaves open whether the peer acted. Codes and their
definiteness are Maelstrom's (its ``doc/protocol.md``, "Errors").
"""

from __future__ import annotations

import enum
import traceback
from collections.abc import Collection
from typing import Any, final


class ErrorCode(enum.IntEnum):
    """Maelstrom's error codes. Codes from `FIRST_USER_CODE` up are free for applications."""

    TIMEOUT = 0
    """The operation took too long; it may or may not happen."""
    NODE_NOT_FOUND = 1
    """The destination of the request is not there."""
    NOT_SUPPORTED = 10
    """The node does not know this type of request."""
    TEMPORARILY_UNAVAILABLE = 11
    """The node cannot serve this now; try again later."""
    MALFORMED_REQUEST = 12
    """The request does not have the form that its type demands."""
    CRASH = 13
    """The node failed while it served the request; it may or may not have acted."""
    ABORT = 14
    """The operation was given up and did not happen."""
    KEY_DOES_NOT_EXIST = 20
    """There is no such key."""
    KEY_ALREADY_EXISTS = 21
    """The key is there already."""
    PRECONDITION_FAILED = 22
    """A condition of the request, such as the ``from`` of a compare-and-set, does not hold."""
    TXN_CONFLICT = 30
    """The transaction lost against another one and did not happen."""

    @property
    def definite(self) -> bool:
        """True when this code says that the operation did not and will not happen."""
        return self not in (ErrorCode.TIMEOUT, ErrorCode.CRASH)

    @property
    def label(self) -> str:
        """The code's name as Maelstrom's documents write it, such as ``key-does-not-exist``."""
        return self.name.lower().replace("_", "-")


_EXCERPT = 120
"""Characters of a peer's value that go into a text: enough to recognise it."""


def excerpt(value: object) -> str:
    """Return the beginning of the ``repr`` of *value*, which may come from a peer: as deep or as long as it likes."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply; an integer with more digits than Python converts
        return f"an unprintable {type(value).__name__}"
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


FIRST_USER_CODE = 1000
"""Codes from here up are the application's own."""


class MessengerError(Exception):
    """Base class of the errors that this library raises for its own reasons."""


@final
class LocalProtocolError(MessengerError):
    """This program asked for something that the protocol cannot carry, such as NaN in a body.

    Nothing was sent: the message did not use up a ``msg_id``.
    """


@final
class RemoteProtocolError(MessengerError):
    """A peer or service sent something that does not have the form its kind demands."""


class RpcError(MessengerError):
    """A peer answered a request with an ``error`` body; or, raised in a handler, is to be answered so.

    Args:
      code: An `ErrorCode`, or the application's own number from `FIRST_USER_CODE` up.
      text: One line for people.
      definite: For a code that Maelstrom does not define: whether it means that the operation surely did
        not happen (default: no). It does not travel: a receiver learns it from ``Node(definite_codes=...)``.

    Raises:
      ValueError: if *definite* contradicts what Maelstrom says of *code*.
    """

    code: int
    """An `ErrorCode` where the number is one of Maelstrom's, else the plain number."""
    definite: bool
    """True if the operation surely did not happen and will not."""

    def __init__(self, code: int, text: str = "", definite: bool | None = None) -> None:
        if not isinstance(code, int) or isinstance(code, bool):
            raise TypeError(f"the code of an RpcError is an integer, not {code!r:.80}; the text comes second")
        super().__init__(code, text, definite)  # positional, so that copy and pickle work
        self._text = str(text)
        try:
            self.code = known = ErrorCode(code)
        except ValueError:
            self.code = code
            self.definite = bool(definite)
            return
        if definite is not None and definite != known.definite:
            kind = "definite" if known.definite else "indefinite"
            raise ValueError(f"error code {code} ({known.label}) is {kind} by the protocol; leave 'definite' out")
        self.definite = known.definite

    @property
    def text(self) -> str:
        """The text of the error; empty if the peer sent none."""
        return self._text

    def __str__(self) -> str:
        label = self.code.label if isinstance(self.code, ErrorCode) else "application error"
        return f"{label} ({int(self.code)}): {self.text}" if self.text else f"{label} ({int(self.code)})"

    def to_body(self) -> dict[str, Any]:
        """Return the ``error`` body that tells a peer of this error: ``type``, ``code``, ``text``."""
        text = self.text.encode(errors="replace").decode()  # an error must get through, half characters or not
        return {"type": "error", "code": int(self.code), "text": text}

    @staticmethod
    def from_exception(error: Exception) -> RpcError:
        """Return the error that a requester is told when its handler raised *error*.

        A `RpcError` is told as it is. Of a group that holds nothing but RPC errors, as a nursery raises it, the least
        definite one is told: a timeout before any other indefinite error, and an indefinite error before a definite
        one. Anything else is told as `ErrorCode.CRASH` with one line of text.
        """
        error = unwrapped(error)
        if isinstance(error, RpcError):
            return RpcError(error.code, error.text, error.definite)
        # A SyntaxError comes with the lines of its place first, which are indented; notes come last.
        lines = "".join(traceback.format_exception_only(error)).splitlines()
        line = next(line for line in lines if not line.startswith(" "))
        return RpcError(ErrorCode.CRASH, line.removeprefix(f"{__name__}."))  # where our own are defined is private

    @classmethod
    def from_body(cls, body: dict[str, Any], definite_codes: Collection[int] = ()) -> RpcError:
        """Read an ``error`` *body* from the network, whatever state it is in.

        A body whose ``code`` is no integer says nothing about what happened: it becomes `ErrorCode.CRASH`,
        which is indefinite.

        Args:
          body: ``{"type": "error", "code": int, "text": str}``.
          definite_codes: The application's own codes that are definite.
        """
        code, text = body.get("code"), body.get("text", "")
        text = text if isinstance(text, str) else excerpt(text)
        if not isinstance(code, int) or isinstance(code, bool):
            return RpcError(ErrorCode.CRASH, f"error reply with the code {excerpt(code)}, which is no integer: {text}")
        return RpcError(code, text, True if code >= FIRST_USER_CODE and code in definite_codes else None)


def unwrapped(error: Exception) -> Exception:
    """Return what an exception group tells a requester: its only error or, of RPC errors alone, the least definite.

    Any other group, and what is no group, is returned as it is. The order in which a group lists its errors, which
    depends on the order of tasks, does not matter.
    """
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if not isinstance(error, ExceptionGroup) or error.split(RpcError)[1] is not None:
        return error
    waiting: list[Exception] = [error]
    errors: list[RpcError] = []
    while waiting:
        exc = waiting.pop()
        if isinstance(exc, ExceptionGroup):
            waiting += exc.exceptions
        else:
            assert isinstance(exc, RpcError)  # the group holds nothing else
            errors.append(exc)
    return min(errors, key=lambda exc: (exc.definite, exc.code != ErrorCode.TIMEOUT, exc.code, exc.text))


@final
class RetriesExhausted(RpcError):
    """Every attempt of an RPC failed in a way that may be tried again.

    Definite (code 11) if every attempt was refused; if one timed out, indefinite (code 0): it may have been acted on.
    """

    attempts: int
    """How many times the request was sent."""
    last: RpcError
    """What the last attempt failed with; also the exception's ``__cause__``."""

    def __init__(self, attempts: int, last: RpcError, definite: bool) -> None:
        code = ErrorCode.TEMPORARILY_UNAVAILABLE if definite else ErrorCode.TIMEOUT
        super().__init__(code, f"RPC failed after {attempts} attempt{'' if attempts == 1 else 's'}: {last}")
        self.attempts, self.last = attempts, last

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return RetriesExhausted, (self.attempts, self.last, self.definite)


@final
class QuorumNotReached(RpcError):
    """Too many nodes failed to answer for the rest to make a quorum. Indefinite: those who answered have acted."""

    need: int
    """How many replies were needed."""
    replies: dict[str, dict[str, Any]]
    """The replies that came, by node."""
    errors: dict[str, RpcError]
    """What the other nodes failed with, as far as they had."""

    def __init__(self, need: int, replies: dict[str, dict[str, Any]], errors: dict[str, RpcError]) -> None:
        failed = "; ".join(f"{node}: {error}" for node, error in errors.items())
        super().__init__(ErrorCode.TIMEOUT, f"{len(replies)} of the {need} replies needed; {failed}")
        self.need, self.replies, self.errors = need, replies, errors

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return QuorumNotReached, (self.need, self.replies, self.errors)


@final
class RpcTimeout(RpcError):
    """No reply arrived before the deadline; the peer may or may not have acted.

    A handler that lets it pass answers its own requester with error 0, which says the same.
    """

    dest: str
    """The node that was asked."""
    msg_id: int
    """The ``msg_id`` of the request."""
    seconds: float
    """How long the reply was waited for, in seconds."""

    code: int = ErrorCode.TIMEOUT
    definite: bool = False

    def __init__(self, dest: str, msg_id: int, seconds: float) -> None:
        Exception.__init__(self, dest, msg_id, seconds)  # many expire at once: the text is made when it is asked for
        self.dest, self.msg_id, self.seconds = dest, msg_id, seconds

    @property
    def text(self) -> str:
        """The text of the error."""
        return f"no reply from {self.dest!r} to msg_id {self.msg_id} within {self.seconds:g} s"

    def __str__(self) -> str:
        return self.text
