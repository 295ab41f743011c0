"""Executables that do not come up: what is told of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.paths import EXECUTABLES
from support.process_runs import (
    PYTHON,
    WRONG,
    assert_nothing_is_left,
    make_run,
)
from support.processes import LIMIT, needs_proc

from trio_messenger.sim import (
    SetUpError,
)
from trio_messenger.sim._cluster import cluster, processes
from trio_messenger.sim._judging.judgement import judge, warnings
from trio_messenger.sim._runs.real_time import run_real

pytestmark = needs_proc
NOTHING_SAID = "its last lines on stderr:\n  (nothing)"


def set_up_error(folder: Path, *command: str) -> str:
    """Run a node that does not come up, and return what is said of it."""
    run = make_run(folder, "echo", command)
    with pytest.raises(SetUpError) as caught:
        run_real(run)
    assert_nothing_is_left(folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            ["dies"],
            "it exited with status 3\nits last lines on stderr:\n  about to die\n  of nothing in particular",
        ),
        (["ends"], f"it exited with status 0\n{NOTHING_SAID}"),
        (["dies-of", "11"], f"it was killed by SIGSEGV\n{NOTHING_SAID}"),
        (["dies-of", "9"], f"it was killed by SIGKILL\n{NOTHING_SAID}"),
        (["dies-of", "40"], f"it was killed by signal 40\n{NOTHING_SAID}"),
        (["refuses"], f"crash (13): no disk\n{NOTHING_SAID}"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_a_node_that_does_not_come_up_is_named(
    folder: Path, wrong: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps a node from coming up is told at once, with the node's name and what it said last."""
    monkeypatch.setattr("trio_messenger.sim._cluster.cluster.INIT_TIMEOUT", 2 * LIMIT)  # is not waited for
    start = time.monotonic()
    assert set_up_error(folder, *WRONG, *wrong) == f"node 'n1' did not answer 'init': {said}"
    assert time.monotonic() - start < LIMIT


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            ["prints", "Hello, world"],
            "it printed a line on stdout that is not JSON; write logs to stderr:"
            f" 'Hello, world' (JSON is malformed: invalid character (byte 0))\n{NOTHING_SAID}",
        ),
        (
            ["prints", ""],
            "it printed a line on stdout that is not JSON; write logs to stderr:"
            f" '' (Input data was truncated)\n{NOTHING_SAID}",
        ),
        (
            ["prints", '{"src": "n1", "dest": "c0"}'],
            "it printed a line on stdout that is not a message:"
            f' \'{{"src": "n1", "dest": "c0"}}\' (Object missing required field `body`)\n{NOTHING_SAID}',
        ),
        (
            ["prints", '{"src": "n1", "dest": "c0", "body": {}, "time": 1}'],
            'it printed a line on stdout that is not a message: \'{"src": "n1", "dest": "c0", "body": {}, "time": 1}\''
            f" (Object contains unknown field `time`)\n{NOTHING_SAID}",
        ),
        (
            ["prints", '{"src": "n1", "dest": "c0", "body": []}'],
            'it printed a line on stdout that is not a message: \'{"src": "n1", "dest": "c0", "body": []}\''
            f" (Expected `object`, got `array` - at `$.body`)\n{NOTHING_SAID}",
        ),
        (
            ["prints", '{"src": "n2", "dest": "c0", "body": {}}'],
            "it printed a message whose src is not its own id:"
            f' \'{{"src": "n2", "dest": "c0", "body": {{}}}}\'\n{NOTHING_SAID}',
        ),
        (
            ["prints", '{"src": "n1", "dest": "n9", "body": {}}'],
            "it printed a message to a dest that does not exist:"
            f' \'{{"src": "n1", "dest": "n9", "body": {{}}}}\'\n{NOTHING_SAID}',
        ),
        (
            ["prints", '{"src": "n1", "dest": "c0", "body": {"a": ' + "[" * 100_000],
            "it printed a line on stdout that is not JSON; write logs to stderr:"
            f' \'{{"src": "n1", "dest": "c0", "body": {{"a": {"[" * 78}\'...'
            f" (maximum recursion depth exceeded while deserializing an object)\n{NOTHING_SAID}",
        ),
        (
            ["prints-overlong"],
            f"it printed a line on stdout that is longer than 16 MiB: '{'x' * 120}'...\n{NOTHING_SAID}",
        ),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_a_bad_line_before_init_ok_is_shown(folder: Path, wrong: list[str], said: str) -> None:
    """Such a node does not come up, for Maelstrom would not hear it any more; that it works otherwise is told."""
    assert set_up_error(folder, *WRONG, *wrong) == f"node 'n1' answered 'init', but before that {said}"


