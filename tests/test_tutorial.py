"""The tutorial is true: who types each chapter's files and runs its commands sees, at every step, what its page shows.

A page is read by these conventions:

- A ``literalinclude`` with a caption is a file that the reader types, under the name that is the caption; one without
  a caption is only looked at.
- In a ``console`` block, a line that begins with ``$ `` is a command for bash, and what follows, up to the next or the
  end of the block, is its complete output, stdout and stderr together. A line ``...`` stands for any number of lines,
  and `HOME` for the reader's directory.
- A ``{code-block} console`` is not run.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, TypeAlias

import attrs
import pytest
from harness_process import run

FOLDER: Final = Path(__file__).parents[1] / "docs" / "tutorial"
PAGES: Final = sorted(path.stem for path in FOLDER.glob("[0-9][0-9]-*.md"))

HOME: Final = "/home/you/board"
"""What a page shows where the output names the directory that the reader works in."""

TYPED_WHOLE: Final = {"caption", "emphasize-lines", "language"}
"""Options of a file to type; others would show a part of it, or something else."""


@attrs.frozen
class TypedFile:
    """A file for the reader to type."""

    line: int
    name: str
    source: Path


@attrs.frozen
class Command:
    """A command for the reader to run."""

    line: int
    text: str
    shown: str


Step: TypeAlias = TypedFile | Command


def text_of(page: str) -> str:
    """Return the page's source."""
    return (FOLDER / f"{page}.md").read_text()


def folder_of(page: str) -> Path:
    """Return where the files of the page are."""
    return FOLDER / page.partition("-")[0]


def fences(text: str) -> list[tuple[int, str, list[str]]]:
    """Return the fenced blocks of a page: the number of their first line, what their fence says, their lines."""
    return [
        (text.count("\n", 0, match.start()) + 1, match[1], match[2].splitlines())
        for match in re.finditer(r"^```(.+)\n((?:.*\n)*?)```$", text, re.M)
    ]


def included(text: str) -> dict[str, dict[str, str]]:
    """Return the files that a page includes, with the options of the last time."""
    files = {}
    for _, kind, lines in fences(text):
        if kind.startswith("{literalinclude} "):
            files[kind.split(maxsplit=1)[1]] = options(lines)
    return files


def options(lines: list[str]) -> dict[str, str]:
    """Return the options of a directive."""
    return dict(re.findall(r"^:([a-z-]+): ?(.*)$", "\n".join(lines), re.M))


def steps(text: str) -> list[Step]:
    """Return what a page has its reader do, in this order."""
    found: list[Step] = []
    for line, kind, lines in fences(text):
        if kind.startswith("{literalinclude} "):
            given = options(lines)
            if "caption" in given:
                assert given.keys() <= TYPED_WHOLE, f"line {line}: a file to type is shown whole"
                found.append(TypedFile(line, given["caption"], FOLDER / kind.split(maxsplit=1)[1]))
        elif kind == "console":
            found += commands(line, lines)
    return found


def commands(fence: int, lines: list[str]) -> list[Command]:
    """Return the commands of the console block whose fence is on line *fence*."""
    starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
    assert starts[:1] == [0], f"line {fence}: a console block begins with a command"
    return [
        Command(fence + 1 + start, lines[start][2:], "".join(f"{line}\n" for line in lines[start + 1 : end]))
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


def is_shown_by(shown: str, output: str) -> bool:
    """Tell whether *output* is what is *shown*."""
    pattern = "".join("(?:.*\n)*" if line == "..." else re.escape(f"{line}\n") for line in shown.splitlines())
    return re.fullmatch(pattern, output) is not None


def difference(page: str, command: Command, output: str) -> str:
    """Return what a person needs to mend the page, or the program."""
    before, after = command.shown.splitlines(keepends=True), output.splitlines(keepends=True)
    diff = difflib.unified_diff(before, after, "the page shows", "the command printed", n=99)
    return f"{page}.md, line {command.line}: $ {command.text}\n{''.join(diff)}"


def environment() -> dict[str, str]:
    """Return the reader's environment: the package is installed, and ``python`` is its Python."""
    # A reader's Python finds what is beside the program; nox forbids that, to test the wheel and not the checkout.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    return inherited | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",  # on a terminal each line is seen as it is written
        "NO_COLOR": "1",
        "COLUMNS": "120",
        "LC_ALL": "C.UTF-8",
    }


