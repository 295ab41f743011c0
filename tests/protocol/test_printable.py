"""What comes from outside and is shown to people: on one line, and without anything that acts on a terminal."""

from __future__ import annotations

import gc
import json
import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from support.lines import INIT, line
from support.processes import bodies, own_node, run

from trio_messenger import Node, printable
from trio_messenger._protocol.printable import JsonFormatter, OneLineFormatter, _Guard, format_exception
from trio_messenger.testing import running

HOSTILE = "\x1b[2J\x1b]0;title\x07 \r\nWARNING: forged \u202egnitirw \x9b31m \u2028 \x00 \u200b end"
"""Clears the screen, sets its title, begins a new line, turns the direction of writing, and more."""

SHOWN = (
    r"\x1b[2J\x1b]0;title\x07 \r\nWARNING: forged \u202egnitirw \x9b31m \u2028 \x00 \u200b end"  # as Python writes it
)


@pytest.mark.slow
@pytest.mark.every_python
@given(st.text())
def test_printable_text_stays_and_anything_else_becomes_so(text: str) -> None:
    """The result is printable, on one line, can be encoded, and stays as it is when it is made printable again."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert printable(shown) == shown
    assert shown == text or not text.isprintable()


@pytest.mark.parametrize("text", ["", "plain", "naïve café", "日本語", "עברית", "🙂", r"back\slash and 'quotes'"])
def test_letters_of_all_languages_stay(text: str) -> None:
    """Only what acts on the display is replaced."""
    assert printable(text) == text


def test_control_characters_are_written_as_in_a_python_string() -> None:
    """Each is shown, and none acts."""
    assert printable(HOSTILE) == SHOWN
    assert printable("\ud800") == r"\ud800"


# Tracebacks


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """Return *error* as it is after it was raised."""
    try:
        raise error from cause
    except Exception as exc:  # noqa: BLE001 - whatever it is
        return exc


CAUGHT = {
    "plain": lambda: raised(ValueError("wrong")),
    "cause": lambda: raised(ValueError("wrong"), raised(KeyError("before"))),
    "group": lambda: raised(ExceptionGroup("all", [raised(ValueError("one")), ExceptionGroup("in", [OSError("two")])])),
    "syntax": lambda: raised(SyntaxError("bad", ("file.py", 1, 5, "1 + + x", 1, 6))),
    "notes": lambda: noted("a note"),
}


def noted(note: str) -> Exception:
    """Return an exception with a note."""
    error = ValueError("wrong")
    error.add_note(note)
    return raised(error)


@pytest.mark.parametrize("kind", CAUGHT)
def test_a_harmless_traceback_is_as_python_has_it(kind: str) -> None:
    """Causes, groups, syntax errors and notes look as ever."""
    error = CAUGHT[kind]()
    assert format_exception(error) + "\n" == "".join(traceback.format_exception(error))


def test_texts_in_a_traceback_stay_on_their_line() -> None:
    """Of an exception, its causes, notes and members, no text can begin a line or act on a terminal."""
    inner = noted(HOSTILE)
    context = raised(RuntimeError(HOSTILE))
    members = [raised(KeyError("k"), inner), context, raised(SyntaxError(HOSTILE))]
    text = format_exception(raised(ExceptionGroup(HOSTILE, members), raised(OSError(HOSTILE))))
    assert all(each.isprintable() for each in text.split("\n"))
    assert not [each for each in text.split("\n") if each.lstrip(" |").startswith("WARNING")]
    assert text.count(SHOWN) == 5


def test_formatting_leaves_no_cycle() -> None:
    """Nothing is left for a garbage collection to find."""
    error = raised(ValueError("wrong"), raised(KeyError("before")))
    while gc.collect():  # what finalizers of other tests leave, too
        pass
    gc.disable()
    try:
        format_exception(error)
        assert gc.collect() == 0
    finally:
        gc.enable()


# Logging


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """Collect what the library logs."""
    found: list[logging.LogRecord] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    log = logging.getLogger("trio_messenger")
    handler = Collecting()
    log.addHandler(handler)
    yield found
    log.removeHandler(handler)


def test_what_the_library_logs_is_printable_whatever_formats_it(records: list[logging.LogRecord]) -> None:
    """A program's own formatters get a message and a traceback that they can print as they are."""
    log = logging.getLogger("trio_messenger")
    log.warning("from %s", HOSTILE)
    log.error("failed", exc_info=raised(ValueError(HOSTILE)))
    log.warning("harmless %s", "text")
    log.error("no exception", exc_info=True)
    texts = [logging.Formatter().format(record) for record in records]
    assert texts[0] == f"from {SHOWN}"
    assert texts[1].endswith(f"\nValueError: {SHOWN}")
    assert texts[2] == "harmless text"
    assert texts[3].startswith("no exception")
    assert records[2].args == ("text",)


def test_the_formatter_makes_each_record_one_line() -> None:
    """What handlers log of a peer's text is one line, and a traceback below it."""
    formatter = OneLineFormatter("%(levelname)s: %(message)s")

    def shown(**fields: object) -> str:
        return formatter.format(logging.makeLogRecord({"levelname": "INFO", "msg": HOSTILE, **fields}))

    assert shown() == f"INFO: {SHOWN}"
    error = raised(ValueError(HOSTILE))
    assert shown(exc_info=(ValueError, error, None)).endswith(f"\nValueError: {SHOWN}")
    assert shown(exc_info=(None, None, None)).rstrip() == f"INFO: {SHOWN}"


