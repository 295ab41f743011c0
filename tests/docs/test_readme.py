"""The README is true: its commands and its program run, and print what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.lines import INIT, line
from support.page_runner import environment, follow
from support.paths import DOCS, ROOT
from support.processes import INIT_OK, SCRIPTS, bodies, run

from trio_messenger import MalformedMessage
from trio_messenger._protocol.lines import LineDecoder

README = (ROOT / "README.md").read_text()
DEMO = DOCS / "demo"


def block(language: str, *, below: str = "") -> str:
    """Return the first fenced block of the README in *language*, or the first one below a heading."""
    _, _, rest = README.partition(f"## {below}\n") if below else ("", "", README)
    found = re.search(rf"^```{language}\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no block in {language}"
    return found[1]


def pipeline() -> str:
    """Return what the README's first command does once it has installed the package."""
    _, installed, rest = block("sh").rstrip("\n").partition("pip install --quiet . && ")
    assert installed, "the README's first command no longer installs as this test expects"
    return rest


@pytest.mark.slow
async def test_first_command_prints_what_the_readme_shows() -> None:
    """The node of the first command leaks an RPC, has it reaped while stdin is held open, and prints just that."""
    command = pipeline().replace(".venv/bin/", f"{shlex.quote(str(SCRIPTS))}/")
    assert str(SCRIPTS) in command
    status, output, errors = await run("sh", "-c", command, stdin=subprocess.DEVNULL, cwd=ROOT, env=environment(80))
    assert (status, output.decode()) == (0, block("json"))
    assert errors == block("text")
    assert "stderr" in README.partition("```json")[0], "the README does not prepare its reader for the line on stderr"


@pytest.mark.slow
async def test_a_mistake_is_found_as_the_readme_shows(tmp_path: Path) -> None:
    """The commands that test and shrink the wrong node print what the README shows."""
    (tmp_path / "docs" / "demo").mkdir(parents=True)
    (tmp_path / "docs" / "demo" / "board.py").write_text(block("python", below="See it find a mistake"))
    assert await follow(ROOT / "README.md", tmp_path) == 2
    assert (tmp_path / "store" / "latest" / "index.html").exists()


def test_the_wrong_node_is_the_file_that_the_readme_names() -> None:
    """The program that the README shows is the one that its reader runs."""
    assert (DEMO / "board.py").read_text() == block("python", below="See it find a mistake")


async def test_example_node_is_a_whole_program(tmp_path: Path) -> None:
    """The program under "Write a node" runs as it stands, and answers."""
    program = tmp_path / "program.py"
    program.write_text(block("python", below="Write a node"))
    given = INIT + line({"type": "echo", "echo": "hello", "msg_id": 2})
    status, output, errors = await run(sys.executable, program, input=given)
    assert (status, errors) == (0, "")
    assert output.startswith(INIT_OK)
    assert bodies(output)[1:] == [{"type": "echo_ok", "echo": "hello", "in_reply_to": 2, "msg_id": 1}]


def test_demo_files_are_those_of_the_first_command() -> None:
    """The command reads every file of messages in the demo folder, and no other."""
    assert re.findall(r"docs/demo/(\S+?\.jsonl)", pipeline()) == ["leak.jsonl", "after.jsonl"]
    assert sorted(path.name for path in DEMO.glob("*.jsonl")) == ["after.jsonl", "leak.jsonl"]


def test_demo_files_are_requests_that_the_shown_output_answers() -> None:
    """Each line of the demo is a well-formed request, and what the README shows answers each once, in order."""
    requests = LineDecoder().receive_data((DEMO / "leak.jsonl").read_bytes() + (DEMO / "after.jsonl").read_bytes())
    assert not any(isinstance(message, MalformedMessage) for message in requests)
    shown = [msgspec.json.decode(text) for text in block("json").splitlines()]
    replies = [message["body"] for message in shown if "in_reply_to" in message["body"]]
    assert [(reply["type"], reply["in_reply_to"]) for reply in replies] == [
        (message.body["type"] + "_ok", message.body["msg_id"]) for message in requests
    ]


def test_the_workflow_runs_the_readmes_command_on_each_supported_python() -> None:
    """The code host's checks run the same command as a reader, with every Python that the package names."""
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    supported = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    [matrix] = re.findall(r"^ +python: (\[.*\])$", workflow, re.MULTILINE)
    assert msgspec.json.decode(matrix) == supported
    assert re.findall(r"^ +- run: (.*)$", workflow, re.MULTILINE) == [".ci/run"]
    assert "<!-- ci runs this command -->\n```sh\n" in README
