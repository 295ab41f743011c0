"""The log of a store as bytes: cut anywhere, damaged anywhere, of another format."""

from __future__ import annotations

import msgspec
import pytest

from trio_messenger._storage.store_log import (
    DamagedLogError,
    change_line,
    checked_line,
    mark_line,
    read_log,
    snapshot_lines,
)

CHANGES: tuple[tuple[str, object], ...] = (
    ("term", 1),
    ("log", ["x", {"y": None}]),
    ('quoted "\\', "line\nbreak"),
    ("term", 2),
    ("log", ...),
    ("", {}),
)
"""Assignments, and with ``...`` a deletion."""


def log_of(changes: tuple[tuple[str, object], ...], *, marks: tuple[int, ...] = ()) -> tuple[bytes, list[int]]:
    """Return a log and where it ends after each change; after those with the indexes *marks*, it is synced."""
    data = b"".join(snapshot_lines(3, {}))
    ends = [len(data)]
    for index, (name, value) in enumerate(changes):
        encoded = None if value is ... else msgspec.json.encode(value)
        data += checked_line(change_line(name, encoded), len(data))
        ends.append(len(data))
        if index in marks:
            data += checked_line(mark_line(len(data)), len(data))
    return data, ends


def state_after(count: int) -> dict[str, object]:
    """Return the values after the first *count* changes."""
    return {name: value for name, value in dict(CHANGES[:count]).items() if value is not ...}


def values_in(data: bytes) -> dict[str, object]:
    return {name: msgspec.json.decode(value) for name, value in read_log(data).values.items()}


def test_a_log_that_is_cut_anywhere_has_the_last_complete_state() -> None:
    """Each prefix of a log has the state after the changes that are complete in it, and tells how much it cuts."""
    data, ends = log_of(CHANGES)
    for size in range(ends[0], len(data) + 1):
        complete = sum(end <= size for end in ends) - 1
        assert values_in(data[:size]) == state_after(complete)
        assert read_log(data[:size]).cut == size - ends[complete]
        assert read_log(data[:size]).life == 3


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_damage_after_the_last_sync_cuts_the_log_there(bit: int) -> None:
    """Whatever a power failure leaves of what was not synced, complete lines among it included."""
    data, _ = log_of(CHANGES, marks=(1,))
    mark = data.index(b'{"synced"') - 9
    for position in range(mark, len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << bit
        kept = values_in(bytes(damaged))
        assert kept in [state_after(count) for count in range(2, len(CHANGES) + 1)]
        assert len(kept) >= len(state_after(2)) or kept == state_after(5)
        assert read_log(bytes(damaged)).cut > 0


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_damage_before_the_last_sync_is_never_dropped(bit: int) -> None:
    """Any changed bit in what the disk had is an error, wherever it is, line ends included."""
    data, _ = log_of(CHANGES, marks=(1, 5))
    mark = data.rindex(b'{"synced"') - 9
    for position in range(mark):
        damaged = bytearray(data)
        damaged[position] ^= 1 << bit
        with pytest.raises(DamagedLogError, match=r"^(byte \d+ of its log does not match|its log does not begin with)"):
            read_log(bytes(damaged))


def test_a_missing_line_is_damage() -> None:
    """Lines belong to their places: without one, or with two exchanged, the log does not match."""
    data, ends = log_of(CHANGES, marks=(5,))
    with pytest.raises(DamagedLogError, match=f"^byte {ends[1]} of its log does not match its checksum$"):
        read_log(data[: ends[1]] + data[ends[2] :] + checked_line(mark_line(len(data)), len(data) - ends[2] + ends[1]))
    exchanged = data[: ends[1]] + data[ends[2] : ends[3]] + data[ends[1] : ends[2]] + data[ends[3] :]
    with pytest.raises(DamagedLogError, match=f"^byte {ends[1]} "):
        read_log(exchanged)


def test_a_value_that_looks_like_a_mark_is_none() -> None:
    """Only a line of the log is a mark, not text in a value."""
    data, ends = log_of((("a", 1), ("b", '{"synced":999}\n'), ("c", 00000000)))
    damaged = data[: ends[0]] + b"x" + data[ends[0] + 1 :] + b'00000000 {"synced":9}\n00000000 {"synced":999}\n'
    assert values_in(damaged) == {}


@pytest.mark.parametrize("data", [b"", b"\n", b"not a log\n", checked_line(b'["a",1]', 0), b'{"format":1,"life":0}\n'])
def test_a_file_that_is_no_log_is_refused(data: bytes) -> None:
    """Its first line is that of a log, or it is not one."""
    with pytest.raises(DamagedLogError, match=r"^its log does not begin with the line that each log begins with$"):
        read_log(data)


def test_a_log_of_another_format_is_refused() -> None:
    """A later version may write what this one would misread."""
    with pytest.raises(DamagedLogError, match=r"^its log has format 2, and this version reads format 1$"):
        read_log(checked_line(b'{"format":2,"more":true}', 0))
