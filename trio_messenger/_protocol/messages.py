"""The words of the protocol: messages, requests, and the bodies a node builds from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeGuard, cast, final

import attrs
import msgspec

from .errors import ErrorCode, LocalProtocolError, RpcError

Body: TypeAlias = dict[str, Any]
"""A message body: ``type``, the fields of that type, and the reserved ``msg_id`` and ``in_reply_to``."""


class Message(msgspec.Struct, gc=False):
    """One message as it came from the network. What its body holds is not yet known to make sense.

    Like `Request`, a msgspec struct that the garbage collector does not track: it is made for each message, at half
    the cost of an attrs record, and what it holds came from JSON and has no cycles.
    """

    src: str
    """The id of the sender."""
    dest: str
    """The id of the receiver."""
    body: Body
    """The body, as decoded from JSON."""


@final
class MalformedMessage(Message, gc=False):
    """A line that is no message.

    ``src`` and ``dest`` are empty where they could not be read, and of the body only the reserved keys
    that could be read are there: enough to answer the sender, never enough to be taken for a request.
    """

    reason: str
    """What is wrong with it, in one line."""
    excerpt: str
    """The first characters of the line, escaped to ASCII."""


@final
class Request(msgspec.Struct, gc=False, eq=False):
    """A message that a handler is to serve."""

    src: str
    """The id of the node or client that asks."""
    dest: str
    """The id of the node that is asked: this one's."""
    type: str
    """The type of the body."""
    msg_id: int | None
    """What the reply will carry as ``in_reply_to``; None if the sender wants no reply."""
    body: Body
    """The whole body, reserved keys included."""
    received_at: float
    """When it was read, in seconds on Trio's clock."""

    def require(self, field: str) -> Any:
        """Return the value of *field* of the body, whatever its type; the cheap way where an attrs class says too much.

        Raises:
          RpcError: with `ErrorCode.MALFORMED_REQUEST`, if the body has no such field.
        """
        try:
            return self.body[field]
        except KeyError:
            text = f"malformed {self.type!r} request: Object missing required field `{field}`"
            raise RpcError(ErrorCode.MALFORMED_REQUEST, text) from None


@final
@attrs.frozen
class Identity:
    """Who a node is: what ``init`` told it."""

    node_id: str
    """The node's own id."""
    node_ids: tuple[str, ...]
    """The ids of all nodes of the cluster, this one among them, in the order of the ``init`` message."""


def is_id(value: object) -> TypeGuard[int]:
    """Tell whether *value* can be a ``msg_id``. 0 can; JSON's ``true`` cannot, though Python calls it an int."""
    return isinstance(value, int) and not isinstance(value, bool)


def as_body(value: object) -> Mapping[str, Any]:
    """Return *value* as a body: a mapping as it is, an attrs record as its fields in their order.

    Raises:
      LocalProtocolError: if it is neither.
    """
    record_class: type[Any] = type(value)
    if record_class is dict or isinstance(value, Mapping):  # to ask whether a dict is a Mapping takes a while
        return cast("Mapping[str, Any]", value)
    if attrs.has(record_class):
        return {field.name: getattr(value, field.name) for field in attrs.fields(record_class)}
    raise LocalProtocolError(f"a body is a dict or an attrs record, not {record_class.__name__}: {value!r:.80}")


def check_dest(dest: object) -> None:
    """Raise `LocalProtocolError` unless *dest* can be the id of a node: a string without half characters."""
    if not isinstance(dest, str):
        raise LocalProtocolError(f"dest is the id of a node, a string, not {dest!r:.80}")
    if not dest.isascii():
        try:
            dest.encode()
        except UnicodeEncodeError as exc:
            raise LocalProtocolError(f"dest {dest!r:.80} is no text: {exc}") from None


def can_be_sent(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    """Validate, as an attrs validator, that a field holds a body to send on: a dict with a ``type``.

    Raises:
      ValueError: if it does not. In the body class of a handler, that is answered with error 12.
    """
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise ValueError(f"Expected a `type` that is a string in `$.{field.name}`, got {value!r:.80}")


def request_body(value: object, msg_id: int) -> Body:
    """Return a new body that asks or tells something: ``type``, the fields of *value*, ``msg_id``.

    Reserved keys that *value* brings along are left out, since they are the node's; *value* stays as it is.

    Raises:
      LocalProtocolError: if *value* is no body, or has no ``type`` that is a string.
    """
    fields = as_body(value)
    if not isinstance(fields.get("type"), str):
        raise LocalProtocolError(f"a body needs a 'type' that is a string: {dict(fields)!r:.80}")
    return {"type": fields["type"], **_without_reserved(fields), "msg_id": msg_id}


def reply_body(value: object, default_type: str, in_reply_to: int, msg_id: int) -> Body:
    """Return a new body that answers: ``type``, the fields of *value*, ``in_reply_to``, ``msg_id``.

    Args:
      value: A dict or an attrs record; without a ``type`` of its own it gets *default_type*.
      default_type: Used where *value* names no type.
      in_reply_to: The ``msg_id`` of the request.
      msg_id: This message's own number.

    Raises:
      LocalProtocolError: if *value* is no body, or its ``type`` is no string.
    """
    fields = _without_reserved(as_body(value))
    if "type" in fields and not isinstance(fields["type"], str):
        raise LocalProtocolError(f"the 'type' of a body is a string, not {fields['type']!r:.80}")
    return {"type": default_type, **fields, "in_reply_to": in_reply_to, "msg_id": msg_id}


def _without_reserved(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if "in_reply_to" in fields or "msg_id" in fields:
        return {key: value for key, value in fields.items() if key not in ("in_reply_to", "msg_id")}
    return fields
