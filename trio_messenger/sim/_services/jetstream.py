"""lin-kv, seq-kv and lin-tso for nodes on NATS: their state is in JetStream, so several processes may serve it.

JetStream stores the messages of a stream and numbers them. In a NATS cluster, servers keep replicas of a stream, and a
message is stored once a majority has it. A stream whose subjects keep one message each is a key-value store, a bucket
in NATS's words. A message may name the number (the revision) that the last message of its subject must have, and the
stream refuses it otherwise. The stream decides this where it stores the message, in one order for all.

So each request is one conditional write: read the key and its revision, compute the outcome, and write the new value
on condition that the revision is the same. **Reads and failed compare-and-sets write as well**: the old value, or a
mark that the key has no value. Without that write, a read would be wrong now and then: for some seconds after it has
lost its majority, a server believes that it leads the stream, and answers with old values.

**The condition is about the whole stream**, too. If a stream has replicas, nats-server 2.9 compares the revision of the
key with what it has stored, and not with what it is about to store. So it accepts several concurrent writes of a key
with the same condition: four clients did this in 916 of 999 rounds. For the number of the last message of the stream it
looks at both, and did it in none of 822 rounds. Therefore a write names both numbers, and requests of one instance wait
for each other. Requests of other instances can fail it, so it is tried again.

A write without an answer may have happened, so it is never repeated. Its sender gets error 0, which is indefinite.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol, final

import trio

from trio_messenger import LIN_KV, LIN_TSO, SEQ_KV, Body, ErrorCode, Node, Request, RpcError

from .._records.canonical import Json
from .requests import KvRequest, Write, read_request, unsupported

ANSWER_TIME: Final = 2.0
"""Seconds that JetStream has for each answer. Nodes wait as long for the service by default."""

START_TIME: Final = 10.0
"""Seconds for which the stream of a service is tried to be opened: the servers may be choosing a leader."""

START_PAUSE: Final = 0.25
"""Seconds between two of these attempts."""

WRITE_ATTEMPTS: Final = 30
"""Conditional writes for one request. Only requests at other instances of the service fail them."""

LONGEST_PAUSE: Final = 0.05
"""Seconds of the longest pause before the next one. Pauses are random, so that instances do not go on in step."""

_LONGEST_TOKEN: Final = 200
"""Characters of the longest key in a subject. Longer ones are replaced by a digest."""

_WRONG_REVISION: Final = 10071
_NO_MESSAGE: Final = 10037
_NO_STREAM: Final = 10059
"""JetStream's numbers of errors."""

API_CALLS: Final = ("STREAM.INFO", "STREAM.CREATE", "STREAM.MSG.GET")
"""The calls of JetStream's interface that the services need, besides writes."""

_DELETED: Final = {"KV-Operation": "DEL"}
"""The header of a message that says that its key has no value, as in NATS's key-value stores."""

_EXPECTED_OF_KEY: Final = "Nats-Expected-Last-Subject-Sequence"
_EXPECTED_OF_STREAM: Final = "Nats-Expected-Last-Sequence"
"""Headers with the numbers that the last messages must have."""


class RequestToNats(Protocol):
    """Sends a request, and returns the payload of the reply; see `NatsTransport.request`."""

    async def __call__(self, subject: str, payload: bytes, headers: Mapping[str, str], *, timeout: float) -> bytes:
        """Send it."""


class StreamError(Exception):
    """The stream of a service cannot be opened; the text says why."""


