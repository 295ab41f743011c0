"""Errors: Maelstrom's codes, and the exceptions that carry them.

An error is *definite* if the operation certainly did not happen and never will; the sender may try it again. After any
other error, such as a timeout, the peer may or may not have acted. Maelstrom defines the codes and says which of them
are definite (its ``doc/protocol.md``, "Errors").
"""

from __future__ import annotations

import enum
import traceback
from collections.abc import Collection
from typing import Any, final

from .excerpts import bounded, excerpt


class ErrorCode(enum.IntEnum):
    """Maelstrom's error codes. Codes from `FIRST_USER_CODE` up are free for applications.

    Example:
      >>> ErrorCode(22), ErrorCode(22).label, ErrorCode(22).definite
      (<ErrorCode.PRECONDITION_FAILED: 22>, 'precondition-failed', True)
      >>> [code.label for code in ErrorCode if not code.definite]
      ['timeout', 'crash']
    """

    TIMEOUT = 0
    """The operation took too long; it may or may not happen."""
    NODE_NOT_FOUND = 1
    """The destination of the request does not exist."""
    NOT_SUPPORTED = 10
    """The node does not know this type of request."""
    TEMPORARILY_UNAVAILABLE = 11
    """The node cannot serve this now; try again later."""
    MALFORMED_REQUEST = 12
    """The request does not have the form that its type requires."""
    CRASH = 13
    """The node failed while it served the request; it may or may not have acted."""
    ABORT = 14
    """The operation was aborted and did not happen."""
    KEY_DOES_NOT_EXIST = 20
    """There is no such key."""
    KEY_ALREADY_EXISTS = 21
    """The key exists already."""
    PRECONDITION_FAILED = 22
    """A condition of the request, such as the ``from`` of a compare-and-set, does not hold."""
    TXN_CONFLICT = 30
    """The transaction conflicted with another one and did not happen."""

    @property
    def definite(self) -> bool:
        """True if the operation did not happen and never will."""
        return self not in (ErrorCode.TIMEOUT, ErrorCode.CRASH)

    @property
    def label(self) -> str:
        """The code's name as Maelstrom's documents write it, such as ``key-does-not-exist``."""
        return self.name.lower().replace("_", "-")


FIRST_USER_CODE = 1000
"""Codes from here up belong to the application."""


class MessengerError(Exception):
    """Base class of this library's own errors."""


@final
class StoreError(MessengerError):
    """A `FileStore` cannot be opened: another process uses it, its log is damaged, or the system refuses it.

    Args:
      directory: The directory of the store.
      reason: What is wrong, and what to do about it.

    Example:
      >>> with TemporaryDirectory() as directory, FileStore(directory):
      ...     try:
      ...         FileStore(directory)
      ...     except StoreError as error:
      ...         print(error)
      the store '/tmp/...' is in use by process ...; end that process, or use another directory
    """

    def __init__(self, directory: str, reason: str) -> None:
        super().__init__(directory, reason)  # positional, so that copy and pickle work
        self.directory = directory
        """The directory of the store."""
        self.reason = reason
        """What is wrong, and what to do about it."""

    def __str__(self) -> str:
        return f"the store {self.directory!r} {self.reason}"


@final
class LocalProtocolError(MessengerError):
    """This program tried to send something that the protocol cannot carry, such as NaN in a body.

    Nothing was sent, and the message did not use a ``msg_id``.

    Example:
      >>> async def main():
      ...     node = Node()
      ...     async with running(node):
      ...         try:
      ...             await node.send("n2", {"type": "load", "value": float("nan")})
      ...         except MessengerError as error:
      ...             print(type(error).__name__, error, sep=": ")
      >>> trio.run(main)
      LocalProtocolError: JSON has no number nan, found at body.value; use null or a string instead
    """


