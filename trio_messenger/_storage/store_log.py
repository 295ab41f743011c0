r"""The log of a `FileStore`, without I/O: lines with checksums.

Each line is a checksum in eight hexadecimal digits, a space, and JSON:

- ``{"format":1,"life":2}`` is the first line: how often the store was opened before.
- ``["name",value]`` is an assignment, ``["name"]`` a deletion.
- ``{"synced":120}`` is a mark: the disk has the first 120 bytes of the log.

The checksum is the CRC-32 of the JSON, which begins with the line's position instead of 0. So each line can be checked
alone, and a line that was lost or moved is noticed.

A crash may leave any part of the bytes after the last sync. Therefore a bad line is the end of the log, unless a mark
behind it says that the disk had this line: then the disk has damaged it, and nothing may be dropped silently.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs
import msgspec

FORMAT_OF_LOG: Final = 1
"""The version of the format."""

OVERHEAD: Final = 14
"""Bytes of the line of an assignment besides name and value: checksum, brackets, quotes, comma, newline."""

_CHECKED: Final = 9
"""Bytes of a line before its JSON."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.decode
_CHANGE_FORM: Final = re.compile(rb'\[("(?:[^"\\]|\\.)*")(?:,(.*))?\]')
_MARK_FORM: Final = re.compile(rb'(\{"synced":\d+\})\n')


class DamagedLogError(Exception):
    """A line that the disk had is damaged, or the first line is none; the text says where."""


@attrs.frozen
class LogContents:
    """The state that a log describes."""

    life: int
    """How often the store was opened before this log was begun."""
    values: dict[str, bytes]
    """The JSON of each value, by name."""
    cut: int
    """The number of bytes at the end that are no complete change, or come after such bytes."""


def change_line(name: str, value: bytes | None) -> bytes:
    """Return the JSON of an assignment, or of a deletion if *value* is None."""
    return b"[%b]" % _encode(name) if value is None else b"[%b,%b]" % (_encode(name), value)


def mark_line(position: int) -> bytes:
    """Return the JSON of a mark: the disk has the log up to *position*."""
    return b'{"synced":%d}' % position


def checked_line(content: bytes, position: int) -> bytes:
    """Return the line of *content* at *position* in the log."""
    return b"%08x %b\n" % (_checksum(content, position), content)


def snapshot_lines(life: int, values: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield the lines of a new log with these contents."""
    position = 0
    for content in _snapshot(life, values.items()):
        line = checked_line(content, position)
        position += len(line)
        yield line


def read_log(data: bytes) -> LogContents:
    """Return the last complete state in *data*.

    Raises:
      DamagedLogError: if the log is damaged where the disk had it, or is not a log of this format.
    """
    values: dict[str, bytes] = {}
    lines = _lines(data, 0)
    _, first = next(lines, (0, None))
    life = _life(first)
    end = len(first or b"") + _CHECKED + 1
    for position, content in lines:
        if content is None:
            if _is_promised(data, position):
                raise DamagedLogError(f"byte {position} of its log does not match its checksum")
            return LogContents(life, values, cut=len(data) - position)
        _apply(content, values)
        end = position + len(content) + _CHECKED + 1
    return LogContents(life, values, cut=len(data) - end)


def _snapshot(life: int, values: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    yield _encode({"format": FORMAT_OF_LOG, "life": life})
    for name, value in values:
        yield change_line(name, value)


def _checksum(content: bytes, position: int) -> int:
    return zlib.crc32(content, position & 0xFFFFFFFF)


def _lines(data: bytes, position: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield the position of each line from *position* on, and its JSON if the line matches its checksum."""
    while (end := data.find(b"\n", position)) >= 0:
        content = data[position + _CHECKED : end]
        is_good = data[position : end + 1] == checked_line(content, position)
        yield position, content if is_good else None
        position = end + 1


def _life(first: bytes | None) -> int:
    """Return the number in the first line of a log."""
    if first is None or not first.startswith(b'{"format":'):
        raise DamagedLogError("its log does not begin with the line that each log begins with")
    head = _decode(first)
    if head["format"] != FORMAT_OF_LOG:
        raise DamagedLogError(f"its log has format {head['format']}, and this version reads format {FORMAT_OF_LOG}")
    life: int = head["life"]
    return life


def _apply(content: bytes, values: dict[str, bytes]) -> None:
    found = _CHANGE_FORM.fullmatch(content)
    if found is None:
        return  # a mark
    name, value = _decode(found[1]), found[2]
    if value is None:
        values.pop(name, None)
    else:
        values[name] = value


def _is_promised(data: bytes, position: int) -> bool:
    """Tell whether a mark after *position* says that the disk had more than the log up to there.

    It looks for marks anywhere, because the newline before a mark may be what is damaged.
    """
    for found in _MARK_FORM.finditer(data, position):
        start = found.start() - _CHECKED
        is_good = start >= position and data[start : found.end()] == checked_line(found[1], start)
        if is_good and _decode(found[1])["synced"] > position:
            return True
    return False
