"""Command lines: the commands that repeat a run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from .._runs.declaration import as_typed
from .._runs.options import OPTIONS, Options

PROGRAM: Final = "trio-messenger"
"""The name of the executable."""


def command_line(options: Options, node: Sequence[str]) -> str:
    """Return the ``trio-messenger test`` command for *options*, without options that have their default.

    Args:
      options: The options of the run.
      node: The arguments that name the node, such as ``("--node", "broadcast")``; ``--bin`` comes last in the command.
    """
    workload, *others = _written(options)
    words = [PROGRAM, "test", *workload]
    words += [] if "--bin" in node else node
    words += chain.from_iterable(others)
    words += node if "--bin" in node else []
    return shlex.join(words)


def folder_command(name: str, folder: Path, *words: str) -> str:
    """Return the command line of the command *name*, such as ``replay``, for the run in *folder*."""
    return shlex.join([PROGRAM, name, str(folder), *words])


def _written(options: Options) -> list[tuple[str, str]]:
    """Return the words of *options* with their values, without options that have their default."""
    usual = Options(workload=options.workload, nodes=options.nodes)
    words: dict[str, object] = {}
    for option in sorted(OPTIONS.values(), key=lambda option: (not option.always, option.late)):
        words.update(option.write(options, usual))
    several = ((word, value if isinstance(value, list) else [value]) for word, value in words.items())
    return [(word, as_typed(value)) for word, values in several for value in values]


def node_in_words(node: Sequence[str]) -> str:
    """Return the name of the node, or the command of the executable, that the arguments *node* name."""
    return shlex.join(word for word in node[1:] if word != "--")
