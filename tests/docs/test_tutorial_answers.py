"""The answers to the things to try of chapters 1 to 5: who does what an exercise says sees what its answer says."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Final

import attrs
import pytest
from support.page_runner import TypedFile, blocks, output_of, steps_of
from support.paths import DOCS

from trio_messenger import Node
from trio_messenger.sim import simulate

FOLDER: Final = DOCS / "tutorial"
COLUMNS: Final = 120


def page_of(chapter: int) -> Path:
    """Return the page of *chapter*."""
    [page] = FOLDER.glob(f"{chapter:02}-*.md")
    return page


def answer(chapter: int, number: int) -> str:
    """Return the answer to an exercise, in Markdown."""
    pattern = rf"^<summary>Answer to {number}</summary>\n(.*?)^</details>"
    [text] = re.findall(pattern, page_of(chapter).read_text(), re.M | re.S)
    return str(text)


def words(text: str) -> str:
    """Return *text* as it is read: in one line, and without what Markdown needs."""
    return " ".join(text.replace("\\", "").split())


def block(chapter: int, number: int) -> str:
    """Return what the only fenced block of an answer shows."""
    [found] = blocks(answer(chapter, number))
    return found.text


def type_files(chapter: int, directory: Path) -> None:
    """Type all files of a chapter; *directory* is as it is when its reader comes to the exercises."""
    for step in steps_of(page_of(chapter)):
        if isinstance(step, TypedFile):
            (directory / step.name).write_text(step.text)


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replace in the file, for each change, what is there once."""
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, f"{path.name} has {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    path.write_text(text)


@attrs.frozen
class Try:
    """One thing to try."""

    chapter: int
    number: int
    command: str
    says: tuple[str, ...] = ()
    """What both the answer and the output of the command say."""
    prints: tuple[str, ...] = ()
    """What the command prints, as the answer describes it."""
    prints_no: tuple[str, ...] = ()
    edits: tuple[tuple[str, str, str], ...] = ()
    """The changes before: a file, what is there, and what the reader puts in its place."""


NO_ECHO: Final = ("torn.jsonl", ', "echo": "before"', "")
REQUIRE: Final = ("echo.py", 'request.body["echo"]', 'request.require("echo")')
TO_REVERSE: Final = """echo '{"src": "c1", "dest": "n1", "body": {"type": "reverse", "msg_id": 3, "text": "abc"}}'"""
MAIN: Final = 'if __name__ == "__main__":\n'
REVERSE: Final = ("echo.py", MAIN, f"{block(1, 3)}\n\n{MAIN}")
AS_N3: Final = """sed 's/"node_id": "n2"/"node_id": "n3"/'"""
NO_INK: Final = ("board.py", '{node.peers}")\n', '{node.peers}")\n    raise RuntimeError("no ink")\n')
LOOP: Final = """    for peer in node.peers:
        await node.rpc(peer, {"type": "tell", "message": request.body["message"]})
"""
AT_ONCE: Final = """    await node.rpc_all(node.peers, {"type": "tell", "message": request.body["message"]})
"""
LAST_REPLY: Final = '{"src": "n3", "dest": "n1", "body": {"type": "tell_ok", "in_reply_to": 4}}'
FOREVER: Final = (
    ("board.py", "from trio_messenger", "import math\n\nfrom trio_messenger"),
    ("board.py", "timeout=0.5", "timeout=math.inf"),
    ("board.py", "node.run()", 'node.run(log_level="INFO")'),
)

