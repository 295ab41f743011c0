"""Folders that are complete or not there, and signals that are held back meanwhile."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from trio_messenger.sim._system.ending_signals import EndedBySignal, held_signals
from trio_messenger.sim._system.folders import point, write_folder


def never(_: Path) -> bool:
    return False


def always(place: Path) -> bool:
    return place.is_dir()


def writes(text: str) -> Callable[[Path, Path], object]:
    """Return what writes a folder with one file in it, which has *text*."""
    return lambda folder, _: (folder / "file").write_text(text)


def contents(parent: Path) -> dict[str, str]:
    """Return the text of each folder in *parent*; a hidden one, or an unfinished one, fails the test."""
    return {path.name: (path / "file").read_text() for path in sorted(parent.iterdir())}


# New names


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    """What is there stays as it is, however often there is more."""
    places = [write_folder(tmp_path, "a", writes(text), is_replaceable=never) for text in ("one", "two", "three")]
    assert [place.name for place in places] == ["a", "a-2", "a-3"]
    assert contents(tmp_path) == {"a": "one", "a-2": "two", "a-3": "three"}


def test_a_name_that_is_being_written_is_taken(tmp_path: Path) -> None:
    """Two processes that begin with the same name at the same time end with two folders, and each knows its own."""
    told = []

    def write(folder: Path, place: Path) -> None:
        told.append(place.name)
        told.append(write_folder(tmp_path, "a", writes("other"), is_replaceable=never).name)
        writes("first")(folder, place)

    assert write_folder(tmp_path, "a", write, is_replaceable=never).name == "a"
    assert told == ["a", "a-2"]
    assert contents(tmp_path) == {"a": "first", "a-2": "other"}


# Replacing


def test_the_earlier_folder_is_there_until_the_new_one_is_complete(tmp_path: Path) -> None:
    """It is replaced as a whole."""
    place = write_folder(tmp_path, "a", writes("before"), is_replaceable=always)

    def write(folder: Path, _: Path) -> None:
        assert (place / "file").read_text() == "before"
        writes("after")(folder, place)

    assert write_folder(tmp_path, "a", write, is_replaceable=always) == place
    assert contents(tmp_path) == {"a": "after"}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError()])
@pytest.mark.parametrize("is_replaceable", [always, never])
def test_what_fails_leaves_nothing(
    error: BaseException, is_replaceable: Callable[[Path], bool], tmp_path: Path
) -> None:
    """The earlier folder is as it was, and there is no part of the new one."""
    write_folder(tmp_path, "a", writes("before"), is_replaceable=never)

    def write(folder: Path, place: Path) -> None:
        writes("half")(folder, place)
        raise error

    with pytest.raises(type(error)):
        write_folder(tmp_path, "a", write, is_replaceable=is_replaceable)
    assert contents(tmp_path) == {"a": "before"}


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, EndedBySignal), (signal.SIGHUP, EndedBySignal)],
)
def test_a_signal_leaves_nothing(number: signal.Signals, error: type[BaseException], tmp_path: Path) -> None:
    """A signal that ends the process in the midst of writing is no exception to that."""

    def write(folder: Path, place: Path) -> None:
        writes("half")(folder, place)
        signal.raise_signal(number)

    with pytest.raises(error):
        write_folder(tmp_path, "a", write, is_replaceable=never)
    assert contents(tmp_path) == {}


def test_what_cannot_be_moved_leaves_nothing(tmp_path: Path) -> None:
    """If the place is taken by a file meanwhile, the file stays, and the error says so."""

    def write(folder: Path, place: Path) -> None:
        writes("text")(folder, place)
        place.write_text("mine")

    with pytest.raises(NotADirectoryError):
        write_folder(tmp_path, "a", write, is_replaceable=never)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_name_that_cannot_be_leaves_nothing(tmp_path: Path) -> None:
    """Where not even an empty folder can be made, there is nothing to take away."""
    with pytest.raises(OSError, match="File name too long"):
        write_folder(tmp_path, "x" * 300, writes("text"), is_replaceable=never)
    assert list(tmp_path.iterdir()) == []


def test_another_process_may_replace_it_at_the_same_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the earlier folder is gone just when it is to be moved away, the new one still gets its place."""
    place = write_folder(tmp_path, "a", writes("before"), is_replaceable=always)
    rename = Path.rename

    def rename_late(path: Path, target: Path) -> Path:
        if path == place:
            rename(path, tmp_path.with_name("moved"))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_late)
    assert write_folder(tmp_path, "a", writes("after"), is_replaceable=always) == place
    assert contents(tmp_path) == {"a": "after"}


def test_many_may_replace_one_folder(tmp_path: Path) -> None:
    """Writers of one name at the same time, each pointing a link there: one of them wins, and nobody fails."""
    failures = []
    parent = tmp_path / "folders"

    def work(text: str) -> None:
        try:
            for _ in range(20):
                place = write_folder(parent, "a", writes(text), is_replaceable=lambda _: True)
                point(tmp_path / "latest", place)
        except BaseException as exc:  # noqa: BLE001 - it is for the main thread
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(text,)) for text in ("one", "two", "three", "four")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert contents(parent)["a"] in ("one", "two", "three", "four")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folders", "latest"]
    assert (tmp_path / "latest" / "file").exists()


# Signals


def test_signals_are_held_back() -> None:
    """However often they come, what is inside is done to its end; then Ctrl-C goes before the others."""
    done = []

    def work(*numbers: signal.Signals) -> None:
        with held_signals() as signals:
            signals.notice = lambda: done.append("noticed")
            for number in numbers:
                signal.raise_signal(number)
            done.append("end")

    with pytest.raises(KeyboardInterrupt):
        work(signal.SIGTERM, signal.SIGINT, signal.SIGINT)
    assert done == ["noticed", "noticed", "noticed", "end"]
    with pytest.raises(EndedBySignal) as caught:
        work(signal.SIGHUP)
    assert caught.value.code == 128 + signal.SIGHUP
