"""Where things are, seen from the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
ROOT: Final = TESTS.parent
DOCS: Final = ROOT / "docs"

EXECUTABLES: Final = TESTS / "support" / "executables"
"""Nodes that know nothing of the package, for simulations of processes."""
