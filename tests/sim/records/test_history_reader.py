"""Histories from files: Jepsen's form and ours, whole or not at all."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from support.edn import damaged

from trio_messenger.nodes import echo
from trio_messenger.sim import simulate
from trio_messenger.sim._judging.store import save
from trio_messenger.sim._records.history import History, Op
from trio_messenger.sim._records.history_reader import read_history
from trio_messenger.sim._records.reading_errors import ReadingError

MAELSTROM = """\
{:process 0, :type :invoke, :f :add, :value 1, :index 0, :time 10}
{:process 1, :type :invoke, :f :read, :value nil, :index 1, :time 20}
{:process :nemesis, :type :info, :f :start-partition, :value :majority, :index 2, :time 25}
{:process 1, :type :ok, :f :read, :value #{1}, :index 3, :time 30}
{:process 0, :type :info, :f :add, :value 1, :error :net-timeout, :index 4, :time 40}
{:process 2, :type :invoke, :f :read, :value nil, :final? true, :index 5, :time 50}
{:process 2, :type :fail, :f :read, :value nil, :error [:abort "no\\nleader"], :final? true, :index 6, :time 60}
"""
"""A history as Maelstrom writes it, with an entry of the nemesis."""


def read(text: str) -> History:
    """Return the history in *text*."""
    return read_history(text.encode()).history


def refusal(text: str | bytes) -> str:
    """Return the error with which *text* is refused."""
    with pytest.raises(ReadingError) as caught:
        read_history(text.encode() if isinstance(text, str) else text)
    return f"{caught.value}"


def op(index: int, type_: Any, process: int, f: str, value: Any = None, **fields: Any) -> Op:
    """Return an entry."""
    return Op(index=index, type=type_, process=process, f=f, value=value, **fields)


EXPECTED = [
    op(0, "invoke", 0, "add", 1, time=10),
    op(1, "invoke", 1, "read", time=20),
    op(2, "ok", 1, "read", [1], time=30),
    op(3, "info", 0, "add", 1, time=40, error="net-timeout (0)"),
    op(4, "invoke", 2, "read", time=50, final=True),
    op(5, "fail", 2, "read", time=60, final=True, error="abort (14): no leader", code=14),
]


@pytest.mark.parametrize(
    "text",
    [
        MAELSTROM,
        f"[{MAELSTROM}]",
        f"({MAELSTROM})",
        MAELSTROM.replace("{:process", "#jepsen.history.Op{:process"),
        f"; a comment\n{MAELSTROM}#_ {{:process 9}}",
        MAELSTROM.replace("\n", "\r\n"),
        f"\ufeff{MAELSTROM}",
        MAELSTROM.replace(":index", ":old"),
    ],
)
def test_jepsens_history_is_read(text: str) -> None:
    """One map a line or one vector, with or without tags: the clients' entries, with indexes without gaps."""
    assert list(read(text)) == EXPECTED


def test_entries_have_places() -> None:
    """The place of an entry is that of its map, whatever was skipped before it."""
    file = read_history(MAELSTROM.encode())
    assert [file.place(index) for index in (0, 2, 5)] == [f"line {line}, column 1" for line in (1, 4, 7)]
    assert f"{file.error(2, 'it is odd')}" == "line 4, column 1: it is odd"


def test_entries_without_times_get_the_one_before() -> None:
    """Old histories have no times at all."""
    text = "{:process 0 :type :invoke :f :a} {:process 0 :type :ok :f :a :time 7} {:process 0 :type :invoke :f :a}"
    assert [op.time for op in read(text)] == [0, 7, 7]


def test_a_process_may_be_used_again() -> None:
    """After an info end, some histories use the process again; the first operation then stays unknown."""
    lines = [f"{{:process 0 :type {kind} :f :a :value {value}}}" for value in (1, 2) for kind in (":invoke", ":info")]
    assert [each.outcome for each in read("\n".join(lines)).operations()] == ["info", "info"]


@pytest.mark.parametrize("where", ["begin", "end"])
def test_marks_of_one_entry_hold_for_the_operation(where: str) -> None:
    """The node and the mark of a final read may be in one of the two entries of an operation."""
    marks = ', :node "n1", :final? true'
    begin = f"{{:process 0, :type :invoke, :f :read{marks * (where == 'begin')}}}"
    end = f"{{:process 0, :type :ok, :f :read{marks * (where == 'end')}}}"
    assert [(op.node, op.final) for op in read(f"{begin}{end}")] == [("n1", True)] * 2


def test_values_of_all_workloads_become_json() -> None:
    """Keys of registers, transactions and logs have the shapes that the checkers expect."""
    values = {
        "[0 nil]": [0, None],
        "[0 [3 4]]": [0, [3, 4]],
        "#jepsen.independent.MapEntry[0 3]": [0, 3],
        "[[:r 1 nil] [:append 2 3]]": [["r", 1, None], ["append", 2, 3]],
        "[[:r 1 [1 2]] [:w 2 3]]": [["r", 1, [1, 2]], ["w", 2, 3]],
        '[[:send "k" [0 "m"]]]': [["send", "k", [0, "m"]]],
        '[[:poll {"k" [[0 1] [2 3]]}]]': [["poll", {"k": [[0, 1], [2, 3]]}]],
        "[[:poll {7 ([0 1])}]]": [["poll", {"7": [[0, 1]]}]],
        '["0" "1"]': ["0", "1"],
    }
    for text, value in values.items():
        [entry] = read(f"{{:process 0, :type :invoke, :f :txn, :value {text}}}")
        assert entry.value == value


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (":net-timeout", "net-timeout (0)", None),
        ("[:txn-conflict]", "txn-conflict (30)", 30),
        ("[:precondition-failed nil]", "precondition-failed (22)", 22),
        ('[:key-does-not-exist "no key 3"]', "key-does-not-exist (20): no key 3", 20),
        ('[:unknown "odd"]', "unknown: odd", None),
        (":conn-refused", "conn-refused", None),
        ('"two\n lines"', "two lines", None),
        ("[:a 1]", '["a", 1]', None),
        ("[[1] 2]", "[[1], 2]", None),
        ("{:code 4}", '{"code": 4}', None),
        ("[]", "[]", None),
        ("nil", None, None),
        (f'"{"x" * 500}"', "x" * 400 + "...", None),
    ],
)
def test_errors_become_one_line(error: str, text: str | None, code: int | None) -> None:
    """Maelstrom's errors read as in our own runs, with their codes; any other value is kept as text."""
    begin, end = "{:process 0, :type :invoke, :f :a}", f"{{:process 0, :type :fail, :f :a, :error {error}}}"
    found = read(f"{begin}{end}")[1]
    assert (found.error, found.code) == (text, code)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "line 1, column 1: there are no operations of clients; give a history with some"),
        ("{:process :nemesis, :type :info}", "line 1, column 1: there are no operations of clients"),
        ("3", "line 1, column 1: 3 is no operation; an operation is a map, such as {:process 0, :type :invoke, "),
        ("[[1]]", "line 1, column 2: [1] is no operation; an operation is a map"),
        ("\n{:type :invoke}", "line 2, column 1: the operation has no :process; give it one, as in {:process 0"),
        ("{:process 1.5}", "line 1, column 1: the operation has no :type"),
        ("{:process 1.5 :type :ok :f :a}", "line 1, column 1: the :process is 1.5; it must be an integer of 64 bits"),
        ('{:process "c1" :type :ok :f :a}', 'line 1, column 1: the :process is "c1"; it must be an integer of 64 bit'),
        ("{:process :other :type :ok :f :a}", 'line 1, column 1: the :process is "other"; it must be an integer of '),
        (
            '{:process 0 :type :ok :f :a :node "n\x1b1"}',
            "line 1, column 1: the :node is 'n\\x1b1'; it must be a text wi",
        ),
        ("{:process true :type :ok :f :a}", "line 1, column 1: the :process is true; it must be an integer of 64 bi"),
        ("{:process 0 :type :begin :f :a}", 'line 1, column 1: the :type is "begin"; it must be :invoke, :ok, :fai'),
        ("{:process 0 :type [:ok] :f :a}", 'line 1, column 1: the :type is ["ok"]; it must be :invoke, :ok, :fail '),
        ("{:process 0 :type :invoke :f 3}", "line 1, column 1: the :f is 3; it must be a keyword such as :read"),
        ("{:process 0 :type :invoke :f :a :time 1.5}", "line 1, column 1: the :time is 1.5; it must be an integer"),
        (f"{{:process 0 :type :invoke :f :a :time {2**63}}}", f"line 1, column 1: the :time is {2**63}; it must be "),
        (
            "{:process 0 :type :invoke :f :a :index 3}\n{:process 1 :type :invoke :f :a :index 3}",
            "line 2, column 1: the :index is 3, after 3 in an earlier operation; sort the operations by it",
        ),
        (
            "{:process 0 :type :ok :f :a}",
            "line 1, column 1: process 0 ends 'a', which it has not begun; the beginning is missing",
        ),
        (
            "{:process 0 :type :invoke :f :a} {:process 0 :type :invoke :f :b}",
            "line 1, column 34: process 0 begins 'b' although it has not ended 'a'; the end is missing",
        ),
        (
            "{:process 0 :type :invoke :f :a} {:process 0 :type :ok :f :b}",
            "line 1, column 34: process 0 ends 'b', but it began 'a'",
        ),
        ("\0PNG", "line 1, column 1: a zero byte: this is not a text"),
        (b"{:a \xff}", "line 1, column 5: the byte 0xff is not UTF-8"),
        ('[{"index": 0}]', "line 1, column 1: this is a JSON array; write one operation per line, as jq -c '.[]' does"),
    ],
)
def test_what_is_no_history_is_refused(text: str | bytes, error: str) -> None:
    """The error names the place, the value and the remedy."""
    assert refusal(text).startswith(error)


