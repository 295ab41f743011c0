"""``trio-messenger check``: histories of runs, of Maelstrom and of others are judged without their runs."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from support.command_line import Outcome, in_folder, outcome, wrong
from support.edn import damaged
from support.maelstrom_histories import HISTORIES, Written

from trio_messenger import Node
from trio_messenger._cli.ending import STATUSES
from trio_messenger.nodes import broadcast, pn_counter
from trio_messenger.sim import simulate
from trio_messenger.sim._judging.report import Report


@pytest.fixture(name="file")
def file_(tmp_path: Path) -> Path:
    """A file for a history."""
    return tmp_path / "history.edn"


def check(file: Path, text: str | bytes, *words: str, workload: str = "g-set") -> Outcome:
    """Write *text* into *file*, and judge it."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return outcome("check", file, "-w", workload, *words)


@pytest.mark.parametrize("written", HISTORIES, ids=lambda written: f"{written.workload}, {written.name}")
def test_maelstroms_verdict_is_ours(written: Written, file: Path) -> None:
    """The history of a run of Maelstrom has the same verdict here, in each form of EDN."""
    for text in (written.text, f"[{written.text}]", written.text.replace("{:index", "#jepsen.history.Op{:index")):
        found = check(file, text, workload=written.workload)
        assert (found.status, found.errors) == (STATUSES[written.valid], "")


LOST = next(written.text for written in HISTORIES if (written.workload, written.name) == ("g-set", "lost"))


def test_a_key_that_is_lost_is_found(file: Path) -> None:
    """A read that ended with error 20 has seen that the key is absent. Maelstrom drops it, and we judge it."""
    begin, end = "{:process 0, :type :invoke, :f", "{:process 0, :type"
    write = f"{begin} :write, :value [0 3]}} {end} :ok, :f :write, :value [0 3]}}"
    error = ':error [:key-does-not-exist "no such key"]'
    text = f"{write} {begin} :read, :value [0 nil]}} {end} :fail, :f :read, :value [0 nil], {error}}}"
    found = check(file, text, workload="lin-kv")
    assert (found.status, found.output.splitlines()[0]) == (1, "lin-kv, 2 operations: INVALID")


def test_the_reasons_are_told(file: Path) -> None:
    """The output is that of a test, without messages; warnings tell what the history cannot show."""
    assert check(file, LOST).output.splitlines() == [
        "g-set, 2 operations: INVALID",
        "  because     0: acknowledged at 0.002 s, missing from the last read, at 0.003 s",
        "  operations  2: 2 ok, 0 fail, 0 info (100.0% ok)",
        "  latency     p50 1.5, p95 1.5, p99 1.5, p100 1.5 ms",
        "  warning     the history does not name the nodes, so a value that only one node lacks may go unnoticed",
    ]


def test_no_times_are_a_warning(file: Path) -> None:
    """Latencies of a history without times mean nothing."""
    text = re.sub(r":time \d+, ", "", LOST)
    assert "the history has no times, so all latencies are 0" in check(file, text).output


def test_the_json_has_results_reasons_and_warnings(file: Path) -> None:
    """For programs, there is one object with the results of the checkers."""
    found = check(file, LOST, "--json").json
    assert list(found) == [
        *("valid?", "workload", "stats", "availability", "latencies", "audit", "reasons", "warnings", "pictures"),
    ]
    assert found["workload"]["lost"] == [0]
    assert [len(found["reasons"]), len(found["warnings"])] == [1, 1]


STALE = next(written.text for written in HISTORIES if (written.workload, written.name) == ("lin-kv", "stale"))


def test_pictures_are_saved(file: Path, tmp_path: Path) -> None:
    """The pictures of the workload show what is wrong; a valid history has none."""
    found = check(file, STALE, "--pictures", f"{tmp_path / 'new' / 'folder'}", workload="lin-kv")
    picture = tmp_path / "new" / "folder" / "linear.svg"
    assert (found.status, found.line("picture")) == (1, f"{picture}")
    assert picture.read_text().startswith("<svg ")
    found = check(file, STALE, "--pictures", f"{tmp_path}", "--json", workload="lin-kv")
    assert found.json["pictures"] == [f"{tmp_path / 'linear.svg'}"]
    found = check(file, LOST, "--pictures", f"{tmp_path / 'none'}")
    assert (found.status, (tmp_path / "none").exists()) == (1, False)
    assert wrong("check", file, "-w", "g-set", "--pictures", "") == "argument --pictures: it is empty; give a folder"
    file.write_text(STALE)
    refused = wrong("check", file, "-w", "lin-kv", "--pictures", file, status=255)
    assert refused == f"cannot save the pictures in {str(file)!r}: File exists; give another --pictures"


