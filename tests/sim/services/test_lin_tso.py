"""lin-tso: timestamps."""

from __future__ import annotations

from support.services import (
    asked,
    make,
)

from trio_messenger import (
    LIN_TSO,
)


def test_timestamps_count_from_zero() -> None:
    """Each request gets the next integer, whoever asks; a request that is refused uses none up."""
    service = make(LIN_TSO)
    replies = []
    for n in range(1000):
        assert asked(service, "n1", {"type": "read", "key": 1})["code"] == 10
        replies.append(asked(service, f"n{n % 3}", {"type": "ts", "msg_id": n}))
    assert replies == [{"type": "ts_ok", "ts": n} for n in range(1000)]
