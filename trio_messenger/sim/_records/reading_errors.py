"""The error and the limit of the readers of histories. An error names its place, so that people can look there."""

from __future__ import annotations

from typing import Final, final

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""Some editors write it at the beginning of a text in UTF-8."""

MOST_NESTED: Final = 200
"""The maximum depth of collections in a text. Histories need about ten; code that processes values uses recursion."""


@final
class ReadingError(ValueError):
    """A text cannot be read. The message names the line, the column and the reason, such as ``line 3, column 7: ...``.

    Args:
      line: The line, from 1.
      column: The column in that line, from 1; in characters, or in bytes if the text is not UTF-8.
      reason: The reason and the remedy.
    """

    def __init__(self, line: int, column: int, reason: str) -> None:
        super().__init__(line, column, reason)
        self.line, self.column, self.reason = line, column, reason

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.reason}"


def place_of(text: str | bytes, offset: int) -> tuple[int, int]:
    """Return the line and the column, both from 1, of the character or byte with this *offset* in *text*."""
    newline = "\n" if isinstance(text, str) else b"\n"
    return text.count(newline, 0, offset) + 1, offset - text.rfind(newline, 0, offset)  # type: ignore[arg-type]


def error_at(text: str | bytes, offset: int, reason: str) -> ReadingError:
    """Return the error for the character or byte with this *offset* in *text*."""
    return ReadingError(*place_of(text, offset), reason)


def decode_text(content: bytes) -> str:
    """Return *content*, which is UTF-8, as a string.

    Raises:
      ReadingError: if it is not UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        raise error_at(content, exc.start, f"the byte 0x{content[exc.start]:02x} is not UTF-8") from None
