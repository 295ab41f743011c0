"""What may be asked of a key-value service, and what the value of one key answers to it.

lin-kv, seq-kv and lww-kv know the same three requests, and each of these concerns one key. So here is all that a
request makes of what that key holds; a service is left with which state to ask, and what to keep.

Keys and values are kept as JSON, and compared in its canonical form (`canonical`): ``1``, ``"1"``, ``true`` and
``1.0`` are four keys, as for Maelstrom. A value is read back as it was written, but for the order of an object's
fields. Nothing that is kept is shared with whoever wrote or reads it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar, Final, NamedTuple, TypeAlias, final

import msgspec

from trio_messenger import Body, ErrorCode, RpcError

from .._records.canonical import Json, as_json, canonical, from_json

_EXCERPT: Final = 120
"""Characters of a value that go into the text of an error: enough to recognise it."""


class Outcome(NamedTuple):
    """What a request comes to, given what its key holds."""

    reply: Body
    """The body of the reply."""
    stores: Json | None = None
    """What the key is to hold from now on, the same as before perhaps; None if the request writes nothing."""


@final
class Read(msgspec.Struct, frozen=True, gc=False):
    """Asks for the value of a key."""

    key: Json
    """The key, in its canonical form."""

    def on(self, held: Json | None) -> Outcome:
        """Return the outcome where the key holds *held*, None if it does not exist."""
        return _missing(self.key) if held is None else Outcome({"type": "read_ok", "value": from_json(held)})


@final
class Write(msgspec.Struct, frozen=True, gc=False):
    """Sets a key."""

    key: Json
    """The key, in its canonical form."""
    value: Json
    """What it becomes."""

    def on(self, _: Json | None) -> Outcome:
        """Return the outcome, which is the same whatever the key holds."""
        return Outcome({"type": "write_ok"}, self.value)


@final
class Cas(msgspec.Struct, frozen=True, gc=False):
    """Compares and sets a key."""

    key: Json
    """The key, in its canonical form."""
    expected: Json
    """What it must hold."""
    value: Json
    """What it becomes."""
    create: bool
    """Whether it is also set if it does not exist, whatever is expected."""

    def on(self, held: Json | None) -> Outcome:
        """Return the outcome where the key holds *held*, None if it does not exist."""
        if held is None and not self.create:
            return _missing(self.key)
        if held is not None and not same(held, self.expected):
            text = f"current value {_excerpt(held)} is not {_excerpt(self.expected)}"
            return Outcome(_error(ErrorCode.PRECONDITION_FAILED, text))
        return Outcome({"type": "cas_ok"}, self.value)


KvRequest: TypeAlias = Read | Write | Cas
"""What a key-value service can be asked."""


class KeyValueService(ABC):
    """A key-value service, but for its states; a `Service`."""

    name: ClassVar[str]
    """Its id, by which nodes send to it."""
    creates: ClassVar[bool] = True
    """Whether it knows ``create_if_not_exists``."""

    def __init__(self) -> None:
        self._age = 0

    @property
    def age(self) -> int:
        """See `Service.age`."""
        return self._age

    @final
    def handle(self, src: str, body: Body) -> Body | None:
        """Serve one request, as `Service.handle`."""
        self._age = 0
        try:
            request = self._read(body)
            if request is None:
                return unsupported(body, self.name, ("read", "write", "cas"))
            return self._serve(src, request)
        except RpcError as exc:
            return exc.to_body()
        except RecursionError:  # that of the decoder of messages is met a little earlier, but not from every stack
            return _error(ErrorCode.MALFORMED_REQUEST, f"malformed {body['type']!r} request: it is nested too deeply")

    @abstractmethod
    def _serve(self, src: str, request: KvRequest) -> Body:
        """Serve *request* of node *src*. Nothing may be stored before its ``on`` has returned.

        Sets ``_age`` if the reply is from an old state, in which the key was another one than it is now.
        """

    def _read(self, body: Body) -> KvRequest | None:
        match body.get("type"):
            case "read":
                return Read(_key(body))
            case "write":
                return Write(_key(body), _field(body, "value"))
            case "cas":
                create = body.get("create_if_not_exists")  # Clojure's truth: 0 and "" are true
                values = _key(body), _field(body, "from"), _field(body, "to")
                return Cas(*values, self.creates and create is not None and create is not False)
        return None


def unsupported(body: Body, service: str, types: Collection[str]) -> Body | None:
    """Return the answer to a body of a type that *service* does not know; it knows *types*.

    None for an error and for any other reply: were those answered, two that do so would never stop.
    """
    kind = body.get("type")
    if kind == "error" or "in_reply_to" in body:
        return None
    if not isinstance(kind, str):
        return _error(ErrorCode.MALFORMED_REQUEST, "malformed request: its `type` is to be a string")
    return _error(ErrorCode.NOT_SUPPORTED, f"{service} does not handle {kind!r:.80}; it handles {', '.join(types)}")


def same(some: Json | None, other: Json | None) -> bool:
    """Tell whether two values are the same, or neither is there."""
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


def _missing(key: Json) -> Outcome:
    return Outcome(_error(ErrorCode.KEY_DOES_NOT_EXIST, f"key does not exist: {_excerpt(key)}"))


def _error(code: ErrorCode, text: str) -> Body:
    return {"type": "error", "code": int(code), "text": text}


def _excerpt(value: Json) -> str:
    text = value.decode()
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."
