"""The journal of a simulated run, as it was sent."""

from __future__ import annotations

import json
from typing import Any

from trio_messenger.sim import Report


def sends(report: Report) -> list[dict[str, Any]]:
    """Return the messages sent, in order."""
    return [json.loads(bytes(entry.raw)) for entry in report.journal if entry.raw is not None]
