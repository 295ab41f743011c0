"""At most once: if a request arrives again, the node answers it again, but does not serve it again.

A network may duplicate a message, and a client whose reply was lost may send its request again. Sender and ``msg_id``
identify a request, so this module recognises unchanged repetitions only. If a client tries again with a new ``msg_id``,
it must put an id into the body, and the node must look at this id. A restarted client must not use its old numbers
again, or its new requests get old answers: see ``Node(first_msg_id=)``.
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
"""Default number of remembered answers: a client's retries come within seconds, and an answer may be large."""

REMEMBERED_BYTES: Final = 64 * 1024 * 1024
"""Default memory of remembered answers: four answers of the largest size. A thousand of these would take 16 GiB."""


@attrs.define(eq=False)
class _Answer:
    """The answer to a request; ``done`` is set when it is known. The body is kept as JSON, to save memory."""

    done: trio.Event
    body: bytes | None = None
    error: Exception | None = None

    def keep(self, result: object) -> None:
        if result is None:
            return
        body = dict(as_body(result))
        check_body(body)  # a body that cannot be sent must fail now, and not again for each duplicate
        self.body = bytes(memoryview(msgspec.json.encode(body)))  # a copy, since the original takes 50 % more memory

    def size(self) -> int:
        """Return the bytes of memory of the body and the error's text, without the constant rest."""
        kept = (self.body, None if self.error is None else str(self.error))
        return sum(sys.getsizeof(one) for one in kept if one is not None)

    def fail(self, error: BaseException, *, is_plain: bool = False) -> None:
        """Keep the error answer to the first request, unless *error* is only a cancellation; see `split_failure`."""
        failure, _ = split_failure(error, is_plain=is_plain)
        if failure is not None:
            self.error = _as_answer(failure)

    def unwrap(self) -> Body | None:
        if self.error is not None:
            raise _as_answer(self.error)  # a new exception, since a raised one keeps the frames that it leaves
        return None if self.body is None else msgspec.json.decode(self.body)


@final
class AtMostOnce:
    """The memory of answers for one or several handlers: give it to `Node.on` as ``at_most_once=``.

    The node serves the first request. It answers duplicates with the same answer, even if that is an error. If a
    duplicate arrives while the first request is still running, it waits for the answer. A request without ``msg_id``
    has no identity, so the node serves it each time. If there are too many answers, or they take too much memory, the
    node forgets the answer that was used least recently, but never one whose request is still running. It serves a
    duplicate of a forgotten request again. It keeps an answer that alone exceeds the limit until the next request.

    If a handler returns None, to answer later, the node does not call it for duplicates, and they get no answer. If
    handlers share a memory, requests from one sender with the same ``msg_id`` are duplicates, even if their types
    differ.

    Args:
      capacity: The largest number of remembered answers, 1 or more.
      max_bytes: The most bytes of memory for all answers, 1 or more. Bodies (as JSON), the texts of errors and the
        names of senders count.
      mark: The name of a field to add to each reply: true if the request was a duplicate. The default adds none.

    Example:
      >>> memory = AtMostOnce(mark="duplicate")
      >>> node, sold = Node(), []
      >>> @node.on("buy", at_most_once=memory)
      ... def buy(request):
      ...     sold.append(request.src)
      ...     return {"ticket": len(sold)}
      >>> async def main():
      ...     async with running(node) as network:
      ...         for _ in range(2):
      ...             await network.send("c1", {"type": "buy", "msg_id": 7})
      ...             print((await network.receive()).body)
      >>> trio.run(main)
      {'type': 'buy_ok', 'ticket': 1, 'duplicate': False, 'in_reply_to': 7, 'msg_id': 1}
      {'type': 'buy_ok', 'ticket': 1, 'duplicate': True, 'in_reply_to': 7, 'msg_id': 2}
      >>> sold, memory.total, memory.duplicates, len(memory)
      (['c1'], 2, 1, 1)
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
        """The number of requests to these handlers."""
        self.duplicates: int = 0
        """The number of duplicates among them."""
        self.forgotten: int = 0
        """The number of answers that were forgotten to make room for newer ones."""
        self.size: int = 0
        """The bytes of memory that count towards ``max_bytes`` now."""
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._mark = mark
        self._answers: OrderedDict[tuple[str, int], _Answer] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of remembered answers."""
        return len(self._answers)

    def wrap(self, handler: Handler) -> Handler:
        """Return a handler that calls *handler* at most once for each request.

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
            except BaseException as exc:
                answer.fail(exc, is_plain=True)
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
            # If the task is cancelled, nobody knows how far the handler came.
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
        """Forget the oldest answers until the limits hold, except *newest* and answers of running requests."""
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
    """Return the error for the duplicates of a request that failed with *error*, without its traceback."""
    if not isinstance(unwrapped(error), RpcError) and is_only(error, trio.ClosedResourceError, RpcError):
        return trio.ClosedResourceError(str(error))  # perhaps the node is closing, and answers nobody
    return RpcError.from_exception(error)
