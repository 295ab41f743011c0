"""Assertions in the code of nodes: what always holds, what sometimes holds, and what is reached.

They report to a listener, and only a simulation has one. Without a listener, each call is the check of one global.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

AssertionKind: TypeAlias = Literal["always", "sometimes", "reachable"]
"""The kinds of assertions, by the names of their functions."""

Listener: TypeAlias = Callable[[AssertionKind, object, str], object]
"""Takes the kind of an assertion, its condition, and its message."""

_listener: Listener | None = None  # set while a simulation runs in this process


def always(condition: object, message: str) -> None:
    """State that *condition* is true whenever the node comes here.

    If it is false in a simulation, the run is invalid: the report names the node, the time and *message*. The node goes
    on in any case, because this function raises nothing. Outside a simulation it does nothing.

    Args:
      condition: The condition; any object, of which the truth counts.
      message: What holds, in words: ``"a leader's log only grows"``. Calls with the same message count together, so
        the text must be fixed: no figures in it.

    Raises:
      TypeError: in a simulation, if *message* is not a text, if *condition* is a coroutine, which is always true, or if
        an invariant makes the call: it uses ``assert``.

    Example:
      >>> def build():
      ...     node, values = Node(), []
      ...
      ...     @node.on("echo")
      ...     def echo(request):
      ...         values.append(request.body["echo"])
      ...         always(len(values) < 3, "this node has seen fewer than 3 values")
      ...         return request.body
      ...
      ...     return node
      >>> report = simulate("echo", build, nodes=["n1"], time_limit=2)
      >>> report.valid
      False
      >>> report.reasons()[0].partition(", in ")[0]
      "n1 broke always('this node has seen fewer than 3 values') at 0.339 s"
    """
    if _listener is not None:
        _listener("always", condition, message)


def sometimes(condition: object, message: str) -> None:
    """State that *condition* is true at least once in a campaign, so that its runs test what they should.

    A campaign (``--seeds``) in which the node came here, but the condition was false every time and in every run, has a
    warning. If no node comes here at all, the simulator does not know of this call, and is silent. So call it where
    every run passes. Outside a simulation it does nothing.

    Args:
      condition: The condition; any object, of which the truth counts.
      message: What happens, in words: ``"a leader was elected twice"``. As for `always`, the text must be fixed.

    Raises:
      TypeError: as `always`.

    Example:
      >>> def build():
      ...     node = Node()
      ...
      ...     @node.on("echo")
      ...     def echo(request):
      ...         sometimes(request.body["echo"] == "please echo 1000", "a client sent 1000")
      ...         return request.body
      ...
      ...     return node
      >>> report = simulate("echo", build, nodes=["n1"], time_limit=2)
      >>> report.results["assertions"]["sometimes"]["a client sent 1000"]
      {'calls': 13, 'held': 0, 'by-node': {}}
    """
    if _listener is not None:
        _listener("sometimes", condition, message)


def reachable(message: str) -> None:
    """State that nodes come here in some runs; the results and the summary of a campaign tell in how many.

    It is the same as `sometimes` with a condition that is true. Outside a simulation it does nothing.

    Args:
      message: The place, in words: ``"a vote was refused"``. As for `always`, the text must be fixed.

    Raises:
      TypeError: in a simulation, if *message* is not a text.

    Example:
      >>> def build():
      ...     node = Node()
      ...     node.on_init(lambda: reachable("init was served"))
      ...     node.on("echo")(lambda request: request.body)
      ...     return node
      >>> report = simulate("echo", build, nodes=2, time_limit=1)
      >>> report.results["assertions"]["reachable"]["init was served"]
      {'calls': 2, 'held': 2, 'by-node': {'n1': 1, 'n2': 1}}
    """
    if _listener is not None:
        _listener("reachable", True, message)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """While inside, pass all assertions of this process to *listener*."""
    global _listener  # noqa: PLW0603 - one global, so that a call costs next to nothing without a listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before