TRIES: Final = [
    Try(1, 1, "python by_hand.py < torn.jsonl", ("KeyError",), edits=(NO_ECHO,)),
    Try(1, 1, "python echo.py < torn.jsonl", ("KeyError: 'echo'",), ('"code": 13', "Traceback"), edits=(NO_ECHO,)),
    Try(
        *(1, 1, "python echo.py < torn.jsonl"),
        ("malformed 'echo' request: Object missing required field `echo`",),
        ('"code": 12',),
        ("Traceback",),
        edits=(NO_ECHO, REQUIRE),
    ),
    Try(1, 2, "python echo.py < hello.jsonl", prints=("init_ok", "echo_ok"), prints_no=("Traceback", "WARNING")),
    Try(
        *(1, 3, f"(cat hello.jsonl; {TO_REVERSE}) | python echo.py"),
        ("this node does not handle 'reverse'; it handles echo, init",),
        ('"code": 10',),
    ),
    Try(
        *(1, 3, f"(cat hello.jsonl; {TO_REVERSE}) | python echo.py"),
        prints=('"type": "reverse_ok", "text": "cba"',),
        edits=(REVERSE,),
    ),
    Try(
        *(2, 1, f"(cat n2.jsonl; head -n 1 n2.jsonl; head -n 1 n2.jsonl | {AS_N3}) | python board.py"),
        ("this node is 'n2' of ['n1', 'n2', 'n3'] already; restart it to change that",),
        ('"init_ok", "in_reply_to": 1, "msg_id": 2', '"code": 22'),
    ),
    Try(
        *(2, 2, "python board.py < n1.jsonl"),
        ("RuntimeError: no ink",),
        ('"code": 13', "Traceback", '"code": 11'),
        ('"type": "init_ok"', "broadcast_ok"),
        edits=(NO_INK,),
    ),
    Try(
        *(2, 3, "cat n1.jsonl n2.jsonl | python board.py"),
        prints=("dropped a 'init' message for 'n2'", "dropped a 'who' message for 'n2'", '"name": "n1"'),
        prints_no=('"name": "n2"', '"src": "n2"'),
    ),
    Try(
        *(3, 1, "(cat ask.jsonl read.jsonl; sleep 1) | python board.py"),
        prints=(
            '"read_ok", "messages": [], "in_reply_to": 1, "msg_id": 1',
            '"tell", "message": "milk is out", "msg_id": 2',
        ),
    ),
    Try(
        *(3, 2, "cat ask.jsonl n2.jsonl | python board.py"),
        ("WARNING: unknown reply to msg_id 1 (1 so far)",),
        ('"dest": "n2"',),
    ),
    Try(3, 3, "python board.py < ask.jsonl", tuple(block(3, 3).splitlines()), edits=(("board.py", LOOP, AT_ONCE),)),
    Try(
        *(4, 1, f"(cat lost.jsonl; echo '{LAST_REPLY}'; echo '{LAST_REPLY}') | python leaky.py"),
        ("KeyError", "broadcast_ok"),
        ('"broadcast_ok", "in_reply_to": 3', "callbacks.pop("),
    ),
    Try(5, 1, "python watch.py", prints=("100000 pending\n0 have ended",), edits=(("watch.py", "=1.5", "=10"),)),
    Try(
        *(5, 2, "(cat unanswered.jsonl; sleep 3; cat late.jsonl) | python callbacks.py"),
        ("within 2 s",),
        ("late reply to msg_id 2",),
        edits=(("callbacks.py", ", timeout=0.5", ""),),
    ),
    Try(
        *(5, 3, "(cat ask.jsonl; sleep 3; tail -n 1 late.jsonl) | python board.py"),
        tuple(block(5, 3).splitlines()),
        ('"pending_count_ok", "count": 1',),
        ("broadcast_ok", '"error"'),
        edits=FOREVER,
    ),
]


@pytest.mark.parametrize("it", TRIES, ids=lambda it: f"{it.chapter}.{it.number}")
async def test_answer_is_what_its_reader_sees(it: Try, tmp_path: Path) -> None:
    """With its changes made, the command of an exercise prints what the answer quotes, and what it describes."""
    type_files(it.chapter, tmp_path)
    for name, old, new in it.edits:
        edit(tmp_path / name, (old, new))
    output = await output_of(it.command, tmp_path, COLUMNS)
    text = words(answer(it.chapter, it.number))
    for quoted in it.says:
        assert quoted in text
        assert quoted in output
    assert [described for described in it.prints if described not in output] == [], output
    assert [described for described in it.prints_no if described in output] == [], output


async def test_answer_to_the_exercise_on_a_scan_for_nothing(tmp_path: Path) -> None:
    """So many records in so many sweeps, as there is one every eighth of a second."""
    type_files(5, tmp_path)
    edit(tmp_path / "watch.py", ("deadline=1.5", "deadline=10"))
    output = await output_of("python watch.py", tmp_path, COLUMNS)
    [looked_at] = re.findall(r"^2\.1 s: (\d+) records", output, re.M)
    assert f"{int(looked_at):,}, in {int(looked_at) // 100_000} sweeps, and none ends" in words(answer(5, 1))


async def test_answer_to_the_exercise_on_ballast(tmp_path: Path) -> None:
    """As many callbacks with the ballast as without; and the ballast of each of them is kept."""
    type_files(4, tmp_path)
    flood = "python flood.py leaky.py 0.05 1000"
    await output_of(flood, tmp_path, COLUMNS)
    before = json.loads((tmp_path / "leaky-0.05.json").read_text())[-1]
    missing, told = "    missing = set(peers)\n", '        missing.remove(answer["src"])\n'
    edit(
        tmp_path / "leaky.py",
        (missing, f'{missing}    ballast = "x" * 100_000\n'),
        (told, f"{told}        len(ballast)\n"),
    )
    await output_of(flood, tmp_path, COLUMNS)
    after = json.loads((tmp_path / "leaky-0.05.json").read_text())[-1]
    assert before["callbacks"] == after["callbacks"]
    text = words(answer(4, 2))
    assert f"In both cases {after['callbacks']} callbacks wait in the end" in text
    assert f"{after['callbacks']} strings of 100 kB each" in text
    assert "about 20 MB more" in text
    assert 15 < after["megabytes"] - before["megabytes"] < 25


@pytest.mark.parametrize(("change", "sentence"), [(LOOP, "the loop takes {} s"), (AT_ONCE, "`rpc_all` takes {} s")])
def test_answer_to_the_exercise_on_all_at_once(change: str, sentence: str, tmp_path: Path) -> None:
    """In a simulated network in which an RPC takes 0.1 s, with four peers."""
    path = tmp_path / "board.py"
    path.write_text((FOLDER / "03" / "board.py").read_text())
    edit(path, (LOOP, change))

    def build() -> Node:
        node: Node = runpy.run_path(str(path))["node"]
        node.on("topology")(lambda: {})  # which the workload demands
        return node

    history = simulate("broadcast", build, nodes=5, latency=50, time_limit=5, rate=1, seed=1).history
    first, second = history[0], history[1]
    assert (first.type, second.type) == ("invoke", "ok")
    assert sentence.format((second.time - first.time) / 1e9) in words(answer(3, 3))
