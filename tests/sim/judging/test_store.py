"""The store: a run can be looked at, and run again, from the files it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest
from support.wrong_nodes import (
    broadcast as wrong_broadcast,
    counters as wrong_counters,
    echo as wrong_echo,
    g_set as wrong_g_set,
    unique_ids as wrong_unique_ids,
)

from trio_messenger import Node
from trio_messenger.nodes import broadcast, echo
from trio_messenger.sim import WORKLOADS, Kill, Latency, Options, Report, Results, Scene, simulate
from trio_messenger.sim._judging import store as store_module
from trio_messenger.sim._judging.store import Stored, load, load_history, load_journal, save
from trio_messenger.sim._records.history import History, Op
from trio_messenger.sim._workloads.echo import Echo
from trio_messenger.sim.pictures import PageSummary, Picture, page
from trio_messenger.sim.pictures._terms import define


def stored(**changes: object) -> str:
    """Return a schedule.json that has what *changes* say."""
    whole = {"format": 1, "node": [], "digest": "", "valid?": True, "options": {"workload": "echo"}}
    return json.dumps({**whole, **changes})


def run(seed: int = 7) -> Report:
    """Return the report of a run with faults, whose nodes say something on stderr."""
    return simulate(
        "broadcast",
        broadcast.build,
        nodes=["a", "b", "n3"],
        seed=seed,
        nemesis=["partition"],
        latency=5,
        latency_dist="uniform",
        time_limit=5,
        availability=0.5,
    )


@pytest.fixture(scope="module")
def report() -> Report:
    """The report of one run."""
    return run()


def test_the_folder_has_everything(report: Report, tmp_path: Path) -> None:
    """Each file that the documentation names is there, and those of data say what the report says."""
    folder = save(report, tmp_path, "7")
    assert folder == tmp_path / "broadcast" / "7"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {
        *("index.html", "results.json", "history.jsonl", "journal.jsonl", "schedule.json"),
        *("messages.svg", "latency.svg", "rate.svg", "node-logs/a.log", "node-logs/b.log", "node-logs/n3.log"),
    }
    assert json.loads((folder / "results.json").read_text()) == report.results
    assert list(load_history(folder)) == list(report.history)
    assert list(load_journal(folder).lines()) == list(report.journal.lines())


def test_values_are_kept_whatever_they_are(tmp_path: Path) -> None:
    """A value that says nothing, or no, is a value: it stands in the file, unlike other fields that say nothing."""
    kept = [Op(index=i, time=i, type="invoke", process=i, f="add", value=v) for i, v in enumerate([None, False, 0])]
    calm = simulate("echo", echo.build, nodes=1, time_limit=1)  # nothing is to be said of its operations
    folder = save(attrs.evolve(calm, history=History(kept)), tmp_path, "7")
    assert list(load_history(folder)) == kept
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_bytes().splitlines()]
    assert [line["value"] for line in lines] == [None, False, 0]
    assert lines[0].keys() == {"index", "time", "type", "process", "f", "value"}


def test_a_workload_adds_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in the folder and on the page."""

    class Drawn(Echo):  # type: ignore[misc] # final
        def pictures(self, results: Results, scene: Scene) -> Sequence[Picture]:
            text = f"<svg>{results['valid?']}, {len(scene.history)}</svg>"
            return [Picture(name="echoes.svg", title="Echoes", explanation="Each echo.", svg=text)]

    monkeypatch.setitem(WORKLOADS, "echo", Drawn)
    made = simulate("echo", echo.build, nodes=1, time_limit=1)
    folder = save(made, tmp_path, "7")
    assert (folder / "echoes.svg").read_text() == f"<svg>True, {len(made.history)}</svg>" == made.pictures()[0].svg
    assert 'data="echoes.svg"' in (folder / "index.html").read_text()


def test_what_was_run_can_be_loaded(report: Report, tmp_path: Path) -> None:
    """Options, nodes, digest and verdict come back as they were."""
    assert load(save(report, tmp_path, "7")) == Stored(
        report.options, ("--node", "broadcast"), report.digest, report.valid
    )