async def test_nothing_that_a_peer_sends_acts_on_stderr(tmp_path: Path) -> None:
    """Names, types, errors and whatever a handler raises or logs of them: every line of stderr is printable."""
    source = """
import logging
log = logging.getLogger("own")

@node.on("log")
def talk(request):
    log.warning("%s says %s", request.src, request.body["text"])

@node.on("raise")
def fail(request):
    raise ValueError(request.body["text"])

@node.on("ask")
async def ask(request):
    try:
        await node.rpc("n2", {"type": "fail"})
    except Exception as exc:
        raise RuntimeError("asked in vain") from exc

@node.on("tell")
def tell(request):
    def fail(outcome):
        raise outcome
    node.rpc_callback("n2", {"type": "fail"}, fail)

@node.background
async def gossip():
    await node.rpc("n2", {"type": "fail"})
"""
    given = INIT
    for number, kind in enumerate(["log", "raise", "ask", "tell", "x" + HOSTILE], 2):
        given += line({"type": kind, "text": HOSTILE, "msg_id": number}, src=HOSTILE)
    for msg_id in range(12):
        given += line({"type": "error", "code": 1000, "text": HOSTILE, "in_reply_to": msg_id}, src="n2")
    given += line({"type": "error", "code": 1, "text": HOSTILE}, src=HOSTILE, dest="n1")
    given += line({"type": "echo"}, src=HOSTILE, dest=HOSTILE) + HOSTILE.encode() + b"\n"
    status, output, errors = await run(*own_node(tmp_path, source), input=given, cwd=tmp_path)
    assert status == 0
    assert len(bodies(output)) > 5
    assert all(text.isprintable() for text in errors.split("\n"))
    assert not [text for text in errors.split("\n") if text.lstrip(" |").startswith("WARNING: forged")]
    assert errors.count(SHOWN) > 6
    assert "asked in vain" in errors


def test_a_record_as_json_has_its_traceback_in_one_line() -> None:
    """And none, if the record says that there is an exception where there is none."""
    try:
        raise ValueError("a\nb")
    except ValueError:
        record = logging.LogRecord("own", logging.ERROR, "", 0, "%s failed", ("it",), sys.exc_info())
    text = JsonFormatter().format(record)
    assert "\n" not in text
    entry = json.loads(text)
    assert (entry["level"], entry["logger"], entry["message"]) == ("ERROR", "own", "it failed")
    assert entry["exception"].startswith("Traceback (most recent call last):\n")
    assert entry["exception"].endswith("ValueError: a\\nb")
    record.exc_info = (None, None, None)
    assert "exception" not in json.loads(JsonFormatter().format(record))


# Long texts

LONG = "\x1b" + "x" * 1_000_000
CUT = r"\x1b" + "x" * 65_535 + "... (934465 more characters)"


def test_long_texts_are_cut_in_the_log() -> None:
    """A reader gets the beginning and the rest of the log, instead of nothing: a line of megabytes would not fit."""
    error = ValueError(LONG)
    error.add_note(LONG)
    error.__cause__ = KeyError(LONG)
    text = format_exception(error)
    assert [line[:11] for line in text.splitlines()] == ["KeyError: '", "", "The above e", "", "ValueError:", CUT[:11]]
    assert text.count(" more characters)") == 3
    assert len(text) < 3 * 66_000
    record = logging.makeLogRecord({"msg": "%s", "args": (LONG,), "levelname": "ERROR"})
    assert OneLineFormatter("%(levelname)s: %(message)s").format(record).startswith("ERROR: " + CUT[:1000])
    assert json.loads(JsonFormatter().format(record))["message"] == LONG[:65_536] + "... (934465 more characters)"


def test_the_librarys_own_lines_are_cut_for_every_handler(caplog: pytest.LogCaptureFixture) -> None:
    """Once: a formatter of the library's does not cut them again."""
    logging.getLogger("trio_messenger").error("%s", LONG)
    [record] = caplog.records
    assert record.getMessage() == CUT
    assert OneLineFormatter("%(levelname)s: %(message)s").format(record) == f"ERROR: {CUT}"


# Handlers and filters that raise


@pytest.mark.parametrize("kind", ["handler", "filter"])
async def test_a_handler_or_filter_that_raises_does_not_end_the_node(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever can make the node log a line would otherwise end it. Stderr says what is lost."""

    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise KeyError(record.levelname)

        def filter(self, record: logging.LogRecord) -> bool:
            raise KeyError(record.levelname)

    log, raising = logging.getLogger("trio_messenger"), Raising()
    if kind == "handler":
        raising.filter = lambda _: True  # type: ignore[method-assign, assignment]
        log.addHandler(raising)
    else:
        log.addFilter(raising)
    try:
        async with running(Node()) as network:
            for _ in range(2):
                assert (await network.request("nothing"))["code"] == 10
    finally:
        log.removeHandler(raising)
        log.removeFilter(raising)
    errors = capsys.readouterr().err
    assert errors.count("ERROR: a handler or filter of logging raised, so a line is lost (") == 2
    assert errors.count("\nKeyError: 'WARNING'\n") == 2


async def test_a_handler_that_always_raises_does_not_flood_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """The failures are told as other events are: the first ten, then ever fewer."""
    logger = logging.Logger("mine")
    logger.handle = _Guard(logger)  # type: ignore[method-assign]
    logger.addFilter(lambda _: 1 // 0 > 0)
    for _ in range(100):
        logger.warning("a line")
    assert capsys.readouterr().err.count("so a line is lost") == 10 + 3
