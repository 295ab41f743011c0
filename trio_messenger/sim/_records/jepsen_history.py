"""Histories in Jepsen's form: ``history.edn``, as Jepsen and Maelstrom write it.

The file has one map per line, or one vector of such maps::

    {:type :invoke, :f :read, :value nil, :process 0, :time 15840, :index 0}
    {:type :ok, :f :read, :value [3 4], :process 0, :time 97134, :index 1}

Entries of the nemesis have ``:nemesis`` as their process. They are skipped, because checkers do not use them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from trio_messenger import ErrorCode

from .cut_texts import cut_json, cut_text
from .edn import read_values
from .history import OP_TYPES, Op
from .reading_errors import error_at

_WELL: Final = ("invoke", "ok")

_NEMESIS: Final = "nemesis"

_CODES: Final[Mapping[str, ErrorCode]] = {
    **{code.label: code for code in ErrorCode},
    "net-timeout": ErrorCode.TIMEOUT,  # Maelstrom's clients gave up
}
"""The error codes by their names in Maelstrom."""

_LONGEST_ERROR: Final = 400
"""Characters of an error's text that are kept; exceptions of Jepsen's clients may quote a whole reply."""


def read_jepsen_history(text: str) -> Iterator[tuple[int, Op]]:
    """Yield the beginnings and ends of the clients' operations, each with its offset in *text*, in order.

    They get the indexes 0, 1, 2 and so on. An entry without a time gets that of the entry before it.

    Raises:
      ReadingError: if *text* is not EDN or not a history, when the iteration reaches the error.

    Example:
      >>> [(_, op)] = read_jepsen_history("{:type :invoke, :process 0, :f :add, :value 3, :time 5}")
      >>> op.index, op.type, op.process, op.f, op.value, op.time
      (0, 'invoke', 0, 'add', 3, 5)
    """
    index, time, last = 0, 0, -1
    for offset, entry in read_values(text, spread=True):
        try:
            if not isinstance(entry, dict):
                raise ValueError(f"{cut_json(entry)} is no operation; an operation is a map, such as {_SUCH_AS}")
            last = _following(entry, last)
            if _field(entry, "process") == _NEMESIS:
                continue
            time = _whole(entry, "time") if entry.get("time") is not None else time
            yield offset, _op(entry, index, time)
        except ValueError as exc:
            raise error_at(text, offset, f"{exc}") from None
        index += 1


_SUCH_AS: Final = "{:process 0, :type :invoke, :f :read, :value nil}"


def _op(entry: dict[str, Any], index: int, time: int) -> Op:
    kind, f, node = _field(entry, "type"), _field(entry, "f"), entry.get("node")
    if kind not in OP_TYPES:
        raise ValueError(f"the :type is {cut_json(kind)}; it must be :invoke, :ok, :fail or :info")
    if isinstance(node, str) and not node.isprintable():
        raise ValueError(f"the :node is {node!r:.80}; it must be a text without control characters")
    if not isinstance(f, str):
        raise ValueError(f"the :f is {cut_json(f)}; it must be a keyword such as :read")
    return Op(
        index=index,
        time=time,
        type=kind,
        process=_whole(entry, "process"),
        f=f,
        value=entry.get("value"),
        error=None if kind in _WELL else _error_text(entry.get("error")),
        code=None if kind in _WELL else _error_code(entry.get("error")),
        final=entry.get("final?") is True,
        node=node if isinstance(node, str) else None,
    )


def _field(entry: dict[str, Any], name: str) -> Any:
    value = entry.get(name)
    if value is None:
        raise ValueError(f"the operation has no :{name}; give it one, as in {_SUCH_AS}")
    return value


def _whole(entry: dict[str, Any], name: str) -> int:
    value = _field(entry, name)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        or_else = ", or :nemesis" if name == "process" else ""
        raise ValueError(f"the :{name} is {cut_json(value)}; it must be an integer of 64 bits{or_else}")
    return value


def _following(entry: dict[str, Any], last: int) -> int:
    """Return the index of *entry*, or *last* if it has none.

    Raises:
      ValueError: if it is not above *last*. Some indexes may be missing: Jepsen also writes parts of histories.
    """
    if entry.get("index") is None:
        return last
    index = _whole(entry, "index")
    if index <= last:
        raise ValueError(f"the :index is {index}, after {last} in an earlier operation; sort the operations by it")
    return index


def _error_code(error: Any) -> int | None:
    """Return the code in the node's answer, as in ``[:abort "text"]``; None if the node did not answer."""
    name = error[0] if isinstance(error, list) and error else None
    code = _CODES.get(name) if isinstance(name, str) else None
    return None if code is None else int(code)


def _error_text(error: Any) -> str | None:
    """Return why an operation was not ok, in one line: in the words of `RpcError` if it is one of Maelstrom's errors.

    Maelstrom writes ``:net-timeout`` or ``[:abort "text"]``. Clients of other tests write anything.
    """
    if error is None:
        return None
    name, *rest = error if isinstance(error, list) and error else [error]
    if isinstance(name, str) and len(rest) <= 1 and all(each is None or isinstance(each, str) for each in rest):
        code = _CODES.get(name)
        label = name if code is None else f"{name} ({int(code)})"
        text = ": ".join([label, *(each for each in rest if each)])
    else:
        text = cut_json(error)
    return cut_text(" ".join(text.split()), _LONGEST_ERROR)