# Our own form


def line(index: int, **fields: Any) -> str:
    """Return a line of our own form."""
    return json.dumps({"index": index, "time": 0, "type": "invoke", "process": index, "f": "add", **fields}) + "\n"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, History]:
    """The bytes of a history that a run has stored, and that history."""
    report = simulate("echo", echo.build, nodes=2, time_limit=1)
    folder = save(report, tmp_path_factory.mktemp("store"), "0")
    return (folder / "history.jsonl").read_bytes(), report.history


@pytest.mark.parametrize("change", [lambda it: it, lambda it: it[:-1], lambda it: b"\n" + it.replace(b"\n", b"\r\n\n")])
def test_our_own_history_is_read(stored: tuple[bytes, History], change: Any) -> None:
    """A stored history is read as it was, also without the last newline and with empty lines."""
    assert list(read_history(change(stored[0])).history) == list(stored[1])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (line(0) + line(1)[:-5], "line 2, column 64: the line ends too early; the file may be cut off: get all of it"),
        (
            line(0, f="\ud800"),
            "line 1, column 63: \\ud800 is half of a character; write both halves, or another character",
        ),
        (line(0, f="\\\ud800x"), "line 1, column 65: \\ud800 is half of a character; write both halves, or another"),
        (line(0, f="\U0001f600")[:-4], "line 1, column 74: the line ends too early; the file may be cut off: get all"),
        (line(0, f="\\ud800")[:-5], "line 1, column 68: the line ends too early; the file may be cut off: get all"),
        (line(0) + line(2), "line 2, column 1: the index is 2; it must be 1 here: lines are missing, or not in order"),
        (line(0).replace('"add"', "add"), "line 1, column 62: JSON is malformed: invalid character"),
        (line(0, type="begin"), "line 1, column 1: Invalid enum value 'begin' - at `$.type`"),
        (line(0, value=[1]).replace("[", "[" * 9999), "line 1, column 1: more than 200 arrays and objects are inside"),
        (line(0, value="x").replace('"x"', "[" * 300 + "]" * 300), "line 1, column 1: more than 200 arrays and obj"),
        (line(0, time=2**63), f"line 1, column 1: the time is {2**63}; it must be an integer of 64 bits"),
        (line(0, **{"final?": True}), "line 1, column 1: Object contains unknown field `final?`"),
        (line(0, time=5) + line(1, time=4), "line 2, column 1: the time is 4; it must be at least 5, as in the line"),
        (line(0, node="n\x1b[2J"), "line 1, column 1: the node is 'n\\x1b[2J'; it must be a text without control cha"),
        (line(0, process=2**63), f"line 1, column 1: the process is {2**63}; it must be an integer of 64 bits"),
        (
            line(0, type="ok"),
            "line 1, column 1: process 0 ends 'add', which it has not begun; the beginning is missing",
        ),
    ],
)
def test_a_damaged_line_is_refused(text: str, error: str) -> None:
    """The error names the line and, if known, the column."""
    assert refusal(text).startswith(error)


