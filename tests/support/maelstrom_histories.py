"""Histories as Maelstrom writes them, short ones made by hand, with its verdict on each."""

from __future__ import annotations

from typing import Any, Final

import attrs


@attrs.frozen
class Written:
    """A ``history.edn``."""

    workload: str
    name: str
    valid: Any
    """Maelstrom's ``:valid?``."""
    text: str
    """The file."""


def _file(*entries: str) -> str:
    """Return the lines of *entries*, each without its index and time."""
    return "".join(f"{{:index {i}, :time {i * 1_500_000}, {entry}}}\n" for i, entry in enumerate(entries))


def _pair(process: int, f: str, begun: str, end: str, kind: str = "ok", more: str = "") -> tuple[str, str]:
    return (
        f":type :invoke, :process {process}, :f :{f}, :value {begun}{more}",
        f":type :{kind}, :process {process}, :f :{f}, :value {end}{more}",
    )


_NEMESIS: Final = (
    ":type :info, :process :nemesis, :f :start-partition, :value :majority",
    ':type :info, :process :nemesis, :f :start-partition, :value [:isolated {"n1" #{"n2"}, "n2" #{"n1"}}]',
)

_TIMEOUT: Final = ", :error :net-timeout"
_FINAL: Final = ", :final? true"


def _echo(value: str, reply: str) -> str:
    return f'{{:echo {reply}, :type "echo_ok", :in_reply_to 3, :msg_id {len(value)}}}'


