"""The space-time diagram of a run: as a file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import as_file, files
from pathlib import Path

import msgspec
import pytest
from support.pictures import NASTY, Events, having, messages, parse
from support.space_time import busy, drawn, footer, many, types

from trio_messenger.sim._records.journal import Journal
from trio_messenger.sim.pictures import _arrows, _grid, _labels, _space_time, space_time
from trio_messenger.sim.pictures._space_time import SCRIPTS
from trio_messenger.sim.pictures._svg import asset

# The diagram: as a file


@pytest.mark.parametrize("name", [NASTY, "]]>", "a b", "--", "ä" * 3])
def test_what_nodes_write_is_text(name: str) -> None:
    """Ids, types and texts of any characters leave the document well formed, and add no element to it."""

    def elements(name: str) -> list[str]:
        events = Events()
        sent = msgspec.json.encode(name).decode()
        events.send_raw(0, f'{{"src":{sent},"dest":"n1","body":{{"type":{sent},{sent}:{sent}}}}}'.encode())
        events.note(1, "begin", fault=0, text=name)
        events.note(2, "exit", node=name, text=name)
        root = drawn(events, title=name, command=name)
        assert types(root) == [re.sub("[\x00\x1b]", "\ufffd", name)]
        return sorted(each.tag for each in root.iter() if each.tag != "text")  # labels depend on how long it is

    assert elements(name) == elements("plain")


def test_a_picture_needs_nothing_from_elsewhere() -> None:
    """It has its style and its script inside, and refers to nothing but its own parts."""
    picture = space_time(busy().journal)
    assert not re.findall(r"href|src|@import|url\((?!#)", picture)
    assert picture.count("http://") == picture.count("http://www.w3.org/")
    [style] = parse(picture).iter("style")
    assert style.text is not None
    assert "prefers-color-scheme: dark" in style.text
    assert "$" not in style.text


def test_the_script_is_in_the_picture_whole() -> None:
    """What the script is, is what a browser gets, and all that it looks for is there."""
    root = drawn(busy())
    [script] = root.iter("script")
    assert script.text == "\n" + "".join(asset(name) for name in SCRIPTS)
    classes = {name for each in root.iter() for name in (each.get("class") or "").split()}
    for name in sorted(re.findall(r'svg\.querySelector\("\.(\w+)"\)|all\("\.(\w+)', script.text)):
        wanted = name[0] or name[1]
        assert wanted in classes | {"picked", "time", "fold"}


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js reads the script")
@pytest.mark.parametrize("name", SCRIPTS)
def test_each_file_of_the_script_is_whole(name: str) -> None:
    """Each file can be read, and checked, by itself."""
    with as_file(files("trio_messenger.sim.pictures") / name) as path:
        subprocess.run(["node", "--check", path], check=True)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js runs the script")
def test_the_script_finds_the_same_room_for_labels() -> None:
    """As long as nothing is filtered, the layout of the script gives labels the places that they have in the file."""
    events = Events()
    for number in range(100):  # several at once, some too long for their arrow, half of them replies
        fields = {"in_reply_to": 1} if number % 2 else {}
        sent = [events.send(number, "n1", f"n{n}", "echo" * (1 + (number + n) % 9), **fields) for n in (2, 3, 4)]
        for each in reversed(sent):
            events.note(number + 0.5, "deliver", id=each)
    root = drawn(events)
    arrows, places = [], []
    for message in messages(root):
        [line] = message.findall("line")
        ends = {name: float(line.get(name, "")) for name in ("x1", "y1", "x2", "y2")}
        names = {name: message.get(f"data-{name}") for name in ("type", "from", "to")}
        arrows.append({**names, "now": ends, "isLoop": False, "isReply": "reply" in (message.get("class") or "")})
        places.append("".join(label.get("transform", "") for label in having(message, "type")))
    lanes = {head.get("data-name"): int(head.get("data-lane", "")) for head in having(root, "head")}
    columns = sorted(float(head.findall("text")[0].get("x", "")) for head in having(root, "head"))
    code = asset("space_time_layout.js") + (
        "const [arrows, columns, lanes] = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "const findRoom = makeLabels([], columns, new Map(Object.entries(lanes)));"
        "console.log(JSON.stringify(arrows.map((arrow) => findRoom(arrow) ?? '')));"
    )
    done = subprocess.run(
        ["node", "-e", code], input=json.dumps([arrows, columns, lanes]), capture_output=True, text=True, check=True
    )
    assert any(places)
    assert not all(places)
    for found, place in zip(json.loads(done.stdout), places, strict=True):
        numbers = [[float(number) for number in re.findall(r"-?[0-9.]+", each)] for each in (found, place)]
        assert numbers[0] == pytest.approx(numbers[1], abs=0.51)  # the file has whole pixels


def test_the_script_draws_with_the_same_figures() -> None:
    """When filters have moved the arrows, they look as they did."""
    script = asset("space_time_layout.js")
    figures = {name: float(value) for name, value in re.findall(r"\b([A-Z_]+) = (-?[0-9.]+)[,;]", script)}
    expected = {
        "LEAST_WIDTH": _space_time._LEAST_WIDTH,
        "TIMES": _space_time._TIMES,
        "LOOP": _arrows._LOOP,
        "TIP": _arrows._TIP,
        "EARLIER": _grid.EARLIER,
        "SIZE": _labels.SIZE,
        "STEEPEST": _labels._STEEPEST,
        "HEAD": _labels._HEAD,
        "BAND": _labels._BAND,
        "ABOVE": _labels._MIDDLE["above"],
        "BELOW": _labels._MIDDLE["below"],
    }
    assert {name: figures.get(name) for name in expected} == expected


def test_the_same_journal_gives_the_same_picture(tmp_path: Path) -> None:
    """Also after it was saved and loaded."""
    events = busy()
    events.journal.save(tmp_path / "journal.jsonl")
    assert (
        space_time(events.journal) == space_time(events.journal) == space_time(Journal.load(tmp_path / "journal.jsonl"))
    )


@pytest.mark.slow
def test_thousands_of_messages_are_all_there() -> None:
    """None is left out below the limit, and labels that have no room give way, not arrows."""
    root = drawn(many(3_000))
    assert len(messages(root)) == 3_000
    assert all(message.findall("title") for message in messages(root))
    assert footer(root) == []


# Labels


def test_a_picture_for_a_page_brings_no_script() -> None:
    """Without its script the picture is the same, and smaller by it."""
    journal = Journal()
    journal.note(0, "send", id=0, raw=msgspec.Raw(b'{"src":"c1","dest":"n1","body":{"type":"echo"}}'))
    journal.note(1_000_000, "deliver", id=0)
    plain = space_time(journal, scripted=False)
    assert "<script" not in plain
    assert plain.rstrip().removesuffix("</svg>").rstrip() == space_time(journal).partition("<script")[0].rstrip()
