"""Python's own streams while a node runs: the same objects, whose buffers are exchanged and given back."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator

import pytest
from support.pipes import Pipes, open_pipes

from trio_messenger.transports._python_streams import LogOutput, NoInput, borrow
from trio_messenger.transports._stderr import LogWriter


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """Make pipes, one of them instead of stderr."""
    with open_pipes() as it:
        yield it


@pytest.fixture
def writer(pipes: Pipes) -> Iterator[LogWriter]:
    """Make a writer on a pipe."""
    it = LogWriter(pipes.output_write)
    yield it
    it.close()


def opened(fd: int, mode: str) -> io.TextIOWrapper:
    """Return a text stream on *fd* that is made as Python makes its own."""
    raw = io.FileIO(fd, mode, closefd=False)
    return io.TextIOWrapper(io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw), "utf-8", newline="\n")


def test_a_borrowed_stream_writes_whole_lines_elsewhere(
    pipes: Pipes, writer: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was printed before stays where it was meant to go, and so does what is printed afterwards."""
    read_end, write_end = os.pipe()
    stream = opened(write_end, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    stream.write("before ")
    [borrowed] = borrow(write_end, LogOutput(writer))
    stream.write("one ")
    assert pipes.output() == b""
    stream.write("line \ud800\n")
    assert pipes.output() == b"one line \\ud800\n"
    stream.write("rest")
    borrowed.give_back()
    assert pipes.output() == b"rest"
    stream.write("after")
    stream.flush()
    assert os.read(read_end, 100) == b"before after"
    with pytest.raises(UnicodeEncodeError):
        stream.write("\ud800")
    for fd in (read_end, write_end):
        os.close(fd)


def test_a_stream_whose_reader_has_gone_can_be_borrowed(writer: LogWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was printed before cannot be written any more; that is for its own descriptor to tell."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    stream = opened(write_end, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    stream.write("before")
    [borrowed] = borrow(write_end, LogOutput(writer))
    stream.write("line\n")
    borrowed.give_back()
    with pytest.raises(BrokenPipeError):
        stream.close()
    os.close(write_end)


def test_streams_that_others_have_put_there_are_left_alone(
    pipes: Pipes, writer: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory, on another descriptor, closed, or of another class: none of them is borrowed."""
    closed = opened(pipes.given_write, "w")
    closed.close()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", closed)
    assert borrow(pipes.given_write, LogOutput(writer)) == []


@pytest.mark.parametrize("read", [lambda it: it.read(), lambda it: it.readline(), list, lambda it: it.buffer.read(1)])
def test_reading_where_there_is_no_input_raises(read: object, pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever way stdin is read, there is an error with the remedy; afterwards it can be read."""
    stream = opened(pipes.given_read, "r")
    monkeypatch.setattr(sys, "stdin", stream)
    [borrowed] = borrow(pipes.given_read, NoInput(pipes.given_read))
    assert callable(read)
    with pytest.raises(RuntimeError, match=r"^stdin carries the node's messages, so nothing else can read it; take "):
        read(stream)
    assert stream.fileno() == pipes.given_read
    borrowed.give_back()
    os.write(pipes.given_write, b"line\n")
    assert stream.readline() == "line\n"


def test_a_log_output_is_the_terminal_that_it_leads_to() -> None:
    """Programs that colour what they print on a terminal still do so."""
    master, slave = os.openpty()
    writer = LogWriter(slave)
    output = LogOutput(writer)
    assert (output.isatty(), output.fileno()) == (True, slave)
    assert output.write(b"text\n") == 5
    assert os.read(master, 100) == b"text\r\n"
    writer.close()
    for fd in (master, slave):
        os.close(fd)