def test_shrink_is_offered_where_it_can_be_done(tmp_path: Path) -> None:
    """The page of a run that failed offers it, if there are faults to take away and the run can be made again."""
    failed = simulate("echo", broadcast.build, nodes=1, time_limit=2, faults=[Kill(nodes=["n1"], at=1, until=2)])
    assert failed.valid is False
    offered = f"trio-messenger shrink {tmp_path}"
    assert offered in (save(failed, tmp_path, "1") / "index.html").read_text()
    in_real_time = attrs.evolve(failed, rerun=None)
    assert offered not in (save(in_real_time, tmp_path, "2") / "index.html").read_text()


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("echo", wrong_echo.mixes_up),
        ("unique-ids", wrong_unique_ids.counts_alone),
        ("broadcast", broadcast.build),
        ("broadcast", wrong_broadcast.relays_nothing),
        ("g-set", wrong_g_set.forgets),
        ("g-counter", wrong_counters.tells_once),
        ("pn-counter", wrong_counters.tells_once),
    ],
)
def test_all_words_on_the_page_are_defined(name: str, build: Callable[[], Node], tmp_path: Path) -> None:
    """Every figure and every result of each workload; and the page says what the workload demands."""
    report = simulate(name, build, nodes=3, time_limit=3, latency=10)
    results = [key for key, value in report.results["workload"].items() if value not in ([], {})]
    names = [name for name, _ in store_module._figures(report.results)] + results
    assert [name for name in names if not name.startswith("worst-") and not define([name])] == []
    rules = WORKLOADS[name].rules
    assert rules
    assert rules in (save(report, tmp_path, "7") / "index.html").read_text()


def test_latest_points_to_the_latest(report: Report, tmp_path: Path) -> None:
    """There is a link to the latest run of all, and one for each workload."""
    save(report, tmp_path, "6")
    folder = save(report, tmp_path, "7")
    for link in (tmp_path / "latest", tmp_path / "broadcast" / "latest"):
        assert link.is_symlink()
        assert link.resolve() == folder.resolve()


def test_a_run_replaces_that_of_the_same_name(report: Report, tmp_path: Path) -> None:
    """Files of the earlier run do not stay behind."""
    folder = save(report, tmp_path, "7")
    (folder / "node-logs" / "old.log").touch()
    assert save(report, tmp_path, "7") == folder
    assert not (folder / "node-logs" / "old.log").exists()


def test_what_is_not_ours_is_kept(report: Report, tmp_path: Path) -> None:
    """A folder that no run has left stays as it is, and the run gets another one. So does a file named ``latest``."""
    mine = tmp_path / "broadcast" / "7" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.touch()
    (tmp_path / "latest").touch()
    assert save(report, tmp_path, "7") == tmp_path / "broadcast" / "7-2"
    assert save(report, tmp_path, "7") == tmp_path / "broadcast" / "7-2"
    assert list(mine.parent.iterdir()) == [mine]
    assert not (tmp_path / "latest").is_symlink()


def test_a_run_of_a_name_that_is_taken_gets_another_one(report: Report, tmp_path: Path) -> None:
    """A run that cannot be made again replaces none; its own commands name its own folder."""
    first = save(report, tmp_path, "x", replace=False)
    second = save(report, tmp_path, "x", replace=False)
    assert (first.name, second.name) == ("x", "x-2")
    assert f"replay {second}<" in (second / "index.html").read_text()
    assert (tmp_path / "latest").resolve() == second.resolve()


def test_runs_of_one_seed_at_the_same_time_have_one_folder(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is ready last has it, also where there was none when both began."""
    others: list[Path | None] = []

    def page_later(summary: PageSummary) -> str:
        if not others:
            others.append(None)
            others.append(save(report, tmp_path, "7"))
        return page(summary)

    monkeypatch.setattr(store_module, "page", page_later)
    folder = save(report, tmp_path, "7")
    assert others[-1] == folder == tmp_path / "broadcast" / "7"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["7", "latest"]


def test_a_save_that_fails_keeps_the_earlier_run(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of the earlier run are there, whole, and no others."""
    folder = save(report, tmp_path, "7")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    before[tmp_path / "index.html"] = (tmp_path / "index.html").read_bytes()

    def full(_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module, "page", full)
    with pytest.raises(OSError, match="No space left on device"):
        save(report, tmp_path, "7")
    assert {
        path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and "latest" not in path.parts
    } == before


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, r"has no schedule\.json: give the folder of a run, such as store/latest$"),
        ("{", r"schedule\.json is not JSON: "),
        ("[]", r"schedule\.json does not have format 1, the only one that this version reads$"),
        ('{"format": 2}', r"schedule\.json does not have format 1, "),
        ('{"format": 1}', r"schedule\.json cannot be read: it has no 'options'$"),
        ("[" * 100_000, r"schedule\.json is not JSON: "),
        (stored(options={"workload": "ecko"}), r"cannot be read: there is no workload 'ecko'"),
        (stored(options=5), r"schedule\.json cannot be read: "),
        (stored(options={"workload": "echo", "seed": "7"}), r"read: seed is '7': Expected `int`, got `str`$"),
        (stored(options={"workload": "echo", "faults": {}}), r"read: faults is \{\}: Expected `array`, got `object`$"),
        (stored(options={"workload": "echo", "faults": [], "nemesis": ["x"]}), r"read: there is no nemesis 'x'; "),
        *(
            (stored(node=node), r"read: 'node' is .*; it must be the arguments that name a node, such as ")
            for node in (
                5,
                "--node",
                ["--node"],
                ["--node", 5],
                ["--node", "x", "y"],
                ["--bin", "x", "y"],
                ["--bin", "\0"],
            )
        ),
    ],
)
def test_a_folder_that_cannot_be_loaded_is_told(content: str | None, text: str, tmp_path: Path) -> None:
    """The error names the file, and what is wrong with it."""
    if content is not None:
        (tmp_path / "schedule.json").write_text(content)
    with pytest.raises(ValueError, match=text):
        load(tmp_path)


