"""The order of the pages, in ``docs/_toc.yml``."""

from __future__ import annotations

import re

from support.paths import DOCS


def pages() -> list[str]:
    """Return every page in the table of contents, as a path in ``docs`` without ``.md``."""
    return re.findall(r"^ *(?:- file|root): (\S+)$", (DOCS / "_toc.yml").read_text(encoding="utf-8"), re.MULTILINE)


def pages_of(folder: str) -> list[str]:
    """Return the pages in a *folder*, without its index and without the folder's name, in their order."""
    names = [page.removeprefix(f"{folder}/") for page in pages() if page.startswith(f"{folder}/")]
    assert names[0] == "index"
    return names[1:]