def test_consistency_models_are_judged(file: Path) -> None:
    """Transactions are judged by the models that are given; the default is the strictest, as in ``test``."""
    write_skew = "\n".join(
        f"{{:process {process}, :type :{kind}, :f :txn, :value [{operations}]}}"
        for kind in ("invoke", "ok")
        for process, operations in ((0, "[:r 1 nil] [:append 2 1]"), (1, "[:r 2 nil] [:append 1 1]"))
    )
    assert check(file, write_skew, workload="txn-list-append").status == 1
    words = ("--consistency-models", "snapshot-isolation")
    assert check(file, write_skew, *words, workload="txn-list-append").status == 0


def test_availability_is_judged(file: Path) -> None:
    """The options of the checkers are those of ``test``."""
    text = next(written.text for written in HISTORIES if written.name == "right" and written.workload == "g-set")
    assert check(file, text, "--availability", "0.5").status == 0
    found = check(file, text, "--availability", "total")
    assert (found.status, found.line("because")[:15]) == (1, "availability is")


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    """Runs with all verdicts, of several workloads."""
    return [
        simulate("broadcast", broadcast.build, nodes=2, time_limit=2, seed=1, loss=0.2),
        simulate("g-set", Node, nodes=2, time_limit=1),
        simulate("pn-counter", pn_counter.build, nodes=2, time_limit=1),
    ]


def test_a_run_and_its_history_have_one_verdict(reports: list[Report], file: Path) -> None:
    """The history of a run, by itself, has the results that the run had."""
    for report in reports:
        lines = [msgspec.json.encode(op) for op in report.history]
        found = check(file, b"\n".join(lines), "--json", workload=report.options.workload).json
        for part in ("workload", "stats", "availability", "latencies", "audit"):
            assert found[part] == json.loads(json.dumps(report.results[part]))
        assert "may go unnoticed" not in f"{found['warnings']}"


def test_a_node_that_lacks_values_is_named(tmp_path: Path) -> None:
    """A history that names the nodes shows who lacks what; why is in the messages, which a history does not have."""
    path = tmp_path / "history.jsonl"
    ops = [
        ("invoke", 0, "n1", "broadcast", 7),
        ("ok", 0, "n1", "broadcast", 7),
        ("invoke", 1, "n2", "read", None),
        ("ok", 1, "n2", "read", []),
        ("invoke", 0, "n1", "read", None),
        ("ok", 0, "n1", "read", [7]),
    ]
    with path.open("w") as lines:
        for index, (type_, process, node, f, value) in enumerate(ops):
            entry = {"index": index, "time": 10**9 * index, "type": type_, "process": process, "node": node}
            lines.write(json.dumps({**entry, "f": f, "value": value, "final": f == "read"}) + "\n")
    found = outcome("check", path, "-w", "broadcast")
    assert found.output.splitlines()[:3] == [
        "broadcast, 3 operations: INVALID",
        "  because     n2 lacks 1 of the 1 value at the end: 7",
        "              7: acknowledged by n1 at 1 s, missing from n2's last read",
    ]


def test_a_history_comes_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``-``, the command reads stdin to its end. The how-to page uses a real pipe."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LOST.encode())))
    found = outcome("check", "-", "-w", "g-set")
    assert (found.status, found.output.splitlines()[0], found.errors) == (1, "g-set, 2 operations: INVALID", "")


