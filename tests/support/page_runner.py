"""Pages that a reader follows: files to type, commands to run, and what these print.

A page is read by these conventions:

- A line with a link, as in ``[`board.py`](02/board.py):``, and the block of code below it are a file that the reader
  types. The link leads to the same file in the documentation; its text is the name under which the reader saves it.
- A line such as "You need [`network.py`](06/network.py) from chapter 6." names files that an earlier page shows; the
  reader has them already.
- In a ``console`` block, a line that begins with ``$ `` is a command for bash, and what follows, up to the next or the
  end of the block, is its complete output, stdout and stderr together. A line ``...`` stands for any number of lines,
  and `HOME` for the reader's directory. How long pytest took is never the same, so any time may stand there. Lines of
  progress, which appear on a slow machine only, are left out.
- A ``console`` block below a comment ``<!-- not run -->`` is not run.
- A comment ``<!-- emphasize-lines: 3,5-7 -->`` above a block sets off these lines when the page is built.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, TypeAlias

import attrs
import pytest

from support.paths import TESTS
from support.processes import run

HOME: Final = "/home/you/board"
"""What a page shows where the output names the directory that the reader works in."""

COMMANDS: Final = TESTS / "support" / "page_commands"
"""Commands that replace the system's while a page is followed."""

COMMAND_LIMIT: Final = 180.0
"""Seconds until a command has failed. One in real time that starts processes takes long on a busy machine."""

NOT_THE_READERS: Final = {
    "BUILD_NUMBER",  # like CI
    "CI",  # has pytest write its summary's lines whole, however wide the terminal
    "PYTEST_ADDOPTS",  # of the tests that run this
    "PYTHONSAFEPATH",  # nox sets it, to test the wheel and not the checkout; a reader's Python finds what is beside it
}
"""Variables that may be set where the tests run, and would change what a page's commands do."""

_TIME_TAKEN: Final = re.compile(r"\bin \d+\.\d\ds\b")

_PROGRESS: Final = re.compile(
    r"^(\w[\w -]* \d+\.\d( of \S+)? s, \d+x \| .*|\d+( of \d+)? seeds?: .* s of CPU.*|\d+ of \d+ runs made, .* left)\n",
    re.MULTILINE,
)
"""What the commands report every ten seconds."""


@attrs.frozen
class Block:
    """A fenced block of a page."""

    line: int
    """The number of the line with its fence."""
    kind: str
    """What the fence says, such as ``python``."""
    text: str
    name: str | None = None
    """The name of the file that the block shows, if it shows one."""
    path: str | None = None
    """Where that file is, relative to the page."""
    comment: str | None = None
    """What the comment above the block says."""


_BLOCK: Final = re.compile(
    r"""(?:^\[`(?P<name>[^`\n]+)`\]\((?P<path>[^)\n]+)\):\n\n)?
    (?:^<!--\ (?P<comment>.+)\ -->\n)?
    ^(?P<fence>```+)(?P<kind>\w*)\n(?P<text>(?:.*\n)*?)(?P=fence)$""",
    re.MULTILINE | re.VERBOSE,
)


@attrs.frozen
class TypedFile:
    """A file for the reader to type."""

    line: int
    name: str
    source: Path
    text: str


@attrs.frozen
class Command:
    """A command for the reader to run."""

    line: int
    text: str
    shown: str


Step: TypeAlias = TypedFile | Command


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [
        Block(text.count("\n", 0, it.start("fence")) + 1, it["kind"], it["text"], it["name"], it["path"], it["comment"])
        for it in _BLOCK.finditer(text)
    ]


def files_shown(text: str) -> dict[str, Block]:
    """Return the blocks with files, by their paths relative to the page; of those shown twice, the last."""
    return {block.path: block for block in blocks(text) if block.path is not None}


def files_needed(text: str) -> dict[str, str]:
    """Return the paths, relative to the page, of files that its reader has from earlier pages, by their names."""
    lines = re.findall(r"^You need (.*) from chapter \d+\.$", text, re.MULTILINE)
    return dict(re.findall(r"\[`([^`]+)`\]\(([^)]+)\)", " ".join(lines)))


def steps(text: str, folder: Path) -> list[Step]:
    """Return what a page, which is in *folder*, has its reader do, in this order."""
    needed = {name: folder / path for name, path in files_needed(text).items()}
    found: list[Step] = [TypedFile(0, name, path, path.read_text()) for name, path in needed.items()]
    for block in blocks(text):
        if block.name is not None and block.path is not None:
            found.append(TypedFile(block.line, block.name, folder / block.path, block.text))
        elif block.kind == "console" and block.comment != "not run":
            found += commands(block)
    return found


def steps_of(page: Path) -> list[Step]:
    """Return what *page* has its reader do."""
    return steps(page.read_text(), page.parent)


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block."""
    lines = block.text.splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
    assert starts[:1] == [0], f"line {block.line}: a console block begins with a command"
    return [
        Command(block.line + 1 + start, lines[start][2:], "".join(f"{line}\n" for line in lines[start + 1 : end]))
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


def is_shown_by(shown: str, output: str) -> bool:
    """Tell whether *output* is what is *shown*."""
    shown, output = (_TIME_TAKEN.sub("in 0.00s", _PROGRESS.sub("", text)) for text in (shown, output))
    pattern = "".join("(?:.*\n)*" if line == "..." else re.escape(f"{line}\n") for line in shown.splitlines())
    return re.fullmatch(pattern, output) is not None


def difference(page: Path, command: Command, output: str) -> str:
    """Return what a person needs to mend the page, or the program."""
    before, after = command.shown.splitlines(keepends=True), output.splitlines(keepends=True)
    diff = difflib.unified_diff(before, after, "the page shows", "the command printed", n=99)
    return f"{page.name}, line {command.line}: $ {command.text}\n{''.join(diff)}"


def inherited() -> dict[str, str]:
    """Return the environment of the tests without what a reader's does not have."""
    return {name: value for name, value in os.environ.items() if name not in NOT_THE_READERS}


def environment(columns: int) -> dict[str, str]:
    """Return the reader's environment: the package is installed, ``python`` is its Python; so wide is the terminal.

    ``sleep`` is a stand-in that begins when the next command of the pipe has started and read what there is.
    """
    return inherited() | {
        "PATH": os.pathsep.join([str(COMMANDS), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONUNBUFFERED": "1",  # on a terminal each line is seen as it is written
        "NO_COLOR": "1",
        "COLUMNS": f"{columns}",
        "LC_ALL": "C.UTF-8",
    }


async def follow(page: Path, directory: Path, columns: int = 80) -> int:
    """Type the files of *page* and run its commands in an empty *directory*; return how many commands that were.

    Fails the test at the first file that is not what the page shows, and at the first command that does not print it.
    """
    ran = 0
    for step in steps_of(page):
        if isinstance(step, TypedFile):
            is_same = step.text == step.source.read_text()
            assert is_same, f"{page.name}, line {step.line}: {step.source.name} is different"
            (directory / step.name).write_text(step.text)
            continue
        output = await output_of(step.text, directory, columns)
        if not is_shown_by(step.shown, output):
            pytest.fail(difference(page, step, output), pytrace=False)
        ran += 1
    return ran


async def output_of(command: str, directory: Path, columns: int) -> str:
    """Run *command* in *directory* as its reader does, and return all that it prints."""
    _, printed, _ = await run(
        *("bash", "-c", command),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env=environment(columns),
        limit=COMMAND_LIMIT,
    )
    output = printed.decode().replace(str(directory), HOME)
    return output if output == "" or output.endswith("\n") else output + "\n"
