"""Long texts are cut, to stand in reports, errors and explanations: the beginning, and three dots."""

from __future__ import annotations

import json
from typing import Any, Final

CUT_AT: Final = 120
"""Characters of a text, or bytes of a line: enough to recognise it, and few enough for a sentence. The texts of errors
from the simulated services depend on it, so a change makes other runs from the same seeds."""


def cut_text(text: str, limit: int = CUT_AT) -> str:
    """Return *text*; if it has more than *limit* characters, return its beginning and three dots."""
    return text if len(text) <= limit else text[:limit] + "..."


def cut_json(value: Any) -> str:
    """Return *value* as JSON, cut like a text."""
    return cut_text(json.dumps(value, ensure_ascii=False))


def cut_line(line: bytes) -> str:
    """Return a printed *line*, cut like a text, as an ASCII string literal, which is safe to show anywhere."""
    return ascii(line[:CUT_AT].decode(errors="replace")) + ("..." if len(line) > CUT_AT else "")