def test_a_closed_stdin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a stdin there is nothing to read."""
    monkeypatch.setattr(sys, "stdin", None)
    assert wrong("check", "-", "-w", "echo") == "stdin is closed; give a file"


def test_a_folder_has_one_history(tmp_path: Path) -> None:
    """A folder stands for the history in it, whichever kind it is; with none or two, the file has to be named."""
    assert "has neither of history.jsonl and history.edn; give the file" in wrong("check", tmp_path, "-w", "echo")
    (tmp_path / "history.edn").write_text(LOST)
    assert outcome("check", tmp_path, "-w", "g-set").status == 1
    (tmp_path / "history.jsonl").write_text("")
    assert "has both of history.jsonl and history.edn; give the file" in wrong("check", tmp_path, "-w", "echo")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["no-such-file", "-w", "echo"],
            "'no-such-file' cannot be read: No such file or directory; give a history",
        ),
        (["no\0file", "-w", "echo"], "cannot be read: embedded null byte; give a history.jsonl or a history.edn"),
        (["/dev/zero", "-w", "echo"], "/dev/zero, line 1, column 1: a zero byte: this is not a text"),
        (
            ["/dev/null", "-w", "echo"],
            "/dev/null, line 1, column 1: there are no operations of clients; give a",
        ),
        (["no-such-file"], "-w is missing: give the workload of the history; there are: echo, unique-ids, broadcast"),
        (["no-such-file", "-w", "echos"], "there is no workload 'echos'; did you mean 'echo'?"),
        ([], "the following arguments are required: HISTORY"),
    ],
)
def test_wrong_arguments_are_told(words: list[str], text: str) -> None:
    """A file that cannot be read, and arguments that are missing, are told in one line."""
    assert text in wrong("check", *words)


def test_a_history_has_a_limit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless pipe does not use up the memory."""
    monkeypatch.setattr("trio_messenger._cli.check.LARGEST_HISTORY", 1000)
    file.write_text(" " * 1001)
    assert "cannot be read: it is larger than 0 MiB; give a history.jsonl" in wrong("check", file, "-w", "echo")


def op(f: str, value: str, *, begun: str = "nil", kind: str = "ok") -> str:
    """Return an operation in EDN."""
    begin = f"{{:process 0, :type :invoke, :f {f}, :value {begun}}}"
    return f"{begin}\n{{:process 0, :type :{kind}, :f {f}, :value {value}}}\n"


@pytest.mark.parametrize(
    ("workload", "text", "error"),
    [
        ("echo", op(":read", "nil"), "line 1, column 1: 'read' is no operation of echo, which has echo; give another"),
        ("g-set", op(":cas", "nil"), "line 1, column 1: 'cas' is no operation of g-set, which has add and read; give "),
        ("g-set", op(":read", "3"), "line 2, column 1: the value of this 'read' is 3, which cannot be in a history of"),
        ("g-set", op(":read", '"abc"'), "line 2, column 1: the value of this 'read' is \"abc\", which cannot be in a "),
        ("broadcast", op(":read", "{:a 1}"), "line 2, column 1: the value of this 'read' is {\"a\": 1}, which cannot"),
        ("g-counter", op(":read", "[1]"), "line 2, column 1: the value of this 'read' is [1], which cannot be in a "),
        ("g-counter", op(":read", "nil"), "line 2, column 1: the value of this 'read' is null, which cannot be in a "),
        ("pn-counter", op(":add", "1", begun=":a"), "line 1, column 1: the value of this 'add' is \"a\", which cannot"),
        ("pn-counter", op(":add", "1", begun="true"), "line 1, column 1: the value of this 'add' is true, which cann"),
        (
            "lin-kv",
            op(":cas", "3", begun="3"),
            "line 1, column 1: the value of this 'cas' is [\"register\", 3], which c",
        ),
        (
            "lin-kv",
            op(":read", "[0 1]", begun="[0 nil]") + op(":read", "3"),
            "line 3, column 1: the value of this 'read' is null, which cannot be in a history of lin-kv",
        ),
        ("kafka", op(":poll", "3", begun="[[:poll]]"), "line 2, column 1: "),
        (
            "txn-rw-register",
            op(":txn", "[[:w 9 1]]", begun="[[:append 9 1]]"),
            "line 1, column 1: a transaction of txn-rw-register has no [\"append\", 9, 1], only 'r' and 'w'; give ano",
        ),
    ],
)
def test_a_history_of_another_workload_is_refused(workload: str, text: str, error: str, file: Path) -> None:
    """Operations that a workload does not have, or whose values its checker cannot judge, are an error."""
    file.write_text(text)
    found = wrong("check", file, "-w", workload)
    assert found.startswith(f"{file}, {error}")
    assert found.endswith("; give another workload with -w")


