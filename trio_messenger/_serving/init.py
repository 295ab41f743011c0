"""``init``: the node learns its id, and runs hooks before it sends ``init_ok``.

The node knows its id before the hooks run, so a hook may already ask others, such as ``lin-kv``. It serves requests
after all hooks have ended. If a second ``init`` has the same ids, the node acknowledges it again, for a client that did
not receive the first ``init_ok``. It refuses an ``init`` with other ids.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, final

import attrs

from .._protocol.errors import ErrorCode, RpcError, unwrapped
from .._protocol.messages import Identity, Request
from .._sending.sender import Sender
from .._user_code.callables import is_async_callable
from .._user_code.failures import split_failure
from .handlers import make_handler
from .life import Life, Phase
from .router import Router
from .workers import Job

_log = logging.getLogger("trio_messenger")

_MAX_WAITING: Final = 100
"""The most repeated ``init`` requests that wait for an answer until the hooks have ended; one is normal."""

InitHook: TypeAlias = Callable[[], Awaitable[object]] | Callable[[], object]
"""A plain or async function without arguments, which runs while the node serves ``init``."""


@attrs.frozen
class _InitBody:
    node_id: str
    node_ids: list[str]


@final
class Initialiser:
    """Serves ``init`` for one node.

    Args:
      life: Learns the ids from ``init``, and how the hooks end.
      sender: Sends ``init_ok``.
      router: Starts the task of async hooks, and answers ``init`` if a hook fails.
      on_serving: Called when the hooks have ended and the node serves requests, shortly before ``init_ok`` leaves.
    """

    def __init__(self, life: Life, sender: Sender, router: Router, on_serving: Callable[[], object]) -> None:
        self.hooks: list[InitHook] = []
        """The hooks to run before ``init_ok``, in this order."""
        self._life = life
        self._sender = sender
        self._router = router
        self._on_serving = on_serving
        self._waiting: list[Request] = []  # init requests that come while the hooks run
        self._job = Job(self._run_async, self._interrupted, lambda _: "a hook of on_init")
        router.handlers["init"] = make_handler(self._serve, {})

    def _serve(self, request: Request, body: _InitBody) -> dict[str, Any] | None:
        if not body.node_id:
            raise RpcError(ErrorCode.MALFORMED_REQUEST, "malformed 'init' request: node_id is empty")
        identity = Identity(body.node_id, tuple(body.node_ids))
        known_identity = self._life.identity
        if known_identity is None:
            return self._begin(request, identity)
        if identity != known_identity:
            known = f"{known_identity.node_id!r} of {list(known_identity.node_ids)}"
            raise RpcError(ErrorCode.PRECONDITION_FAILED, f"this node is {known} already; restart it to change that")
        if self._life.is_initialised:
            return {}
        if len(self._waiting) >= _MAX_WAITING:
            text = f"{_MAX_WAITING} 'init' requests wait already, which is the limit; wait for init_ok"
            raise RpcError(ErrorCode.TEMPORARILY_UNAVAILABLE, text)
        self._waiting.append(request)
        return None

    def _begin(self, request: Request, identity: Identity) -> dict[str, Any] | None:
        self._life.begin_init(identity)
        if any(is_async_callable(hook) for hook in self.hooks):
            assert self._router.spawn is not None  # set, because messages are routed only while the node serves
            self._router.spawn(self._job, request)
            return None
        try:
            for hook in self.hooks:
                hook()
        except BaseException as exc:
            failure, _ = split_failure(exc, is_plain=True)
            if failure is not None:
                self._forget(failure)
            del failure  # otherwise the exception and this frame would be in a cycle
            raise
        self._finish()
        return {}

    async def _run_async(self, request: Request) -> None:
        try:
            for hook in self.hooks:
                result = hook()
                if inspect.isawaitable(result):
                    await result
            for asked in [request, *self._waiting]:
                self._sender.reply(asked, {})
        except Exception as exc:  # noqa: BLE001 - every error is answered and logged
            self._fail(request, exc)
        else:
            self._waiting.clear()
            self._finish()

    def _interrupted(self, request: Request, error: BaseException) -> BaseException | None:
        failure, rest = split_failure(error)
        if failure is not None:
            self._fail(request, failure)
        self._waiting.clear()
        return rest

    def _fail(self, request: Request, error: Exception) -> None:
        self._forget(error)
        waiting, self._waiting = self._waiting, []
        for asked in [request, *waiting]:
            self._router.fail(asked, error)

    def _forget(self, error: Exception) -> None:
        """Return to the state before ``init``, so that it may be tried again."""
        error = unwrapped(error)
        if isinstance(error, RpcError):  # any other error is logged with its traceback where it is answered
            _log.error("on_init failed, so the node serves nothing: %s", error)
        self._life.take_back_init()

    def _finish(self) -> None:
        self._life.finish_init()
        if self._life.phase is Phase.SERVING:  # and not closing by now
            self._on_serving()
