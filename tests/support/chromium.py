"""Chromium for tests: where it is, what it is started with, and what it shows. Nothing here needs Playwright."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import attrs

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The names that the executable has in distributions; `noxfile.py` has the same."""

FLAGS: Final = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run"),
    # Chromium itself would ask for updates and addresses of its maker.
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
)


def find_chromium() -> str | None:
    """Return the path of Chromium, or None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@attrs.frozen
class Store:
    """A store with a run of each kind."""

    path: Path
    short: Path
    """The page of a valid run with about 20 messages."""
    failing: Path
    """The page of an invalid run with about 40 messages."""
    long: Path
    """The page of a run with 10,000 messages or more."""
