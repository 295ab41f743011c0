"""The index of error messages has what the package says, and the package says nothing else that needs a word.

A message in the code is a text with gaps: an f-string, or a format of a log line. A message of the page fits it if the
gaps can be filled so that both are the same.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.paths import DOCS

import trio_messenger

PACKAGE = Path(trio_messenger.__file__).parent

# Calls whose texts a user sees, besides `raise` and the methods of a log.
CALLS = {
    *("error", "RpcError", "Finding", "_failure", "_refuse", "_refuse_malformed", "_note", "_note_problem"),
    *("_expect_end", "_condemn", "_note_exit", "_on_stuck"),
}

LOG = {"info", "warning", "error"}

# A text that says what to do explains itself.
REMEDY = re.compile(
    r"[;:,] (?:\w+ )?(?:annotate|begin|call|convert|define|enter|give|install|leave|make|name|omit|print)\b"
    r"|[;:,] (?:\w+ )?(?:run|send|set|use|write)\b|\bmust be\b|[Tt]here are: |it has: |--\w+"
)

# The others that the page leaves out, and why.
EXPLAIN_THEMSELVES = {
    # Other messages of the page end with them, as a reason.
    "it is larger than {} MiB": "of --faults and --nodes-file",
    "it is not UTF-8": "of --faults and --nodes-file",
    "Object missing required field `{}`": "of an error 12 of a service",
    "Expected a `type` that is a string in `$.{}`, got {}": "of an error 12",
    "Expected the type {}, got {}": "of an operation that failed",
    "Expected a read of an array or null, got {}": "of an operation that failed",
    "Expected the operations {}, with the values that were read, got {}": "of an operation that failed",
    "entry {}: the {} event has no {}": "of a damaged journal",
    "entry {}: {} of message {}, which was not sent before": "of a damaged journal",
    "{} is not JSON: {}": "of a damaged schedule.json",
    "unknown options: {}": "of a damaged schedule.json",
    "{}; it was killed": "of a process that floods its stdout",
    "byte {} of its log does not match its checksum": "of a damaged store",
    "its log does not begin with the line that each log begins with": "of a damaged store",
    "its log has format {}, and this version reads format {}": "of a damaged store",
    # They say how many more there are of the sentences before them.
    "{} came back changed or were refused; see results.json": "echo",
    "{} came more than once; results.json lists the most frequent": "unique-ids",
    "{} did not always hold; see results.json": "assertions",
    "{} had impossible values": "counters",
    "{} lack values at the end; results.json says which": "broadcast and g-set",
    "{} {} not linearizable": "lin-kv",
    "{} of the type {}; results.json describes some of them": "kafka",
    "in all, {} were lost before the last reads of the nodes": "broadcast and g-set",
    "other values in reads that no client added: {}": "broadcast and g-set",
    "other values that are in one read more than once: {}": "broadcast and g-set",
    # They are no errors.
    "{} gave {} from an old state; the first, to {} at {}: {}": "a remark",
    "the stalest value was {}: {}, still missing from {}": "a remark",
    "{} {} when {} asked, at {}": "a remark",
    "the greatest lag was {}: that long before the poll that process {} began at {}, log {} already had a message that"
    " the process did not know after it": "a remark",
    "the client crashed, as the workload wants": "the end of an operation of kafka",
    # Nobody but the package itself can bring them about.
    "not possible in phase {}: {}; this comes {}": "a node's life",
    "not possible in phase {}: {}; this leads {}": "a node's life",
    "the run is over": "a fault that starts a process",
    # A ready-made node says them.
    "the service did not answer, so the message may or may not be appended": "kafka",
    "RPC failed after {} attempts": "messenger",
    "request {} came after {} later ones; it may have taken effect before": "raft",
    "{} does not lead, or no longer": "raft, to another member",
    "key does not exist: {}": "raft, as lin-kv",
    "current value {} is not {}": "raft, as lin-kv",
}


def text_of(node: ast.expr) -> str | None:
    """Return the text of an expression, with ``{}`` for each gap; None if it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[rsdg]", "{}", node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text_of(node.left), text_of(node.right)
        return None if left is None or right is None else left + right
    if isinstance(node, ast.Lambda):
        return text_of(node.body)
    return None


@functools.cache
def trees() -> dict[str, ast.Module]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return {str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def docstrings(tree: ast.Module) -> set[ast.expr]:
    """Return the expressions that stand alone: no code sees their texts."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}


@functools.cache
def texts() -> frozenset[str]:
    """Return all texts in the code of the package that have words."""
    found = set()
    for tree in trees().values():
        inside = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        skipped = docstrings(tree) | inside
        found |= {text_of(node) for node in ast.walk(tree) if isinstance(node, ast.expr) and node not in skipped}
    return frozenset(text for text in found if text and re.search(r"[A-Za-z]{4}|(?:[A-Za-z]\W*){7}", text))


def called(node: ast.Call) -> str:
    """Return the last name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def is_log(node: ast.Call) -> bool:
    return called(node) in LOG and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "_log"


def shown() -> Iterator[tuple[str, str]]:
    """Yield each text that a user may see as an error, with its place."""
    for path, tree in trees().items():
        functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        for scope in functions:
            named = {
                node.targets[0].id: node.value
                for node in ast.walk(scope)
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            }
            raised = {node.exc for node in ast.walk(scope) if isinstance(node, ast.Raise)}
            for node in ast.walk(scope):
                if isinstance(node, ast.Call) and (node in raised or called(node) in CALLS or is_log(node)):
                    for argument in node.args:
                        value = named.get(argument.id, argument) if isinstance(argument, ast.Name) else argument
                        text = text_of(value)
                        if text and re.search(r"[A-Za-z]{2,}\W+[A-Za-z]{2,}", text):
                            yield text, f"{path}:{node.lineno}"


@functools.cache
def rows() -> tuple[str, ...]:
    """Return the messages of the page, and of those on NATS and metrics."""
    page = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    for name in ("nats", "metrics"):
        page += (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8").partition("## Error messages")[2]
    found = re.findall(r"^\|(?: \d+ \|)? (`+) ?(.+?) ?\1 \| .+ \|$", page, re.MULTILINE)
    return tuple(message for _, message in found)


@functools.cache
def pattern(text: str) -> re.Pattern[str]:
    """Return what a message matches if *text*, with its gaps filled, is that message."""
    return re.compile(".*".join(map(re.escape, re.sub(r"\s+", " ", text).split("{}"))))


def fits(message: str, text: str) -> bool:
    return pattern(text).fullmatch(message) is not None


@pytest.mark.parametrize("message", rows())
def test_the_package_says_what_the_index_has(message: str) -> None:
    """Each message is a text of the package, with its gaps filled."""
    assert any(fits(message, text) for text in texts())


@pytest.mark.parametrize("text", sorted({text for text, _ in shown()}))
def test_the_index_has_what_the_package_says(text: str) -> None:
    """Or the text says what to do, or it is listed above with the reason."""
    known = text in EXPLAIN_THEMSELVES or REMEDY.search(text) or any(fits(message, text) for message in rows())
    assert known, [place for each, place in shown() if each == text]


def test_each_text_that_explains_itself_is_there() -> None:
    """And the index does not have it."""
    there = {text for text, _ in shown()}
    assert set(EXPLAIN_THEMSELVES) - there == set()


def test_no_message_is_there_twice() -> None:
    """A reader who searches the page finds one answer."""
    assert len(set(rows())) == len(rows()) > 100
