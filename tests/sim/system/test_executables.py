"""Executables before they start: what may be one, and what is told of what cannot."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from support.processes import needs_proc

from trio_messenger.sim._system.executables import check_executable

pytestmark = needs_proc


def make_file(path: Path, content: bytes, mode: int = 0o755) -> None:
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize(
    "content",
    [
        b"#!/bin/sh\n",
        b"#! /bin/sh -e\necho",
        b"#!/usr/bin/env sh\n",
        b"#!/usr/bin/env -S sh -e\n",
        b"#!/usr/bin/env -u nothing sh\n",
        b"#!/usr/bin/env A=B sh\n",
        b"#!/usr/bin/env",
        b"\x7fELF\x02\x01\x01\x00",
    ],
)
def test_what_may_be_an_executable_is_taken(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts with a first line that works, and whatever is no text, are found by absolute and by relative paths."""
    monkeypatch.chdir(tmp_path)
    make_file(tmp_path / "my node", content)
    for name in (str(tmp_path / "my node"), "./my node", "my node"):
        assert check_executable(name) == tmp_path / "my node"


def test_a_file_goes_before_a_program_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without a slash is a file of the current folder if that can be executed, else a program on PATH."""
    monkeypatch.chdir(tmp_path)
    on_path = check_executable("sh")
    assert on_path.is_absolute()
    assert on_path.parent != tmp_path
    (tmp_path / "sh").mkdir()
    assert check_executable("sh") == on_path
    (tmp_path / "sh").rmdir()
    make_file(tmp_path / "sh", b"#!/bin/sh\n", 0o644)
    assert check_executable("sh") == on_path
    make_file(tmp_path / "sh", b"#!/bin/sh\n")
    assert check_executable("sh") == tmp_path / "sh"
    (tmp_path / "bin").mkdir()
    make_file(tmp_path / "bin" / "node", b"\x7fELF\0")
    monkeypatch.setenv("PATH", "bin")  # nodes run elsewhere
    assert check_executable("node") == tmp_path / "bin" / "node"


def test_an_executable_that_cannot_be_read_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To execute a program, one need not be able to read it."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    make_file(tmp_path / "secret", b"", 0o711)
    monkeypatch.setattr(Path, "open", refuse)
    assert check_executable(str(tmp_path / "secret")) == tmp_path / "secret"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "there is no file 'my node' in '{}', and no such program on PATH"),
        (b"#!/bin/sh\n", 0o644, "'my node' is not executable; run: chmod +x 'my node'"),
        (b"", 0o755, "'my node' is empty; begin it with, for example, #!/usr/bin/env python3"),
        (
            "print('\u00fc')\n".encode(),
            0o755,
            "'my node' is a text file whose first line does not name an interpreter; begin it with, for example,"
            " #!/usr/bin/env python3",
        ),
        (
            b"#!/bin/sh\r\necho\r\n",
            0o755,
            "'my node' has Windows line endings, which break its first line; convert them to Unix ones",
        ),
        (
            b"#!/opt/ruby\n",
            0o755,
            "the first line of 'my node' names '/opt/ruby' as its interpreter; name the path of an executable file",
        ),
        (
            b"#!sh\n",
            0o755,
            "the first line of 'my node' names 'sh' as its interpreter; name the path of an executable file",
        ),
        (
            b"#!\n",
            0o755,
            "the first line of 'my node' names '' as its interpreter; name the path of an executable file",
        ),
        (
            b"#!/usr/bin/env ruby9\n",
            0o755,
            "the first line of 'my node' names 'ruby9' as its interpreter, which is not on PATH; install it",
        ),
        (
            b"#!/usr/bin/env -S ruby9 -w\n",
            0o755,
            "the first line of 'my node' names 'ruby9' as its interpreter, which is not on PATH; install it",
        ),
    ],
)
def test_what_is_no_executable_is_named(
    tmp_path: Path, content: bytes | None, mode: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that will not run is refused with its name and with what to do."""
    monkeypatch.chdir(tmp_path)
    if content is not None:
        make_file(tmp_path / "my node", content, mode)
    with pytest.raises(ValueError, match=f"^{re.escape(said.format(tmp_path))}$"):
        check_executable("my node")


def test_what_is_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders, pipes and paths that lead nowhere are told apart."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o755)
    for name, said in [
        (".", "'.' is a folder; name the executable in it"),
        ("pipe", "'pipe' is not a regular file; name an executable file"),
        ("nodes/echo", f"there is no file 'nodes/echo' in '{tmp_path}'"),
        ("/nowhere/echo", "there is no file '/nowhere/echo'"),
        ("x" * 5000, f"there is no file '{'x' * 79}: File name too long"),
    ]:
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            check_executable(name)
