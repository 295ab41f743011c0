"""``trio-messenger diagram``: another part of a run that was kept is drawn."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from trio_messenger._cli import main
from trio_messenger.nodes import broadcast, echo
from trio_messenger.sim import simulate
from trio_messenger.sim._judging.store import save


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with losses."""
    report = simulate("broadcast", broadcast.build, nodes=3, seed=2, time_limit=8, loss=0.3)
    return save(report, tmp_path_factory.mktemp("store"), "2")


@pytest.mark.slow
def test_a_window_is_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The picture has the messages of the window, and is where the command says."""
    assert main(["diagram", str(folder), "--since", "5", "--until", "7"]) == 0
    assert capsys.readouterr().err == f"drawn: {folder / 'diagram.svg'}\n"
    some = (folder / "diagram.svg").read_text()
    assert len(some) < len((folder / "messages.svg").read_text()) / 2
    assert "broadcast, 3 nodes, seed 2" in some


@pytest.mark.slow
def test_the_set_up_is_drawn_at_negative_times(folder: Path, tmp_path: Path) -> None:
    """A window before 0 has the messages of the set-up, among them those of init, and none of the main phase."""
    output = tmp_path / "set-up.svg"
    assert main(["diagram", str(folder), "--since", "-4", "--until", "-0.000001", "-o", str(output)]) == 0
    drawn = output.read_text().partition("<script")[0]
    assert drawn.count('data-type="init"') == 2  # the last node is initialised at 0
    assert 'data-type="broadcast"' not in drawn
    assert "in the set-up, they are negative" in drawn


def test_only_some_messages_are_drawn(folder: Path, tmp_path: Path) -> None:
    """Words choose among messages; the file is the one that was asked for."""
    lost, both = tmp_path / "lost.svg", tmp_path / "both.svg"
    assert main(["diagram", str(folder), "--only", "lost", "-o", str(lost)]) == 0
    assert main(["diagram", str(folder), "--only", "lost", "--only", "topology", "-o", str(both)]) == 0
    assert "topology" not in lost.read_text().partition("<script")[0]
    assert "topology" in both.read_text().partition("<script")[0]


def test_what_is_left_out_is_told_with_a_command(folder: Path, tmp_path: Path) -> None:
    """Past the limit the picture says how to see the rest, with the same words."""
    output = tmp_path / "few.svg"
    assert main(["diagram", str(folder), "--only", "n1", "--limit", "5", "-o", str(output)]) == 0
    assert f"trio-messenger diagram {folder} --only n1 --since " in output.read_text()


def test_messages_are_searched(folder: Path, tmp_path: Path) -> None:
    """Words are looked for in types, ids and bodies; the command for the rest has the same words."""
    output = tmp_path / "found.svg"
    assert main(["diagram", str(folder), "--search", "type:broadcast n1", "--limit", "1", "-o", str(output)]) == 0
    drawn = output.read_text().partition("<script")[0]
    assert set(re.findall(r'class="m [^>]*data-type="(\w+)"', drawn)) <= {"broadcast", "broadcast_ok"}
    assert f"trio-messenger diagram {folder} --search &#x27;type:broadcast n1&#x27; --since " in drawn


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["--since", "7", "--until", "5"],
            "error: --since 7 is not before --until 5; make --since earlier or --until later",
        ),
        (["-o", "no/such/folder.svg"], "error: no/such/folder.svg cannot be written: No such file or directory;"),
    ],
)
def test_what_cannot_be_drawn_is_told(
    words: list[str], text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arguments that make no sense are named, and the status is that of wrong arguments."""
    assert main(["diagram", str(folder), *words]) == 254
    assert text in capsys.readouterr().err


def test_a_folder_without_a_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says what folder to give."""
    assert main(["diagram", str(tmp_path)]) == 254
    assert "give the folder of a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--limit", "0"], "argument --limit: 0 is too few; give 1 or more"),
        (["--limit", "few"], "argument --limit: 'few' is not a whole number; give one such as 5"),
        (["--since", "noon"], "argument --since: 'noon' is not a number; give one such as 5 or 0.5"),
        *(
            ([f"--since={text}"], f"argument --since: '{text}' is not a time in a run; give seconds, such as 5 or 0.5")
            for text in ("inf", "-inf", "nan", "1e300")
        ),
        (["--until", "noon"], "argument --until: 'noon' is not a number; give one such as 5 or 0.5"),
    ],
)
def test_values_of_options_are_looked_at(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no number is refused with what would be one, in the words of the other commands."""
    with pytest.raises(SystemExit, match=r"^254$"):
        main(["diagram", "nowhere", *words])
    assert capsys.readouterr().err.endswith(f"trio-messenger diagram: error: {message}\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            "--only lots",
            r"--only: there is no message of the kind 'lots'; did you mean 'lost'\? There are: clients, nodes",
        ),
        (
            "--only duplicates",
            r"--only: there is no message of the kind 'duplicates'; there are: clients, nodes, errors, lost",
        ),
        ("--only N1", r"of the kind 'N1'; did you mean 'n1'\? There are: clients, .*, n1, n2, n3, c0, c1"),
        (
            "--only n1 --search nowhere",
            r"has all the words of --search 'nowhere'; leave some out\. There .* types: .*init_ok",
        ),
        ("--since 900", r"there is no message between --since and --until; they are sent from -[\d.]+ s until \d+"),
    ],
)
def test_a_diagram_without_messages_is_refused(
    words: str, text: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says what the run has; no file is written."""
    output = tmp_path / "none.svg"
    assert main(["diagram", str(folder), *words.split(), "-o", str(output)]) == 254
    error = capsys.readouterr().err
    assert re.search(text, error)
    assert error.count("\n") == 1
    assert not output.exists()


def test_a_word_that_matches_nothing_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The messages of the other words are drawn."""
    output = tmp_path / "some.svg"
    assert main(["diagram", str(folder), "--only", "lost", "--only", "whisper", "-o", str(output)]) == 0
    told, drawn = capsys.readouterr().err.splitlines()
    assert told.startswith(
        "--only: there is no message of the kind 'whisper'; there are: clients, nodes, errors, lost, init, "
    )
    assert drawn == f"drawn: {output}"


def test_of_many_names_some_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run may have thousands of clients."""
    many = save(simulate("echo", echo.build, nodes=1, concurrency=40, rate=50, time_limit=2), tmp_path, "0")
    assert main(["diagram", str(many), "--only", "nobody"]) == 254
    assert re.search(r", c20, .*, and \d+ more\n$", capsys.readouterr().err)


def test_a_run_without_messages_cannot_be_drawn(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its journal may have been emptied."""
    shutil.copytree(folder, tmp_path / "emptied")
    (tmp_path / "emptied" / "journal.jsonl").write_text("")
    assert main(["diagram", str(tmp_path / "emptied")]) == 254
    assert "there is no message between --since and --until; the run has none\n" in capsys.readouterr().err