def test_a_bad_line_instead_of_init_ok_is_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no ``init_ok`` comes afterwards, nobody waits for it for long."""
    monkeypatch.setattr(cluster, "LINGER", 0.01)
    assert set_up_error(folder, "sh", "-c", "echo ready; sleep 1000") == (
        "node 'n1' did not answer 'init': it printed a line on stdout that is not JSON; write logs to stderr:"
        f" 'ready' (JSON is malformed: invalid character (byte 0))\n{NOTHING_SAID}"
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            ["answers", '{"type": "init_ok"}'],
            'it sent {"type": "init_ok"} without in_reply_to: a reply must repeat the msg_id of its request there,'
            " as the integer 1",
        ),
        (
            ["answers", '{"type": "init_ok", "in_reply_to": "1"}'],
            'it sent {"type": "init_ok", "in_reply_to": "1"} with the in_reply_to "1" (a string): a reply must repeat'
            " the msg_id of its request there, as the integer 1",
        ),
        (
            ["answers-half", '{"type": "init_ok", "in_reply_to": 1}'],
            "it had not ended a line on stdout:"
            ' \'{"src": "n1", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1}}\' (74 bytes);'
            " end each message with a newline, then flush",
        ),
    ],
    ids=["without in_reply_to", "text as in_reply_to", "no newline"],
)
def test_what_came_instead_of_init_ok_is_shown(folder: Path, wrong: list[str], said: str, impatient: None) -> None:
    """A node that answers wrongly is told from one that is silent."""
    assert set_up_error(folder, *WRONG, *wrong) == (
        f"node 'n1' did not answer 'init': no reply from 'n1' to msg_id 1 within 2 s; {said}\n{NOTHING_SAID}"
    )


def test_replies_to_nothing_and_unfinished_lines_are_told(
    folder: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later in a run, too, it is told what did arrive of a node whose operations have no replies."""
    monkeypatch.setattr(processes, "STALE", 0)
    run = make_run(folder, "echo", (*WRONG, "replies-to-nothing"), rate=100, concurrency=2)
    run_real(run)
    results = judge(run)
    assert results["valid?"] is False
    first, second = warnings(results)[-2:]
    assert first.endswith(
        ' from n1 to clients reply to none of their requests; first: {"type": "echo_ok"} without in_reply_to:'
        " a reply must repeat the msg_id of its request there, as the integer 1"
    )
    assert second.startswith("node 'n1': when it was killed, it had not ended a line on stdout: ")


def test_a_node_that_answers_init_with_something_else_is_named(folder: Path) -> None:
    """Only ``init_ok`` answers ``init``."""
    assert set_up_error(folder, *WRONG, "answers-otherwise") == (
        "node 'n1' answered 'init' with {'type': 'hello', 'in_reply_to': 1} instead of 'init_ok'\n" + NOTHING_SAID
    )


def test_a_silent_node_is_named(folder: Path, impatient: None) -> None:
    """Of a node that never answers ``init`` is told what it said, and what programs forget."""
    assert set_up_error(folder, *WRONG, "is-silent") == (
        "node 'n1' did not answer 'init': no reply from 'n1' to msg_id 1 within 2 s; its process is running: does it"
        " read its stdin, and flush its stdout after each line?\nits last lines on stderr:\n  thinking about it"
    )


def test_what_cannot_be_started_is_named(folder: Path) -> None:
    """What the system refuses to start is told with its reason."""
    program = folder / "program"
    program.write_bytes(b"\x7fELF\0 of no machine")
    program.chmod(0o755)
    assert set_up_error(folder / "nodes", str(program)) == (
        f"node 'n1' could not be started: OSError: [Errno 8] Exec format error: '{program}'\n{NOTHING_SAID}"
    )


def test_an_argument_that_was_a_relative_path_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is where the simulator runs is not where the node does, as the message says."""
    monkeypatch.chdir(EXECUTABLES)
    error = set_up_error(folder, *PYTHON, "wrong.py", "dies", "x" * 5000, str(EXECUTABLES / "wrong.py"))
    assert error.startswith(
        "node 'n1' did not answer 'init': it exited with status 2; it runs in its own folder: give the absolute"
        " path of 'wrong.py'\nits last lines on stderr:\n  "
    )
    assert "No such file" in error
    (folder / "n1" / "wrong.py").write_bytes((EXECUTABLES / "wrong.py").read_bytes())
    error = set_up_error(folder, *PYTHON, "wrong.py", "dies")
    assert error.startswith("node 'n1' did not answer 'init': it exited with status 3\nits last")