@pytest.mark.parametrize("page", PAGES)
async def test_reader_sees_what_the_page_shows(page: str, tmp_path: Path) -> None:
    """Typed and run in an empty directory, each command of a chapter prints what the page says it does."""
    ran = 0
    for step in steps(text_of(page)):
        if isinstance(step, TypedFile):
            shutil.copyfile(step.source, tmp_path / step.name)
            continue
        _, printed, _ = await run(
            "bash", "-c", step.text, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd=tmp_path, env=environment()
        )
        output = printed.decode().replace(str(tmp_path), HOME)
        if output and not output.endswith("\n"):
            output += "\n"
        if not is_shown_by(step.shown, output):
            pytest.fail(difference(page, step, output), pytrace=False)
        ran += 1
    assert ran, "a chapter without a command shows nothing that is real"


@pytest.mark.parametrize("page", PAGES)
def test_page_uses_every_file_in_its_folder(page: str) -> None:
    """A program or an input that no page shows is one that nobody reads; one of another chapter may be shown again."""
    text = text_of(page)
    folder = folder_of(page)
    own = {name for name in included(text) if name.startswith(f"{folder.name}/")}
    assert own == {f"{folder.name}/{path.name}" for path in folder.iterdir() if path.is_file()}
    for step in steps(text):
        if isinstance(step, TypedFile):
            assert step.name == Path(step.name).name, f"line {step.line}: the caption is the name of a file"


@pytest.mark.parametrize("page", PAGES)
def test_page_has_its_parts(page: str) -> None:
    """A chapter ends with what we know now and with three things to try, neither more nor fewer."""
    text = text_of(page)
    known = section(text, "What we know now")
    assert re.findall(r"^- ", known, re.M), "what we know now is a list"
    to_try = section(text, "Three things to try")
    assert len(re.findall(r"^(?:- |\d+\. )", to_try, re.M)) == 3


def section(text: str, heading: str) -> str:
    """Return what is between *heading*, which is there once, and the next one."""
    [body] = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return str(body)


@pytest.mark.parametrize("page", [*PAGES, "index"])
def test_page_is_not_too_long(page: str) -> None:
    """A chapter can be read at one sitting."""
    assert len(text_of(page).splitlines()) < 400


def test_index_names_every_chapter() -> None:
    """The list, numbered, and the table of contents have all chapters in their order, and no others."""
    text = text_of("index")
    listed = re.findall(r"^(\d+)\. \[.*\]\((.*)\.md\)", text, re.M)
    assert [stem for _, stem in listed] == PAGES
    assert [number for number, _ in listed] == [str(number) for number in range(1, len(PAGES) + 1)]
    [toctree] = [lines for _, kind, lines in fences(text) if kind == "{toctree}"]
    assert [line for line in toctree if line] == [":hidden:", *PAGES]
    assert sorted(path.name for path in FOLDER.iterdir() if path.is_dir()) == [folder_of(page).name for page in PAGES]


# The runner itself: one that passes everything would prove nothing

PAGE = """
```{literalinclude} 01/echo.py
:caption: echo.py
:emphasize-lines: 2
```

```{literalinclude} 01/echo.py
:lines: 1-3
```

```{code-block} console
$ java
```

```console
$ echo one; echo two >&2
one
two
$ true
```
"""


def test_steps_are_read_from_a_page() -> None:
    """Files with a caption and commands are steps, each with its line on the page; what is only looked at is none."""
    assert steps(PAGE) == [
        TypedFile(2, "echo.py", FOLDER / "01" / "echo.py"),
        Command(16, "echo one; echo two >&2", "one\ntwo\n"),
        Command(19, "true", ""),
    ]


@pytest.mark.parametrize(
    ("shown", "output", "same"),
    [
        ("", "", True),
        ("a\n", "a\n", True),
        ("a\n", "", False),
        ("", "a\n", False),
        ("a\n", "a\nb\n", False),
        ("a.c\n", "abc\n", False),
        ("a\n...\nz\n", "a\nz\n", True),
        ("a\n...\nz\n", "a\nb\nc\nz\n", True),
        ("a\n...\nz\n", "a\nb\nz\nc\n", False),
        ("a ...\n", "a b\n", False),
    ],
)
def test_output_is_compared_whole(shown: str, output: str, same: bool) -> None:
    """What is shown is everything there is, to the letter, except where a line of three dots stands for some lines."""
    assert is_shown_by(shown, output) is same


def test_difference_names_the_line_of_the_page() -> None:
    """Who reads the failure knows where to look, and what to write there."""
    text = difference("01-a-message", Command(16, "echo b", "a\n"), "b\n")
    assert text.startswith("01-a-message.md, line 16: $ echo b\n")
    assert text.endswith("\n-a\n+b\n")