def test_options_travel_as_json() -> None:
    """Every option comes back from JSON as it was, the schedule included."""
    options = Options(
        workload="g-set",
        nodes=["x", "y"],
        seed=3,
        concurrency=4,
        rate=2.5,
        time_limit=9,
        latency=Latency(7, "exponential"),
        loss=0.25,
        duplicate=0.5,
        topology="line",
        availability="total",
        nemesis=["kill"],
        nemesis_interval=3,
        faults=[Kill(nodes=["x"], at=1)],
    )
    assert Options.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert Options.from_json({"workload": "echo"}) == Options(workload="echo")
    with pytest.raises(ValueError, match=r"^unknown options: \['sede'\]$"):
        Options.from_json({"workload": "echo", "sede": 1})


SEND = b'{"i":0,"t":0,"event":"send","id":1,"message":{"src":"n1","dest":"n2","body":{}}}'


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"[", r"journal\.jsonl cannot be read: "),
        (b"[" * 100_000, r"journal\.jsonl cannot be read: "),
        (b'{"i":0,"t":0,"event":"send","id":1}', r"read: entry 1: the 'send' event has no message$"),
        (b'{"i":0,"t":0,"event":"send","id":1,"message":5}', r"read: Expected `object`, got `int`$"),
        (b'{"i":0,"t":0,"event":"drop","id":2}', r"read: entry 1: 'drop' of message 2, which was not sent before$"),
        (b'{"i":0,"t":0,"event":"begin"}', r"read: entry 1: the 'begin' event has no fault$"),
        (b'{"i":0,"t":0,"event":"kill"}', r"read: entry 1: the 'kill' event has no node$"),
    ],
)
def test_a_journal_that_makes_no_sense_is_told(line: bytes, text: str, tmp_path: Path) -> None:
    """The error names the entry and what it lacks; it is found before anybody draws it."""
    (tmp_path / "journal.jsonl").write_bytes(SEND + b"\n" + line + b"\n")
    with pytest.raises(ValueError, match=text):
        load_journal(tmp_path)


def test_a_run_of_another_node_is_kept(tmp_path: Path) -> None:
    """Each node has a folder for the same seed; a later run of the same node replaces only its own."""

    def saved(build: Callable[[], Node], rate: int) -> str:
        return save(simulate("echo", build, nodes=1, time_limit=1, rate=rate), tmp_path, "7").name

    assert [saved(echo.build, 5), saved(wrong_echo.mixes_up, 5), saved(wrong_echo.mixes_up, 6)] == ["7", "7-2", "7-2"]
    assert saved(echo.build, 6) == "7"
    assert load(tmp_path / "echo" / "7").node == ("--node", "echo")
    assert load(tmp_path / "echo" / "7-2").options.rate == 6
    (tmp_path / "echo" / "7" / "schedule.json").write_text("[]")
    assert saved(wrong_echo.mixes_up, 5) == "7", "a damaged run is replaced"


def test_a_workload_without_rules_is_described_by_its_summary(tmp_path: Path) -> None:
    """As a sentence, at the beginning of the page."""

    class Plain(Echo):  # type: ignore[misc] # final
        summary = "nodes repeat what they hear"
        rules = ""

    made = save(simulate(Plain, echo.build, nodes=1, time_limit=1), tmp_path, "0")
    assert "<p>Nodes repeat what they hear.</p>" in (made / "index.html").read_text()
