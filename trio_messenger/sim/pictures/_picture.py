"""Pictures that a workload adds to the folder and the page of a run."""

from __future__ import annotations

import re
from typing import Any, Final, final

import attrs

_FILE_NAME: Final = re.compile(r"[a-z0-9-]+\.svg")

RESERVED: Final = frozenset({"messages.svg", "latency.svg", "rate.svg"})
"""The pictures that each run has."""


def _check_name(picture: Picture, attribute: attrs.Attribute[str], name: Any) -> None:  # noqa: ARG001 - attrs calls it
    if not _FILE_NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"a picture cannot be called {name!r:.80}; use small letters, digits and hyphens, then .svg, and none"
            f" of the names that each run has: {', '.join(sorted(RESERVED))}"
        )


@final
@attrs.frozen(kw_only=True)
class Picture:
    """A picture of a workload, for the folder and the page of a run; see `~trio_messenger.sim.Workload.pictures`.

    Raises:
      ValueError: if the name is not a plain file name, or if each run has a picture with that name.

    Example:
      >>> picture = pictures.Picture(name="queue.svg", title="Queue", explanation="What was in it.", svg="<svg/>")
      >>> picture.name
      'queue.svg'
    """

    name: str = attrs.field(validator=_check_name)
    """The name of its file, such as ``linear.svg``."""
    title: str
    """The heading above it."""
    explanation: str
    """How to read it, in a few sentences."""
    svg: str = attrs.field(repr=False)
    """The SVG document."""
