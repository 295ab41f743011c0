"""The records of the protocol: messages, requests and bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeGuard, cast, final

import attrs
import msgspec

from .errors import ErrorCode, LocalProtocolError, RpcError
from .records import body_of

Body: TypeAlias = dict[str, Any]
"""A message body: ``type``, the fields of that type, and the reserved ``msg_id`` and ``in_reply_to``."""


class Message(msgspec.Struct, gc=False):
    """One message as it came from the network. Its body has not been checked yet.

    Like `Request`, this is a msgspec struct that the garbage collector does not track. One is made for each message,
    at half the cost of an attrs record. Its contents come from JSON, so they have no cycles.

    Example:
      >>> Message(src="c1", dest="n1", body={"type": "ping", "msg_id": 1})
      Message(src='c1', dest='n1', body={'type': 'ping', 'msg_id': 1})
    """

    src: str
    """The id of the sender."""
    dest: str
    """The id of the receiver."""
    body: Body
    """The body, as decoded from JSON."""


@final
class MalformedMessage(Message, gc=False):
    r"""A line that is not a message.

    ``src`` and ``dest`` are empty if they could not be read. The body contains only reserved keys, as far as they could
    be read. This is enough to answer the sender, and never enough to look like a request.

    Example:
      >>> async def main():
      ...     here, there = memory_transport_pair()
      ...     await here.send_bytes(b'{"src": "c1", "dest": 5}\n')
      ...     [message] = await there.receive()
      ...     print(message.reason, message.excerpt, sep=": ")
      >>> trio.run(main)
      Expected `str`, got `int` - at `$.dest`: {"src": "c1", "dest": 5}
    """

    reason: str
    """What is wrong with the line, in one line of text."""
    excerpt: str
    """The first characters of the line, escaped to ASCII."""


@final
class Request(msgspec.Struct, gc=False, eq=False):
    """A message for a handler.

    Example:
      >>> node = Node()
      >>> @node.on("greet")
      ... def greet(request):
      ...     return {"text": f"hello {request.require('name')}, you are {request.src}"}
      >>> async def main():
      ...     async with running(node) as network:
      ...         print((await network.request("greet", name="Ada"))["text"])
      ...         print((await network.request("greet"))["text"])
      >>> trio.run(main)
      hello Ada, you are c1
      malformed 'greet' request: Object missing required field `name`
    """

    src: str
    """The id of the node or client that sent it."""
    dest: str
    """The id of the node that receives it: this node."""
    type: str
    """The type of the body."""
    msg_id: int | None
    """The number that the reply carries as ``in_reply_to``; None if the sender wants no reply."""
    body: Body
    """The whole body, reserved keys included."""
    received_at: float
    """The time when it was read, in seconds on Trio's clock."""

    def require(self, field: str) -> Any:
        """Return the value of *field* of the body, of any type. Costs less than an attrs class, and checks less.

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
    """The ids of a node and its cluster, from the ``init`` message.

    Example:
      >>> node = Node()
      >>> @node.on_init
      ... def show():
      ...     print(node.identity)
      >>> async def main():
      ...     async with running(node, node_id="n2", node_ids=["n1", "n2"]):
      ...         pass
      >>> trio.run(main)
      Identity(node_id='n2', node_ids=('n1', 'n2'))
    """

    node_id: str
    """The node's own id."""
    node_ids: tuple[str, ...]
    """The ids of all nodes of the cluster, this one included, in the order of the ``init`` message."""


def is_id(value: object) -> TypeGuard[int]:
    """Tell whether *value* can be a ``msg_id``. 0 can; JSON's ``true`` cannot, though Python calls it an int."""
    return isinstance(value, int) and not isinstance(value, bool)


def as_body(value: object) -> Mapping[str, Any]:
    """Return *value* as a body: a mapping unchanged, a record as a dict of its fields in their order.

    Raises:
      LocalProtocolError: if it is neither.
    """
    record_class: type[Any] = type(value)
    if record_class is dict or isinstance(value, Mapping):  # isinstance is slow for a dict
        return cast("Mapping[str, Any]", value)
    body = body_of(value)
    if body is None:
        raise LocalProtocolError(f"a body is a dict or a record, not {record_class.__name__}: {value!r:.80}")
    return body


def check_dest(dest: object) -> None:
    """Raise `LocalProtocolError` unless *dest* can be the id of a node: a string without lone surrogates."""
    if not isinstance(dest, str):
        raise LocalProtocolError(f"dest is the id of a node, a string, not {dest!r:.80}")
    if not dest.isascii():
        try:
            dest.encode()
        except UnicodeEncodeError as exc:
            raise LocalProtocolError(f"dest {dest!r:.80} is not valid text: {exc}") from None


def can_be_sent(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    """Check, as an attrs validator, that a field holds a body that can be sent: a dict with a ``type``.

    Raises:
      ValueError: if it does not. In the body class of a handler, this becomes an answer with error 12.

    Example:
      >>> @attrs.frozen
      ... class Forward:
      ...     inner: dict = attrs.field(validator=can_be_sent)
      >>> Forward({"type": "ping"})
      Forward(inner={'type': 'ping'})
      >>> Forward({"x": 1})
      Traceback (most recent call last):
        ...
      ValueError: Expected a `type` that is a string in `$.inner`, got {'x': 1}
    """
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise ValueError(f"Expected a `type` that is a string in `$.{field.name}`, got {value!r:.80}")


def request_parts(value: object) -> tuple[str, Body]:
    """Return the type and the other fields of the body of a message that is not a reply.

    The function ignores reserved keys in *value*, since the node sets them. *value* does not change.

    Raises:
      LocalProtocolError: if *value* is not a body, or has no ``type`` that is a string.
    """
    fields = _without_reserved(value)
    msg_type = fields.pop("type", None)
    if not isinstance(msg_type, str):
        raise LocalProtocolError(f"a body needs a 'type' that is a string: {dict(as_body(value))!r:.80}")
    return msg_type, fields


def reply_parts(value: object, default_type: str) -> tuple[str, Body]:
    """Return the type and the other fields of the body of a reply, as `request_parts` does.

    Args:
      value: A dict or a record.
      default_type: The type of the reply if *value* has none.

    Raises:
      LocalProtocolError: if *value* is not a body, or its ``type`` is not a string.
    """
    if type(value) is dict and not ("type" in value or "in_reply_to" in value or "msg_id" in value):
        return default_type, value  # this covers most replies, and saves a copy
    fields = _without_reserved(value)
    msg_type = fields.pop("type", default_type)
    if not isinstance(msg_type, str):
        raise LocalProtocolError(f"the 'type' of a body is a string, not {msg_type!r:.80}")
    return msg_type, fields


def _without_reserved(value: object) -> Body:
    """Return a copy of a body without the reserved keys."""
    fields = value.copy() if type(value) is dict else dict(as_body(value))
    if "in_reply_to" in fields or "msg_id" in fields:
        fields.pop("in_reply_to", None)
        fields.pop("msg_id", None)
    return fields