HISTORIES: Final = (
    Written(
        "echo",
        "right",
        True,
        _file(
            *_pair(0, "echo", '"Please echo 7"', _echo("7", '"Please echo 7"')),
            *_NEMESIS,
            *_pair(1, "echo", '"Please echo 8"', '"Please echo 8"', "info", _TIMEOUT),
        ),
    ),
    Written("echo", "wrong", False, _file(*_pair(0, "echo", '"Please echo 7"', _echo("7", '"Please echo 8"')))),
    Written(
        "unique-ids",
        "right",
        True,
        _file(*_pair(0, "generate", "nil", '"n1-1"'), *_pair(1, "generate", "nil", '"n2-1"')),
    ),
    Written("unique-ids", "wrong", False, _file(*_pair(0, "generate", "nil", "3"), *_pair(1, "generate", "nil", "3"))),
    Written(
        "broadcast",
        "right",
        True,
        _file(
            *_pair(0, "broadcast", "0", "0"),
            *_NEMESIS,
            *_pair(1, "broadcast", "1", "1", "info", _TIMEOUT),
            *_pair(0, "read", "nil", "nil"),
            *_pair(2, "read", "nil", "(0)"),
        ),
    ),
    Written(
        "broadcast",
        "lost",
        False,
        _file(*_pair(0, "broadcast", "0", "0"), *_pair(0, "read", "nil", "[0]"), *_pair(1, "read", "nil", "[]")),
    ),
    Written("broadcast", "unknown", "unknown", _file(*_pair(0, "read", "nil", "[]"))),
    Written(
        "g-set",
        "right",
        True,
        _file(*_pair(0, "add", "0", "0"), *_pair(1, "add", "1", "1", "info"), *_pair(0, "read", "nil", "#{0 1}")),
    ),
    Written("g-set", "lost", False, _file(*_pair(0, "add", "0", "0"), *_pair(0, "read", "nil", "#{}"))),
    Written(
        "g-counter",
        "right",
        True,
        _file(
            *_pair(0, "add", "3", "3"),
            *_pair(1, "add", "2", "2", "info", _TIMEOUT),
            *_pair(0, "read", "nil", "0"),
            *_pair(0, "read", "nil", "5", more=_FINAL),
        ),
    ),
    Written("g-counter", "wrong", False, _file(*_pair(0, "add", "3", "3"), *_pair(0, "read", "nil", "4", more=_FINAL))),
    Written(
        "pn-counter",
        "right",
        True,
        _file(*_pair(0, "add", "-3", "-3"), *_pair(0, "read", "nil", "-3N", more=_FINAL)),
    ),
    Written(
        "pn-counter", "wrong", False, _file(*_pair(0, "add", "1", "1"), *_pair(0, "read", "nil", "0", more=_FINAL))
    ),
    Written(
        "lin-kv",
        "right",
        True,
        _file(
            *_pair(0, "read", "[0 nil]", "[0 nil]", "fail", ', :error [:key-does-not-exist "no such key"]'),
            *_pair(3, "write", "[0 3]", "[0 3]"),
            *_pair(4, "cas", "[0 [2 1]]", "[0 [2 1]]", "fail", ', :error [:precondition-failed "it is 3"]'),
            *_pair(4, "cas", "[0 [3 1]]", "[0 [3 1]]", "info", _TIMEOUT),
            *_NEMESIS,
            *_pair(3, "cas", "[0 [1 2]]", "[0 [1 2]]"),
            *_pair(1, "read", "[0 nil]", "[0 2]"),
            *_pair(2, "read", "[1 nil]", "#jepsen.independent.MapEntry[1 nil]"),
        ),
    ),
    Written(
        "lin-kv",
        "stale",
        False,
        _file(
            *_pair(0, "write", "[0 3]", "[0 3]"),
            *_pair(0, "write", "[0 4]", "[0 4]"),
            *_pair(1, "read", "[0 nil]", "[0 3]"),
        ),
    ),
    Written(
        "lin-kv",
        "cas first",
        True,
        _file(
            *_pair(0, "cas", "[0 [1 2]]", "[0 [1 2]]", "fail", ", :error [:precondition-failed nil]"),
            *_pair(1, "write", "[0 1]", "[0 1]"),
            *_pair(0, "cas", "[0 [1 2]]", "[0 [1 2]]"),
            *_pair(2, "read", "[0 nil]", "[0 2]"),
        ),
    ),
    Written(
        "lin-kv",
        "one register",
        True,
        _file(
            *_pair(0, "read", "nil", "nil"),
            *_pair(1, "write", "3", "3"),
            *_pair(2, "cas", "[3 4]", "[3 4]"),
            *_pair(0, "read", "nil", "4"),
        ),
    ),
    Written(
        "lin-kv",
        "one register, stale",
        False,
        _file(*_pair(2, "cas", "[nil 4]", "[nil 4]"), *_pair(1, "write", "3", "3"), *_pair(0, "read", "nil", "4")),
    ),
    Written(
        "kafka",
        "right",
        True,
        _file(
            *_pair(0, "assign", '["0" "1"]', '["0" "1"]'),
            *_pair(1, "send", '[[:send "0" 1]]', '[[:send "0" [0 1]]]'),
            *_pair(1, "send", '[[:send "0" 2]]', '[[:send "0" 2]]', "info", _TIMEOUT),
            *_NEMESIS,
            *_pair(0, "poll", "[[:poll]]", '[[:poll {"0" ([0 1] [2 2])}]]'),
            *_pair(0, "poll", "[[:poll]]", "[[:poll {}]]"),
            *_pair(0, "crash", "nil", "nil", "info"),
            *_pair(2, "assign", '["0"]', '["0"]', more=", :seek-to-beginning? true"),
            *_pair(2, "poll", "[[:poll]]", '[[:poll {"0" [[0 1] [2 2]]}]]'),
        ),
    ),
    Written(
        "kafka",
        "unseen",
        False,
        _file(
            *_pair(1, "send", '[[:send "0" 1]]', '[[:send "0" [0 1]]]'),
            *_pair(1, "send", '[[:send "0" 2]]', '[[:send "0" [1 2]]]'),
            *_pair(0, "assign", '["0"]', '["0"]'),
            *_pair(0, "poll", "[[:poll]]", '[[:poll {"0" [[0 1]]}]]'),
        ),
    ),
    Written(
        "kafka",
        "two values at one offset",
        False,
        _file(
            *_pair(1, "send", '[[:send "0" 1]]', '[[:send "0" [0 1]]]'),
            *_pair(1, "send", '[[:send "0" 2]]', '[[:send "0" [0 2]]]'),
            *_pair(0, "assign", '["0"]', '["0"]'),
            *_pair(0, "poll", "[[:poll]]", '[[:poll {"0" [[0 1]]}]]'),
        ),
    ),
    Written(
        "txn-list-append",
        "right",
        True,
        _file(
            *_pair(0, "txn", "[[:r 9 nil] [:append 9 1]]", "[[:r 9 nil] [:append 9 1]]"),
            *_NEMESIS,
            *_pair(1, "txn", "[[:append 9 2]]", "[[:append 9 2]]", "info", _TIMEOUT),
            *_pair(0, "txn", "[[:append 9 3]]", "[[:append 9 3]]", "fail", ', :error [:txn-conflict "no"]'),
            *_pair(2, "txn", "[[:r 9 nil] [:r 8 nil]]", "[[:r 9 [1 2]] [:r 8 nil]]"),
        ),
    ),
    Written(
        "txn-list-append",
        "aborted read",
        False,
        _file(
            *_pair(0, "txn", "[[:append 9 1]]", "[[:append 9 1]]"),
            *_pair(0, "txn", "[[:append 9 3]]", "[[:append 9 3]]", "fail", ', :error [:txn-conflict "no"]'),
            *_pair(2, "txn", "[[:r 9 nil]]", "[[:r 9 [1 3]]]"),
        ),
    ),
    Written(
        "txn-rw-register",
        "right",
        True,
        _file(
            *_pair(0, "txn", "[[:r 9 nil] [:w 9 1]]", "[[:r 9 nil] [:w 9 1]]"),
            *_pair(1, "txn", "[[:r 9 nil] [:w 9 2]]", "[[:r 9 1] [:w 9 2]]", "info", _TIMEOUT),
            *_pair(2, "txn", "[[:r 9 nil]]", "[[:r 9 2]]"),
        ),
    ),
    Written(
        "txn-rw-register",
        "lost update",
        False,
        _file(
            *_pair(0, "txn", "[[:w 9 1]]", "[[:w 9 1]]"),
            *_pair(1, "txn", "[[:r 9 nil] [:w 9 2]]", "[[:r 9 1] [:w 9 2]]"),
            *_pair(2, "txn", "[[:r 9 nil] [:w 9 3]]", "[[:r 9 1] [:w 9 3]]"),
        ),
    ),
)
"""Two or more for each workload."""
