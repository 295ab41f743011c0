"""The runner of pages: one that passes everything would prove nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.page_runner import NOT_THE_READERS, Command, TypedFile, difference, files_shown, follow, is_shown_by, steps

FOLDER = Path("/docs")

PAGE = """
[`echo.py`](01/echo.py):

<!-- emphasize-lines: 2 -->
```python
import sys

print(sys.argv)
```

```python
print("only looked at")
```

<!-- not run -->
```console
$ java
```

A link to [`other.py`](02/other.py) in a sentence: no file to type.

```console
$ echo one; echo two >&2
one
two
$ true
```
"""


def test_steps_are_read_from_a_page() -> None:
    """Files below their name and commands are steps, each with its line on the page; what is only looked at is none."""
    assert steps(PAGE, FOLDER) == [
        TypedFile(5, "echo.py", FOLDER / "01" / "echo.py", "import sys\n\nprint(sys.argv)\n"),
        Command(23, "echo one; echo two >&2", "one\ntwo\n"),
        Command(26, "true", ""),
    ]


def test_files_are_read_from_a_page() -> None:
    """What a page shows of the files beside it is known by their paths."""
    [(path, block)] = files_shown(PAGE).items()
    assert (path, block.name, block.kind, block.comment) == ("01/echo.py", "echo.py", "python", "emphasize-lines: 2")


@pytest.mark.parametrize(
    ("shown", "output", "same"),
    [
        ("", "", True),
        ("valid\n", "main 14.0 of 20 s, 1x | 3 ok, 0 fail, 0 info\nvalid\n", True),
        ("valid\n", "warm-up 0.5 s, 0x | 3 ok, 0 fail, 0 info | 1 of 2 faults bit\nvalid\n", True),
        ("valid\n", "3 of 20 seeds: 3 valid; 12 s of CPU; 0 sometimes('elected')\nvalid\n", True),
        ("valid\n", "1 seed: 1 valid; 12 s of CPU\nvalid\n", True),
        ("valid\n", "3 of 300 runs made, 2 of 9 faults left\nvalid\n", True),
        ("valid\n", "3 runs: 3 valid\nvalid\n", False),
        ("a\n", "a\n", True),
        ("a\n", "", False),
        ("", "a\n", False),
        ("a\n", "a\nb\n", False),
        ("a.c\n", "abc\n", False),
        ("a\n...\nz\n", "a\nz\n", True),
        ("a\n...\nz\n", "a\nb\nc\nz\n", True),
        ("a\n...\nz\n", "a\nb\nz\nc\n", False),
        ("a ...\n", "a b\n", False),
        ("2 passed in 0.31s\n", "2 passed in 12.07s\n", True),
        ("2 passed in 0.31s\n", "1 passed in 0.31s\n", False),
        ("within 0.4 s\n", "within 0.5 s\n", False),
    ],
)
def test_output_is_compared_whole(shown: str, output: str, same: bool) -> None:
    """What is shown is everything there is, to the letter, except for three dots and for how long pytest took."""
    assert is_shown_by(shown, output) is same


def test_difference_names_the_line_of_the_page() -> None:
    """Who reads the failure knows where to look, and what to write there."""
    text = difference(Path("01-a-message.md"), Command(16, "echo b", "a\n"), "b\n")
    assert text.startswith("01-a-message.md, line 16: $ echo b\n")
    assert text.endswith("\n-a\n+b\n")


async def test_page_is_followed_in_its_order(tmp_path: Path) -> None:
    """Files are there, by their names on the page, when the command below them runs; later ones replace them."""
    reader = tmp_path / "reader"
    reader.mkdir()
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"{name}\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[`it`](a):\n\n```text\na\n```\n```console\n$ cat it; pwd\na\n/home/you/board\n```\n"
        "[`it`](b):\n\n```text\nb\n```\n```console\n$ printf %s $COLUMNS; cat it\n80b\n```\n"
    )
    assert await follow(page, reader) == 2


async def test_a_pause_begins_when_the_next_command_reads(tmp_path: Path) -> None:
    """A pause that a page leaves for a program to start in is long enough on the slowest machine."""
    (tmp_path / "late.py").write_text("import sys, time\ntime.sleep(0.5)\nprint(sys.stdin.buffer.raw.read(9))\n")
    page = tmp_path / "page.md"
    page.write_text("```console\n$ (echo a; sleep 0.01; echo b) | python late.py\nb'a\\n'\n```\n")
    assert await follow(page, tmp_path) == 1


async def test_a_pause_that_nobody_reads_after_ends(tmp_path: Path) -> None:
    """A pause does not wait for a command that has ended, nor for a file."""
    page = tmp_path / "page.md"
    command = "(trap '' PIPE; echo a 2>/dev/null; sleep 0.01; echo b >&2) | true; sleep 0.01 >it; cat it"
    page.write_text(f"```console\n$ {command}\nb\n```\n")
    assert await follow(page, tmp_path) == 1


async def test_reader_is_nobodys_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page shows does not depend on where the tests run: under a CI, with options for pytest, from nox."""
    for name in NOT_THE_READERS:
        monkeypatch.setenv(name, "true")
    page = tmp_path / "page.md"
    page.write_text("```console\n$ printenv CI BUILD_NUMBER PYTEST_ADDOPTS PYTHONSAFEPATH || echo none\nnone\n```\n")
    assert await follow(page, tmp_path) == 1


async def test_page_that_shows_something_else_fails(tmp_path: Path) -> None:
    """The first command that prints something else fails the test."""
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo a\nb\n```\n")
    with pytest.raises(pytest.fail.Exception, match=r"^page\.md, line 2: \$ echo a\n(.*\n)*-b\n\+a\n$"):
        await follow(page, tmp_path)


async def test_file_that_is_not_what_the_page_shows_fails(tmp_path: Path) -> None:
    """The page shows the file beside it, to the letter."""
    (tmp_path / "a").write_text("a\n")
    page = tmp_path / "page.md"
    page.write_text("[`it`](a):\n\n```text\nb\n```\n")
    with pytest.raises(AssertionError, match=r"^page\.md, line 3: a is different"):
        await follow(page, tmp_path)