class RpcError(MessengerError):
    """A peer answered a request with an ``error`` body. If a handler raises it, the node answers with such a body.

    Args:
      code: An `ErrorCode`, or the application's own number from `FIRST_USER_CODE` up.
      text: One line for people.
      definite: For a code that Maelstrom does not define: True if the operation certainly did not happen (default:
        False). It is not part of the message: a receiver knows it from ``Node(definite_codes=...)``.

    Raises:
      TypeError: if *code* is not an integer.
      ValueError: if *definite* contradicts Maelstrom's definition of *code*.

    Example:
      >>> error = RpcError(ErrorCode.PRECONDITION_FAILED, "the value is 3")
      >>> str(error), error.definite
      ('precondition-failed (22): the value is 3', True)
      >>> error.to_body()
      {'type': 'error', 'code': 22, 'text': 'the value is 3'}
      >>> print(RpcError.from_exception(KeyError("x")))
      crash (13): KeyError: 'x'
      >>> reply = {"type": "error", "code": 1001, "text": "sold out"}
      >>> RpcError.from_body(reply).definite, RpcError.from_body(reply, definite_codes=[1001]).definite
      (False, True)
    """

    code: int
    """An `ErrorCode` if the number is one of Maelstrom's, otherwise the plain number."""
    definite: bool
    """True if the operation certainly did not happen and never will."""

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
        """Return the ``error`` body that reports this error to a peer: ``type``, ``code``, ``text``.

        If the text has more than 65,536 characters, the rest is left out. A peer refuses lines that are too long.
        """
        text = bounded(self.text).encode(errors="replace").decode()  # errors get through, even with lone surrogates
        return {"type": "error", "code": int(self.code), "text": text}

    @staticmethod
    def from_exception(error: Exception) -> RpcError:
        """Return the error that a node answers with when a handler raised *error*.

        A `RpcError` is returned as an equal `RpcError`. From a group of RPC errors only, as a nursery raises it, the
        least definite one is returned: a timeout before any other indefinite error, and an indefinite error before a
        definite one. Any other exception becomes `ErrorCode.CRASH` with one line of text.
        """
        error = unwrapped(error)
        if isinstance(error, RpcError):
            return RpcError(error.code, error.text, error.definite)
        # The text of a SyntaxError begins with indented lines that show its place. Notes come last.
        lines = "".join(traceback.format_exception_only(error)).splitlines()
        line = next(line for line in lines if not line.startswith(" "))
        if type(error).__module__ == RpcError.__module__:  # errors that the package exports go by their bare names
            line = line.removeprefix(f"{RpcError.__module__}.")
        return RpcError(ErrorCode.CRASH, bounded(line))

    @classmethod
    def from_body(cls, body: dict[str, Any], definite_codes: Collection[int] = ()) -> RpcError:
        """Return the error of an ``error`` *body* from the network, even if the body is malformed.

        If ``code`` is not an integer, nobody knows what happened. The error is then `ErrorCode.CRASH`, which is
        indefinite.

        Args:
          body: ``{"type": "error", "code": int, "text": str}``.
          definite_codes: The application's own codes that are definite.
        """
        code, text = body.get("code"), body.get("text", "")
        text = text if isinstance(text, str) else excerpt(text)
        if not isinstance(code, int) or isinstance(code, bool):
            return RpcError(ErrorCode.CRASH, f"the code of an error reply is {excerpt(code)}, not an integer: {text}")
        return RpcError(code, text, True if code >= FIRST_USER_CODE and code in definite_codes else None)


@final
class RemoteProtocolError(RpcError):
    """A peer or service sent a reply that does not have the required form.

    Its code is `ErrorCode.CRASH`, which is indefinite: the peer may have acted on the request.
    """

    def __init__(self, text: str) -> None:
        super().__init__(ErrorCode.CRASH, text)

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteProtocolError, (self.text,), self.__dict__

    def __str__(self) -> str:
        return self.text


def unwrapped(error: Exception) -> Exception:
    """Return the error that stands for an exception group: its only error, or the least definite of RPC errors only.

    Any other group and any other exception is returned unchanged. The result does not depend on the order of errors in
    the group, which depends on the order of tasks.
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
    """Every attempt of an RPC failed, each with an error that permits another attempt.

    Definite (code 11) if the peer refused every attempt. Indefinite (code 0) if an attempt timed out: the peer may have
    acted on it.
    """

    attempts: int
    """How many times the request was sent."""
    last: RpcError
    """The error of the last attempt; also the exception's ``__cause__``."""

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
    """Too many nodes failed or refused, so the others cannot make a quorum.

    Indefinite: the nodes that answered have acted.
    """

    need: int
    """How many replies were needed."""
    replies: dict[str, Any]
    """The replies that came and were accepted, by node."""
    errors: dict[str, RpcError]
    """The errors so far, by node."""
    refused: dict[str, Any]
    """The replies that were not accepted, by node."""

    def __init__(
        self, need: int, replies: dict[str, Any], errors: dict[str, RpcError], refused: dict[str, Any] | None = None
    ) -> None:
        self.need, self.replies, self.errors, self.refused = need, replies, errors, refused or {}
        failed = [f"{node}: {error}" for node, error in errors.items()]
        failed += [f"{node}: not accepted: {excerpt(reply)}" for node, reply in self.refused.items()]
        super().__init__(ErrorCode.TIMEOUT, f"{len(replies)} of the {need} replies needed; {'; '.join(failed)}")

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return QuorumNotReached, (self.need, self.replies, self.errors, self.refused), self.__dict__


@final
class RpcTimeout(RpcError):
    """No reply arrived before the deadline; the peer may or may not have acted.

    If a handler does not catch it, the node answers the request with error 0, which means the same.

    Example:
      >>> async def main():
      ...     node = Node(rpc_timeout=2)
      ...     async with running(node):
      ...         try:
      ...             await node.rpc("n2", {"type": "ping"})
      ...         except RpcTimeout as error:
      ...             print(error, error.dest, error.definite, sep="; ")
      >>> trio.run(main, clock=MockClock(autojump_threshold=0))  # in virtual time
      no reply from 'n2' to msg_id 1 within 2 s; n2; False
    """

    dest: str
    """The node that was asked."""
    msg_id: int
    """The ``msg_id`` of the request."""
    seconds: float
    """The timeout of the RPC, in seconds."""

    code: int = ErrorCode.TIMEOUT
    definite: bool = False

    def __init__(self, dest: str, msg_id: int, seconds: float) -> None:
        Exception.__init__(self, dest, msg_id, seconds)  # many RPCs expire at once, so the text is made only on demand
        self.dest, self.msg_id, self.seconds = dest, msg_id, seconds

    @property
    def text(self) -> str:
        """The text of the error."""
        return f"no reply from {self.dest!r} to msg_id {self.msg_id} within {self.seconds:g} s"

    def __str__(self) -> str:
        return self.text
