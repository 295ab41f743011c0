"""At most once: a request that arrives again is answered again, but not served again.

A network may duplicate a message, and a client whose reply was lost may send its request anew. Requests are told
apart by who sent them and their ``msg_id``, so this helps against whatever repeats a message as it was; a client
that tries again with a fresh ``msg_id`` must put an id of its own into the body, and the node look at that. A client
that is restarted must not use its old numbers again, or its new requests get old answers: see ``Node(first_msg_id=)``.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, final

import attrs
import msgspec
import trio

from .._protocol.errors import ErrorCode, RpcError, unwrapped
from .._protocol.lines import check_body
from .._protocol.messages import Body, Request, as_body
from .._user_code.failures import is_only, split_failure
from .handlers import Handler

REMEMBERED_ANSWERS: Final = 1000
"""Answers that are remembered by default: a client's retries come within seconds, and an answer may be large."""

REMEMBERED_BYTES: Final = 64 * 1024 * 1024
"""Bytes of them by default: four of the largest there can be. A thousand of those would take 16 GiB."""


@attrs.define(eq=False)
class _Answer:
    """How a request was answered; ``done`` is set once it was. A body is kept as JSON, which takes the least memory."""

    done: trio.Event
    body: bytes | None = None
    error: Exception | None = None

    def keep(self, result: object) -> None:
        if result is None:
            return
        body = dict(as_body(result))
        check_body(body)  # what cannot be sent is to fail now, and not anew for each duplicate
        self.body = bytes(memoryview(msgspec.json.encode(body)))  # a copy: the original takes half as much again

    def size(self) -> int:
        """Return how many bytes of memory it takes, if it is large."""
        kept = (self.body, None if self.error is None else str(self.error))
        return sum(sys.getsizeof(one) for one in kept if one is not None)

    def fail(self, error: BaseException) -> None:
        """Keep what the first request is answered with, if *error* is more than a cancellation."""
        failure, _ = split_failure(error)
        if failure is not None:
            self.error = _as_answer(failure)

    def unwrap(self) -> Body | None:
        if self.error is not None:
            raise _as_answer(self.error)  # a new one: what is raised keeps the frames that it passes
        return None if self.body is None else msgspec.json.decode(self.body)


@final
class AtMostOnce:
    """The memory of one or several handlers: give it to `Node.on` as ``at_most_once=``.

    The first request is served; whatever it is answered, an error included, is the answer to its duplicates. A
    duplicate that arrives while the first is still being served waits for that. A request without ``msg_id`` cannot
    be told from another and is served each time. When there are too many answers, or they take too much memory, the one
    that was asked for least recently is forgotten; one that is still being worked on is not. A duplicate of a request
    that was forgotten is served again. An answer that is too large by itself is remembered until the next request.

    A handler that returns None, to answer later, is not asked again, and its duplicates get no answer. Handlers that
    share a memory take a request of the same sender with the same ``msg_id`` for the same one, whatever its type.

    Args:
      capacity: How many answers are remembered, 1 or more.
      max_bytes: How many bytes of memory they may take together, 1 or more: bodies as JSON, the texts of errors, and
        the names of the senders.
      mark: The name of a field to add to each reply: true if the request was a duplicate. By default none.
    """

    def __init__(
        self,
        capacity: int = REMEMBERED_ANSWERS,
        *,
        max_bytes: int = REMEMBERED_BYTES,
        mark: str | None = None,
    ) -> None:
        for name, limit in (("capacity", capacity), ("max_bytes", max_bytes)):
            if not limit >= 1:
                raise ValueError(f"{name} is {limit}; give 1 or more")
        self.total: int = 0
        """Requests that came through here."""
        self.duplicates: int = 0
        """Those of them that were duplicates."""
        self.forgotten: int = 0
        """Answers that were forgotten, to remember newer ones."""
        self.size: int = 0
        """Bytes of memory that count towards ``max_bytes`` now."""
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._mark = mark
        self._answers: OrderedDict[tuple[str, int], _Answer] = OrderedDict()

    def __len__(self) -> int:
        """How many answers are remembered now."""
        return len(self._answers)

    def wrap(self, handler: Handler) -> Handler:
        """Return *handler* serving each request at most once.

        :meta private:
        """
        call = self._async(handler.call) if handler.is_async else self._plain(handler.call)
        return Handler(call, handler.is_async)

    def _plain(self, call: Callable[[Request], Any]) -> Callable[[Request], Any]:
        def call_once(request: Request) -> Any:
            known = self._recall(request)
            if known is not None:
                return self._marked(known.unwrap(), True)
            answer = self._remember(request)
            try:
                answer.keep(call(request))
            except Exception as exc:
                answer.fail(exc)
                raise
            finally:
                self._finish(request, answer)
            return self._marked(answer.unwrap(), False)

        return call_once

    def _async(self, call: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def call_once(request: Request) -> Any:
            known = self._recall(request)
            if known is not None:
                await known.done.wait()
                return self._marked(known.unwrap(), True)
            answer = self._remember(request)
            # Should the task be cancelled, it is not known how far it came.
            answer.error = RpcError(
                ErrorCode.CRASH, "the first request of this msg_id was cancelled while it was served"
            )
            try:
                answer.keep(await call(request))
                answer.error = None
            except BaseException as exc:
                answer.fail(exc)
                raise
            finally:
                self._finish(request, answer)
            return self._marked(answer.unwrap(), False)

        return call_once

    def _recall(self, request: Request) -> _Answer | None:
        self.total += 1
        if request.msg_id is None:
            return None
        known = self._answers.get((request.src, request.msg_id))
        if known is not None:
            self.duplicates += 1
            self._answers.move_to_end((request.src, request.msg_id))
        return known

    def _remember(self, request: Request) -> _Answer:
        answer = _Answer(trio.Event())
        if request.msg_id is not None:
            self._answers[request.src, request.msg_id] = answer
            self.size += sys.getsizeof(request.src)
            self._forget_oldest(answer)
        return answer

    def _finish(self, request: Request, answer: _Answer) -> None:
        answer.done.set()
        if request.msg_id is not None:
            self.size += answer.size()
            self._forget_oldest(answer)

    def _forget_oldest(self, newest: _Answer) -> None:
        """Keep to the limits, but keep *newest*, and what is still being worked on."""
        while len(self._answers) > self._capacity or self.size > self._max_bytes:
            done = (key for key, answer in self._answers.items() if answer.done.is_set() and answer is not newest)
            key = next(done, None)
            if key is None:
                return
            self.size -= self._answers.pop(key).size() + sys.getsizeof(key[0])
            self.forgotten += 1

    def _marked(self, body: Body | None, is_duplicate: bool) -> Body | None:
        return body if self._mark is None or body is None else {**body, self._mark: is_duplicate}


def _as_answer(error: Exception) -> Exception:
    """Return what the duplicates of a request that failed with *error* are to fail with, without its traceback."""
    if not isinstance(unwrapped(error), RpcError) and is_only(error, trio.ClosedResourceError, RpcError):
        return trio.ClosedResourceError(str(error))  # perhaps the node is ending, and nobody is answered
    return RpcError.from_exception(error)
