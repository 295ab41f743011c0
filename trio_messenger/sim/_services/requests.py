"""The requests of key-value services, and their outcomes.

lin-kv, seq-kv and lww-kv accept the same three requests, each for one key. This module computes the outcome of a
request from the value of its key. Each service then only chooses the state to read, and stores the result.

The services store keys and values as JSON, and compare them in canonical form (`canonical`): ``1``, ``"1"``, ``true``
and ``1.0`` are four keys, as in Maelstrom. A read returns the value that was written, except that the order of an
object's fields may differ. Stored values share no objects with requests or replies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar, NamedTuple, TypeAlias, final

import msgspec

from trio_messenger import Body, ErrorCode, RpcError

from .._records.canonical import Json, as_json, canonical, from_json
from .._records.cut_texts import cut_text


class Answer(NamedTuple):
    """The outcome of a request for a given value of its key."""

    reply: Body
    """The body of the reply."""
    stores: Json | None = None
    """The new value of the key, possibly equal to the old one; None if the request writes nothing."""


@final
class Read(msgspec.Struct, frozen=True, gc=False):
    """Reads a key."""

    key: Json
    """The key, in canonical form."""

    def on(self, held: Json | None) -> Answer:
        """Return the outcome if the key has the value *held*, or does not exist (None)."""
        return _missing(self.key) if held is None else Answer({"type": "read_ok", "value": from_json(held)})


@final
class Write(msgspec.Struct, frozen=True, gc=False):
    """Writes a key."""

    key: Json
    """The key, in canonical form."""
    value: Json
    """The new value."""

    def on(self, _: Json | None) -> Answer:
        """Return the outcome, which does not depend on the current value."""
        return Answer({"type": "write_ok"}, self.value)


@final
class Cas(msgspec.Struct, frozen=True, gc=False):
    """Compares and sets a key."""

    key: Json
    """The key, in canonical form."""
    expected: Json
    """The value that the key must have."""
    value: Json
    """The new value."""
    create: bool
    """Whether a key that does not exist is created, regardless of `expected`."""

    def on(self, held: Json | None) -> Answer:
        """Return the outcome if the key has the value *held*, or does not exist (None)."""
        if held is None and not self.create:
            return _missing(self.key)
        if held is not None and not same(held, self.expected):
            text = f"current value {_cut(held)} is not {_cut(self.expected)}"
            return Answer(_error(ErrorCode.PRECONDITION_FAILED, text))
        return Answer({"type": "cas_ok"}, self.value)


KvRequest: TypeAlias = Read | Write | Cas
"""A request to a key-value service."""


class KeyValueService(ABC):
    """The common part of the key-value services: a `SimulatedService` without its states."""

    name: ClassVar[str]
    """The id of the service, to which nodes send requests."""
    creates: ClassVar[bool] = True
    """Whether it supports ``create_if_not_exists``."""

    def __init__(self) -> None:
        self._age = 0

    @property
    def age(self) -> int:
        """See `SimulatedService.age`."""
        return self._age

    @final
    def handle(self, src: str, body: Body) -> Body | None:
        """Serve one request; see `SimulatedService.handle`."""
        self._age = 0
        try:
            request = read_request(body, creates=self.creates)
            if request is None:
                return unsupported(body, self.name, ("read", "write", "cas"))
            return self._serve(src, request)
        except RpcError as exc:
            return exc.to_body()
        except RecursionError:  # the decoder of messages usually fails first, but not at every depth of the stack
            return _error(ErrorCode.MALFORMED_REQUEST, f"malformed {body['type']!r} request: it is nested too deeply")

    @abstractmethod
    def _serve(self, src: str, request: KvRequest) -> Body:
        """Serve *request* of node *src*. Store nothing before its ``on`` has returned.

        Set ``_age`` if the reply comes from an old state, in which the key had a different value than it has now.
        """


def read_request(body: Body, *, creates: bool) -> KvRequest | None:
    """Return the request in *body*; None if it has another type.

    Args:
      body: The body of a message.
      creates: Whether the service supports ``create_if_not_exists``.

    Raises:
      RpcError: if a field is missing.
    """
    match body.get("type"):
        case "read":
            return Read(_key(body))
        case "write":
            return Write(_key(body), _field(body, "value"))
        case "cas":
            create = body.get("create_if_not_exists")  # as in Clojure, 0 and "" are true
            values = _key(body), _field(body, "from"), _field(body, "to")
            return Cas(*values, creates and create is not None and create is not False)
    return None


def unsupported(body: Body, service: str, types: Collection[str]) -> Body | None:
    """Return the reply of *service* to a body whose type is not in *types*, the types that it handles.

    Returns None for an error or any other reply. If services answered those, two of them could do so without end.
    """
    kind = body.get("type")
    if kind == "error" or "in_reply_to" in body:
        return None
    if not isinstance(kind, str):
        return _error(ErrorCode.MALFORMED_REQUEST, "malformed request: its `type` must be a string")
    return _error(ErrorCode.NOT_SUPPORTED, f"{service} does not handle {kind!r:.80}; it handles {', '.join(types)}")


def same(some: Json | None, other: Json | None) -> bool:
    """Tell whether two values are equal, or both are None."""
    return some == other or (some is not None and other is not None and canonical(some) == canonical(other))


def _key(body: Body) -> Json:
    return canonical(_field(body, "key"))


def _field(body: Body, name: str) -> Json:
    try:
        return as_json(body[name])
    except KeyError:
        raise _malformed(body, f"Object missing required field `{name}`") from None


def _malformed(body: Body, reason: str) -> RpcError:
    return RpcError(ErrorCode.MALFORMED_REQUEST, f"malformed {body['type']!r} request: {reason}")


def _missing(key: Json) -> Answer:
    return Answer(_error(ErrorCode.KEY_DOES_NOT_EXIST, f"key does not exist: {_cut(key)}"))


def _error(code: ErrorCode, text: str) -> Body:
    return {"type": "error", "code": int(code), "text": text}


def _cut(value: Json) -> str:
    return cut_text(value.decode())