def test_many_brackets_are_not_deep() -> None:
    """The limit is for depth, and not for the number of arrays."""
    assert read(line(0, value=[[[]] * 200, {"a": [{}] * 200}]))[0].f == "add"


@pytest.mark.parametrize("form", ["lines", "vector", "ours"])
def test_a_cut_file_is_refused(form: str, stored: tuple[bytes, History]) -> None:
    """Cut at any place, a file is refused, or read up to the cut if that is between two entries."""
    content, count = stored[0], len(stored[1])
    if form != "ours":
        content, count = f"[{MAELSTROM}]".encode() if form == "vector" else MAELSTROM.encode(), len(EXPECTED)
    whole = list(read_history(content).history)
    assert len(whole) == count
    step = max(1, len(content) // 250)
    for end in range(0, len(content.rstrip()) - 1, step):
        try:
            found = list(read_history(content[:end]).history)
        except ReadingError:
            continue
        assert form != "vector"
        assert content[:end].endswith(b"}") or content[end - 1 : end] == b"\n"
        assert found == whole[: len(found)]


def test_damaged_files_are_read_or_refused(stored: tuple[bytes, History]) -> None:
    """Whatever happens to the bytes, the reader returns a history or names a place."""
    random = Random(3)
    for content in (MAELSTROM.encode(), stored[0]):
        for _, broken in zip(range(200), damaged(content, random), strict=False):
            try:
                count, last_line = len(read_history(broken).history), 1
            except ReadingError as exc:
                count, last_line = 1, exc.line
            assert count
            assert 1 <= last_line <= broken.count(b"\n") + 1


def test_random_bytes_are_refused() -> None:
    """Rubbish of any kind is no history."""
    random = Random(4)
    for size in range(1, 100):
        assert refusal(random.randbytes(size)).startswith("line ")
        assert refusal(bytes(random.choice(b'{}[]()#_:"\\; \n') for _ in range(size))).startswith("line ")