@pytest.mark.parametrize("workload", sorted({written.workload for written in HISTORIES}))
def test_any_history_is_judged_or_refused_in_one_line(workload: str, file: Path) -> None:
    """Whatever is in the file, the command ends with a verdict, or with one line that names a place."""
    random = Random(5)
    texts = [written.text for written in HISTORIES if written.workload == workload]
    for number in range(25):
        text = random.choice(texts)
        content: Any = next(damaged(text.encode(), random)) if number % 3 == 0 else _changed(text, random)
        found = check(file, content, workload=workload)
        if found.status == 254:
            assert re.search(rf"error: {file}, line \d+, column \d+: [^\n]+\n\Z", found.errors)
        else:
            assert (found.status in STATUSES.values(), found.errors) == (True, "")


OWN = """
from trio_messenger.sim import Reply, Shape, Workload

class Bank(Workload):
    name, summary = "bank", "accounts keep their sum"
    replies = {"read": Reply, "transfer": Reply}
    shapes = {"read": Shape(ok=dict[str, int])}

    def invocations(self, random):
        yield "read", None

    def request(self, f, value):
        return {"type": f}

    def completed(self, f, value, reply):
        return None

    def check(self, history):
        sums = [sum(op.value.values()) for op in history if op.f == "read" and op.type == "ok"]
        return {"valid?": all(each == sums[0] for each in sums), "sums": sums}

class Careless(Bank):
    def adopt(self, op):
        return {}[op.f]
"""
"""A workload for Jepsen's tests of banks."""


def test_a_workload_of_ones_own_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class gives the checker, and the shapes of the values; mistakes in it are told as those of a run."""
    for _ in in_folder(tmp_path, monkeypatch):
        (tmp_path / "bank.py").write_text(OWN)
        file = tmp_path / "history.edn"
        assert check(file, op(":read", "{0 5, 1 5}") * 2, workload="bank:Bank").status == 0
        found = check(file, op(":read", "{0 5, 1 5}") + op(":read", "{0 5, 1 4}"), workload="bank:Bank")
        assert (found.status, found.output.splitlines()[0]) == (1, "bank, 2 operations: INVALID")
        refused = check(file, op(":read", "[5 5]"), workload="bank:Bank").errors
        assert "line 2, column 1: the value of this 'read' is [5, 5], which cannot be in a history of bank" in refused
        found = check(file, op(":read", "{}"), workload="bank:Careless")
        assert (found.status, found.errors.count("\n")) == (255, 1)
        assert "the workload 'bank' failed in adopt(): KeyError: 'read' (bank.py, line 24)" in found.errors


@pytest.mark.parametrize(
    ("module", "status", "text"),
    [
        ("import sys; sys.exit(0)", 254, "its module raised SystemExit: 0 (hostile.py, line 1)"),
        (
            "class E(Exception):\n __str__ = None\nraise E",
            254,
            "E: an exception without a readable text (hostile.py, line 3)",
        ),
        ("def __getattr__(name): raise OSError('gone')", 254, "its module raised OSError: gone"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
        ("print('PRINTED')", 254, "module 'hostile' has no workload 'X'"),
    ],
)
def test_a_module_decides_no_verdict(
    module: str, status: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a module does when it is imported, it is told in one line, and nothing is printed among the results."""
    for _ in in_folder(tmp_path, monkeypatch):
        (tmp_path / "hostile.py").write_text(module)
        found = check(tmp_path / "history.edn", "", workload="hostile:X")
        sys.modules.pop("hostile", None)
        assert (found.status, found.output) == (status, "")
        assert found.errors.removeprefix("PRINTED\n").count("\n") == 1
        assert text in found.errors


VALUES = (
    "nil",
    "0",
    "-1",
    "1.5",
    "true",
    '"x"',
    ":ok",
    "[]",
    "[nil]",
    "{}",
    "#{1 :a}",
    "(1 1)",
    "1/2",
    "##NaN",
    "9" * 30,
)


def _changed(text: str, random: Random) -> str:
    """Return *text* with some values replaced by others."""
    words = re.split(r"(?<=:value )([^,}]+)", text)
    for _ in range(random.randrange(1, 4)):
        words[random.randrange(len(words) // 2) * 2 + 1] = random.choice(VALUES)
    return "".join(words)