class _Refused(Exception):
    """JetStream did not do what it was asked."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


class _Entry(NamedTuple):
    value: Json | None
    revision: int


def token_of(key: Json) -> str:
    """Return *key*, in canonical form, as the last part of a subject; different keys have different ones.

    Letters, digits and hyphens stay, and other bytes become ``_XX``.
    """
    token = _escaped(key)
    return token if len(token) <= _LONGEST_TOKEN else f"={hashlib.sha256(key).hexdigest()}"


def bucket_of(prefix: str, cluster: str, service: str) -> str:
    """Return the name of the bucket of a service. Different arguments have different ones."""
    return "__".join(_escaped(name.encode()) for name in (prefix, cluster, service))


def _escaped(name: bytes) -> str:
    return re.sub(rb"[^A-Za-z0-9-]", lambda found: b"_%02X" % ord(found[0]), name).decode()


@final
class Bucket:
    """A key-value store in JetStream.

    Args:
      request: Sends requests to the servers.
      name: The name of the bucket.
      replicas: How many servers keep a replica.
    """

    def __init__(self, request: RequestToNats, name: str, replicas: int) -> None:
        self._request = request
        self._name = name
        self._replicas = replicas
        self._last: int | None = None  # the number of the last message of the stream, perhaps; None if it is not known

    async def open(self) -> None:
        """Make the bucket, unless there is one.

        Raises:
          StreamError: if it cannot be made or used.
        """
        give_up_at = trio.current_time() + START_TIME
        while True:
            try:
                return await self._open()
            except _Refused as exc:
                raise StreamError(f"JetStream refuses the bucket {self._name!r}: {exc}") from None
            except (trio.TooSlowError, trio.BrokenResourceError) as exc:
                if trio.current_time() >= give_up_at:
                    text = f"{exc}" or f"no answer within {ANSWER_TIME:g} s"
                    raise StreamError(
                        f"JetStream does not answer: {text}; turn it on in the servers (nats-server -js), and check"
                        " that most of them run"
                    ) from None
            await trio.sleep(START_PAUSE)

    async def _open(self) -> None:
        try:
            info = await self._api("STREAM.INFO", b"")
        except _Refused as exc:
            if exc.number != _NO_STREAM:
                raise
            config = {
                "name": f"KV_{self._name}",
                "subjects": [f"$KV.{self._name}.>"],
                "storage": "file",
                "num_replicas": self._replicas,
                "retention": "limits",
                "discard": "new",
                "max_msgs_per_subject": 1,
                "allow_direct": False,  # replicas would answer with old values
                "allow_rollup_hdrs": True,
                "deny_delete": True,
            }
            info = await self._api("STREAM.CREATE", json.dumps(config).encode())
        found = info["config"]["num_replicas"]
        if found != self._replicas:
            raise StreamError(
                f"the bucket {self._name!r} has {found} replicas, and not {self._replicas}: give --replicas {found}, or"
                " change it with NATS's tools"
            )

    async def get(self, token: str) -> _Entry:
        """Return the last message of a key. It may be old; see the module's text.

        Raises:
          RpcError: if there is no answer; temporarily unavailable.
        """
        query = json.dumps({"last_by_subj": self._subject(token)}).encode()
        try:
            if self._last is None:
                self._last = (await self._api("STREAM.INFO", b""))["state"]["last_seq"]
            message = (await self._api("STREAM.MSG.GET", query))["message"]
        except _Refused as exc:
            if exc.number == _NO_MESSAGE:
                return _Entry(None, 0)
            raise _unavailable(f"{exc}") from None
        except (trio.TooSlowError, trio.BrokenResourceError) as exc:
            raise _unavailable(f"{exc}" or "it does not answer") from None
        is_deleted = b"KV-Operation" in base64.b64decode(message.get("hdrs", ""))
        value = base64.b64decode(message.get("data", ""))
        return _Entry(None if is_deleted else value, message["seq"])

    async def put(self, token: str, value: Json | None, revision: int | None = None) -> int | None:
        """Write a value, or that the key has no value, and return the new revision.

        Args:
          token: The key.
          value: The value; None for none.
          revision: The revision that the key must have (0 if it never had one), if nothing else was written since the
            last `get`; None to write in any case.

        Returns:
          The new revision; None if the condition did not hold, so nothing was written.

        Raises:
          RpcError: if nothing was written (temporarily unavailable), or if that is not known (timeout).
        """
        headers = dict(_DELETED) if value is None else {}
        if revision is not None:
            headers |= {_EXPECTED_OF_KEY: f"{revision}", _EXPECTED_OF_STREAM: f"{self._last}"}
        self._last = None
        try:
            reply = await self._ask(self._subject(token), value or b"", headers)
        except _Refused as exc:
            if exc.number == _WRONG_REVISION:
                return None
            raise _unavailable(f"{exc}") from None
        except trio.BrokenResourceError as exc:
            raise _unavailable(f"{exc}") from None
        except trio.TooSlowError:
            raise RpcError(ErrorCode.TIMEOUT, "JetStream has not confirmed the request; it may have happened") from None
        self._last = reply["seq"]
        return self._last

    def _subject(self, token: str) -> str:
        return f"$KV.{self._name}.{token}"

    async def _api(self, name: str, payload: bytes) -> dict[str, Any]:
        return await self._ask(f"$JS.API.{name}.KV_{self._name}", payload, {})

    async def _ask(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(await self._request(subject, payload, headers, timeout=ANSWER_TIME))
        if "error" in reply:
            raise _Refused(reply["error"].get("err_code", 0), reply["error"].get("description", "no reason given"))
        return reply


def _unavailable(reason: str) -> RpcError:
    return RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, f"JetStream cannot do it at the moment: {reason}")


@final
class KeyValueOnJetStream:
    """Serves the requests of lin-kv or seq-kv, from a bucket."""

    def __init__(self, name: str, bucket: Bucket) -> None:
        self._name = name
        self._bucket = bucket
        self._lock = trio.Lock()

    async def serve(self, body: Body) -> Body | None:
        """Return the reply to a request; None if it gets none.

        Raises:
          RpcError: the error that is the reply.

        Always a checkpoint. A cancelled call may have written.
        """
        await trio.lowlevel.checkpoint()
        request = read_request(body, creates=True)
        if request is None:
            return unsupported(body, self._name, ("read", "write", "cas"))
        token = token_of(request.key)
        async with self._lock:
            if isinstance(request, Write):
                await self._bucket.put(token, request.value)
                return request.on(None).reply
            return await self._change(token, request)

    async def _change(self, token: str, request: KvRequest) -> Body:
        for _ in range(WRITE_ATTEMPTS):
            held, revision = await self._bucket.get(token)
            reply, stores = request.on(held)
            if await self._bucket.put(token, held if stores is None else stores, revision) is not None:
                return reply
            await trio.sleep(random.uniform(0, LONGEST_PAUSE))
        text = f"others wrote at the same time in {WRITE_ATTEMPTS} attempts; try again"
        raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, text)


@final
class TimestampsOnJetStream:
    """Serves the requests of lin-tso: a timestamp is the revision of a write."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def serve(self, body: Body) -> Body | None:
        """Return the reply to a request; see `KeyValueOnJetStream.serve`."""
        await trio.lowlevel.checkpoint()
        if body.get("type") != "ts":
            return unsupported(body, LIN_TSO, ("ts",))
        return {"type": "ts_ok", "ts": await self._bucket.put("ts", b"1")}


ON_JETSTREAM: Final = (LIN_KV, SEQ_KV, LIN_TSO)
"""The services that JetStream can keep. lww-kv is not among them: it exists to be weak."""


def service_node(name: str, bucket: Bucket) -> Node:
    """Return a node that serves the requests of the service *name*, one of `ON_JETSTREAM`, from *bucket*."""
    service = TimestampsOnJetStream(bucket) if name == LIN_TSO else KeyValueOnJetStream(name, bucket)
    node = Node()

    async def handle(request: Request) -> Body | None:
        reply = await service.serve(request.body)
        if reply is not None and reply["type"] == "error":
            raise RpcError.from_body(reply)
        return reply

    for kind in ("ts",) if name == LIN_TSO else ("read", "write", "cas"):
        node.on(kind)(handle)
    return node
