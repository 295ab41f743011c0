"""A stand-in for JetStream: one stream per bucket, whose answers are those of Debian's server 2.9."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs
import trio

_OF_STREAM = "Nats-Expected-Last-Sequence"


@attrs.define(eq=False)
class FakeJetStream:
    """Answers the requests of the services on JetStream, one at a time, and misbehaves on demand."""

    streams: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    """The configurations of streams, by name."""
    messages: dict[str, tuple[int, bytes, Mapping[str, str]]] = attrs.field(factory=dict)
    """The last message of each subject: number, payload and headers."""
    last: int = 0
    """The number of the last message, of all streams together."""
    asked: Counter[str] = attrs.field(factory=Counter)
    """How often each kind of request came."""
    conflicts: int = 0
    """How often a write was refused because of its condition."""
    fails: dict[str, Exception | dict[str, Any]] = attrs.field(factory=dict)
    """What becomes of requests of a kind: an exception, or an error."""
    old: dict[str, tuple[int, bytes, Mapping[str, str]]] | None = None
    """If set, what reads get, as from a server that has lost its majority."""
    loses_answers: bool = False
    """Write, but do not answer."""

    async def request(self, subject: str, payload: bytes, headers: Mapping[str, str], *, timeout: float) -> bytes:
        """Answer a request."""
        await trio.lowlevel.checkpoint()
        kind = subject.removeprefix("$JS.API.").rpartition(".KV_")[0] or "PUT"
        self.asked[kind] += 1
        failure = self.fails.get(kind)
        if isinstance(failure, Exception):
            raise failure
        if failure is not None:
            return json.dumps({"error": failure}).encode()
        stream = subject.rpartition(".")[2]
        found = self._put(subject, payload, headers) if kind == "PUT" else self._answer(kind, stream, payload)
        if self.loses_answers and kind == "PUT":
            await trio.sleep(timeout)
            raise trio.TooSlowError
        return json.dumps(found).encode()

    def _answer(self, kind: str, stream: str, payload: bytes) -> dict[str, Any]:
        if kind == "STREAM.CREATE":
            self.streams[stream] = json.loads(payload)
        if kind in ("STREAM.CREATE", "STREAM.INFO"):
            if stream not in self.streams:
                return {"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}
            return {"config": self.streams[stream], "state": {"last_seq": self.last}}
        assert kind == "STREAM.MSG.GET"
        found = (self.messages if self.old is None else self.old).get(json.loads(payload)["last_by_subj"])
        if found is None:
            return {"error": {"code": 404, "err_code": 10037, "description": "no message found"}}
        number, data, headers = found
        message: dict[str, Any] = {"seq": number}
        if headers:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            message["hdrs"] = base64.b64encode(f"NATS/1.0\r\n{lines}\r\n".encode()).decode()
        if data:
            message["data"] = base64.b64encode(data).decode()
        return {"message": message}

    def _put(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        expected = headers.get("Nats-Expected-Last-Subject-Sequence")
        number = self.messages[subject][0] if subject in self.messages else 0
        if expected is not None and (int(expected), int(headers[_OF_STREAM])) != (number, self.last):
            self.conflicts += 1
            return {"error": {"code": 400, "err_code": 10071, "description": f"wrong last sequence: {number}"}}
        self.last += 1
        self.messages[subject] = self.last, payload, headers
        return {"stream": subject.split(".")[1], "seq": self.last}
