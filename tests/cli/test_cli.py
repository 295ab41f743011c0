"""The command line: what it takes, what it says, and how it ends."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from support.command_line import OWN, in_folder
from support.lines import INIT, line
from support.paths import DOCS
from support.processes import INIT_OK, MODULE, NODE, SCRIPTS, bodies, run

from trio_messenger import Node, _cli
from trio_messenger._cli.finding import find_node
from trio_messenger.nodes import NODES

COMMAND = pytest.mark.parametrize(
    "command", [pytest.param(MODULE, id="module"), pytest.param((SCRIPTS / "trio-messenger",), id="script")]
)


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the current folder hold modules to name on the command line, and forget them afterwards."""
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("import no_such_module_at_all\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "inner.py").write_text(OWN)
    yield from in_folder(tmp_path, monkeypatch)


def outcome(*argv: str) -> int | str | None:
    """Return the status that the process would have."""
    try:
        return _cli.main(argv)
    except SystemExit as exc:
        return exc.code


# As a process


@pytest.mark.slow
@pytest.mark.every_python
@COMMAND
async def test_script_and_module_are_the_same(command: tuple[str, ...]) -> None:
    """``trio-messenger`` and ``python -m trio_messenger`` do, print and return the same."""
    version = f"trio-messenger {metadata.version('trio-messenger')}\n".encode()
    assert await run(*command, "--version") == (0, version, "")
    status, output, errors = await run(*command, "node", "nowhere")
    assert (status, output) == (2, b"")
    assert errors.startswith("trio-messenger: error: there is no node 'nowhere'")


@pytest.mark.slow
@pytest.mark.every_python
async def test_own_node_comes_from_the_current_folder(tmp_path: Path) -> None:
    """MODULE:NODE finds a module in the current folder, also for the script, which Python gives another path."""
    (tmp_path / "own.py").write_text(OWN)
    request = line({"type": "hi", "msg_id": 2})
    for command in ((SCRIPTS / "trio-messenger", "node"), NODE):
        status, output, errors = await run(*command, "own:build", input=INIT + request, cwd=tmp_path)
        assert (status, errors) == (0, "")
        assert bodies(output)[1] == {"type": "hi_ok", "text": "there", "in_reply_to": 2, "msg_id": 1}


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize(
    ("name", "frame", "error"),
    [
        ("own:raises", "in raises", "OSError: no such luck"),
        ("broken:build", 'broken.py", line 1', "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    ],
)
async def test_own_errors_come_with_their_traceback(name: str, frame: str, error: str, tmp_path: Path) -> None:
    """What a factory raises, or its module on import, is a bug of its author's: Python's traceback shows where."""
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("import no_such_module_at_all\n")
    status, output, errors = await run(*NODE, name, cwd=tmp_path)
    assert (status, output) == (1, b"")
    assert errors.startswith("Traceback (most recent call last):\n")
    assert frame in errors
    assert errors.endswith(f"{error}\n")


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize(
    ("options", "levels"),
    [
        ((), ["WARNING"]),
        (("--log-level", "debug"), ["DEBUG", "INFO", "WARNING"]),
        (("--log-level", "info"), ["INFO", "WARNING"]),
        (("--log-level", "warning"), ["WARNING"]),
        (("--log-level", "error"), []),
    ],
)
async def test_log_level_says_what_is_logged(options: tuple[str, ...], levels: list[str], tmp_path: Path) -> None:
    """Log lines of the chosen level and above go to stderr, one line each; by default warnings."""
    (tmp_path / "own.py").write_text(
        "import logging\n" + OWN + "\nlog = logging.getLogger('own')\n"
        "def speak():\n"
        "    node = Node()\n"
        "    node.on_init(lambda: [log.debug('heard'), log.info('heard'), log.warning('heard')] and None)\n"
        "    return node\n"
    )
    status, output, errors = await run(*NODE, *options, "own:speak", input=INIT, cwd=tmp_path)
    assert (status, output) == (0, INIT_OK)
    heard = [text for text in errors.splitlines() if text.endswith(": heard")]
    assert heard == [f"{level}: heard" for level in levels]


@pytest.mark.slow
@pytest.mark.every_python
async def test_info_tells_of_the_life_of_the_node() -> None:
    """``--log-level info`` says more on stderr than the default does, as the help promises."""
    _, _, quiet = await run(*NODE, input=INIT)
    status, output, errors = await run(*NODE, "--log-level", "info", input=INIT)
    assert (quiet, status, output) == ("", 0, INIT_OK)
    assert errors.startswith("INFO: ")


async def test_a_log_of_json_has_an_object_in_each_line() -> None:
    """Warnings, the statistics, and a traceback with its newlines; a broken stdin ends with such a line, too."""
    unknown = line({"type": "no\nsuch", "msg_id": 1})
    status, _, errors = await run(*NODE, "--log-level", "info", "--log-format", "json", input=INIT + unknown)
    warning, statistics = map(json.loads, errors.splitlines())
    assert (status, warning["level"], statistics["level"]) == (0, "WARNING", "INFO")
    assert warning["message"].startswith("refused 'no\\nsuch' from 'c1'")
    assert statistics["message"].startswith("statistics: received=2 ")
    assert warning["logger"] == statistics["logger"] == "trio_messenger"
    assert 1.7e9 < warning["time"] <= statistics["time"]


async def test_the_last_error_of_a_node_is_json_as_well() -> None:
    """As when its stdin is closed."""
    command = 'exec "$@" --log-format json <&-'
    status, _, errors = await run("sh", "-c", command, "sh", *NODE)
    [last] = map(json.loads, errors.splitlines())
    assert (status, last["level"]) == (1, "ERROR")
    assert last["message"].startswith("error: stdin is closed; ")


async def test_a_reader_of_the_list_may_leave_early() -> None:
    """Where nobody reads the list of nodes any more, as with ``| head -1``, it ends: status 1 and no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        status, _, errors = await run(*MODULE, "nodes", stdout=writer)
    finally:
        os.close(writer)
    assert (status, errors) == (1, "")


@pytest.mark.slow
@pytest.mark.every_python
@pytest.mark.parametrize(
    ("log_level", "levels"), [("info", ["INFO"]), ("INFO", ["INFO"]), (20, ["INFO"]), ("error", [])]
)
async def test_log_level_of_run_may_be_written_in_small_letters(
    log_level: str | int, levels: list[str], tmp_path: Path
) -> None:
    """``Node.run`` takes a level as the command line writes it, as `logging` does, or as a number."""
    program = f"from trio_messenger import Node\nNode().run(log_level={log_level!r})\n"
    status, output, errors = await run(sys.executable, "-c", program, input=INIT, cwd=tmp_path)
    assert (status, output) == (0, INIT_OK)
    assert [text.partition(":")[0] for text in errors.splitlines()] == levels


# In this process


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` names the program and the version that is installed."""
    assert outcome("--version") == 0
    assert capsys.readouterr().out == f"trio-messenger {metadata.version('trio-messenger')}\n"


@pytest.mark.parametrize("argv", [(), ("node",)])
def test_help_shows_examples(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """The help of the program and that of ``node`` end with commands to copy, all of which are taken."""
    assert outcome(*argv, "--help") == 0
    output = capsys.readouterr().out
    examples = re.findall(r"^  (?:.*\| )?trio-messenger((?: [\w:.-]+)*)", output.partition("\nexamples:\n")[2], re.M)
    assert len(examples) >= 3
    for example in examples:
        _cli.parse(example.split())


def test_help_of_node_tells_of_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever starts a node reads there how it ends, and with which exit status."""
    assert outcome("node", "--help") == 0
    output = capsys.readouterr().out
    assert "SIGTERM" in output
    assert "exit status: 0 " in output


@pytest.mark.parametrize("argv", [(), ("nod",), ("node", "messenger", "more"), ("node", "--log-level", "loud")])
def test_wrong_arguments_are_refused(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """What the parser does not know ends with status 2 and the usage on stderr."""
    assert outcome(*argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: trio-messenger")


def test_nodes_lists_each_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """``nodes`` gives the name of each ready-made node and what it does."""
    assert outcome("nodes") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [text.split(maxsplit=1) for text in lines] == [list(item) for item in NODES.items()]


def test_nodes_are_all_there_and_all_listed() -> None:
    """Each listed node can be made, and each module among the nodes is listed."""
    folder = Path(importlib.import_module("trio_messenger.nodes").__file__ or "").parent
    assert {path.stem.replace("_", "-") for path in folder.iterdir() if path.name[0] != "_"} == set(NODES)
    for name in NODES:
        assert find_node(name) is not find_node(name)


def test_nodes_are_in_the_reference() -> None:
    """The page of the ready-made nodes has each of them."""
    page = (DOCS / "reference" / "nodes.md").read_text(encoding="utf-8")
    assert [name for name in NODES if f"`{name}`" not in page.partition("\n\n## ")[0]] == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "there is no node 'nowhere'; there are: {nodes}. Give your own as MODULE:NODE"),
        (
            "mesenger",
            "there is no node 'mesenger'; did you mean 'messenger'? There are: {nodes}. Give your own as MODULE:NODE",
        ),
        ("", "there is no node ''; there are: {nodes}. Give your own as MODULE:NODE"),
        ("owl:build", "owl:build: there is no module 'owl' in this folder or among the installed ones"),
        ("owl.inner:build", "owl.inner:build: there is no module 'owl' in this folder or among the installed ones"),
        (
            "package.owl:build",
            "package.owl:build: there is no module 'package.owl' in this folder or among the installed ones",
        ),
        (":build", ":build: '' is not the name of a module; write MODULE:NODE, such as my_nodes:build"),
        (":", ":: '' is not the name of a module; write MODULE:NODE, such as my_nodes:build"),
        ("own:", "own:: module 'own' has no node or function ''; it has built"),
        ("own:biuld", "own:biuld: module 'own' has no node or function 'biuld'; did you mean 'build'?"),
        ("own:value", "own:value: module 'own' has no node or function 'value'; it has built"),
        ("own:build:more", "own:build:more: module 'own' has no node or function 'build:more'; did you mean 'build'?"),
        ("own:number", "own:number returned 5, which is not a trio_messenger.Node"),
        ("own:bilt", "own:bilt: module 'own' has no node or function 'bilt'; did you mean 'built'?"),
        ("own:_buil", "own:_buil: module 'own' has no node or function '_buil'; did you mean '_build'?"),
        ("own:Noed", "own:Noed: module 'own' has no node or function 'Noed'; it has built"),
        (
            "own:to_measure",
            "own:to_measure: cannot be called without arguments (missing a required argument: 'size'); "
            "name a function such as build()",
        ),
    ],
)
@pytest.mark.usefixtures("own_module")
def test_what_is_not_there_is_told_in_one_line(name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that stands for no node ends with status 2 and a line that says what is, and what was meant perhaps."""
    assert outcome("node", name) == 2
    message = message.format(nodes=", ".join(NODES))
    assert capsys.readouterr() == ("", f"trio-messenger: error: {message}\n")


@pytest.mark.parametrize("name", [".own:build", "..own:build", ".:build"])
@pytest.mark.usefixtures("own_module")
def test_a_relative_module_is_told_in_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A module name with a dot in front is relative to nothing: one line and status 2, no traceback."""
    assert outcome("node", name) == 2
    output, errors = capsys.readouterr()
    assert (output, errors.count("\n")) == ("", 1)
    assert errors.startswith(f"trio-messenger: error: {name}: ")
    assert errors.endswith("write MODULE:NODE, such as my_nodes:build\n")


@pytest.mark.parametrize("name", ["own:build", "own:Buildable", "own:_build", "package.inner:build"])
@pytest.mark.usefixtures("own_module")
def test_anything_that_returns_a_node_makes_one(name: str) -> None:
    """A function or a class will do, in a module or within a package, private or not."""
    assert isinstance(find_node(name), Node)


@pytest.mark.usefixtures("own_module")
def test_a_node_that_is_there_is_taken_as_it_is() -> None:
    """A module may name the node itself, in place of a function that makes it."""
    node = find_node("own:built")
    assert node is sys.modules["own"].built
    assert "hi" in node._service.router.handlers


@pytest.mark.usefixtures("own_module")
def test_current_folder_comes_first() -> None:
    """A module here is taken, though an installed one has the same name, as with ``python -m``."""
    Path("twice.py").write_text(OWN)
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "twice.py").write_text("")
    sys.path.insert(0, os.fspath(elsewhere.resolve()))
    assert isinstance(find_node("twice:build"), Node)


@pytest.mark.parametrize(
    ("name", "error"), [("own:raises", OSError), ("own:gone", BrokenPipeError), ("broken:build", ModuleNotFoundError)]
)
@pytest.mark.usefixtures("own_module")
def test_own_errors_are_not_taken_for_wrong_names(name: str, error: type[Exception]) -> None:
    """What a factory raises, or its module when imported, leaves as it is."""
    with pytest.raises(error):
        _cli.main(["node", name])


def test_a_closed_stdout_ends_the_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """When the list cannot be written any more the status is 1, and nothing is left for Python to write at exit."""

    class Closed(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    assert outcome("nodes") == 1
    assert sys.stdout is None
    assert capsys.readouterr().err == ""


def test_node_arguments_reach_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """``node`` runs the messenger by default, with the log level and first number that were asked for; returns 0."""
    ran = []

    def run(node: Node, *, log_level: str, first_msg_id: object, **others: object) -> None:
        ran.append((log_level, first_msg_id))
        assert others == {"transport": None, "log_format": "text", "within": contextlib.nullcontext}
        assert "send_fire_forget" in node._service.router.handlers

    monkeypatch.setattr(Node, "run", run)
    assert outcome("node") == 0
    assert outcome("node", "messenger", "--log-level", "debug", "--first-msg-id", "7") == 0
    assert outcome("node", "--first-msg-id", "clock") == 0
    assert ran == [("warning", 0), ("debug", 7), ("warning", "clock")]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("soon", "'soon' is not a whole number; give one such as 5, or: clock"),
        ("-1", "first_msg_id is -1; give a whole number from 0 to 9007199254740991 (2**53 - 1, the largest that is "),
        (str(2**53), "first_msg_id is 9007199254740992; give a whole number from 0 to 9007199254740991 (2**53 - 1, "),
    ],
)
def test_a_first_number_that_cannot_be_is_refused_in_one_line(
    given: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the numbers of a node cannot begin with it, the command ends with status 2, and says what they can."""
    assert outcome("node", f"--first-msg-id={given}") == 2
    assert f"error: argument --first-msg-id: {text}" in capsys.readouterr().err
