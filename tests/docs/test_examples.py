"""The examples of the reference: each public function and class has one, and each prints what it says.

An example is in the docstring or, where a docstring would get too long, on the page. On a page, examples share their
names, as in Sphinx; an example in a docstring gets by with the lines at the top of its page.
"""

from __future__ import annotations

import doctest
import functools
import inspect
import re
from typing import Any

import pytest
from support.paths import DOCS

PAGES = ("api", "simulator", "testing")

# One starts a process, which takes a second under coverage; the other tries many schedules.
SLOW = {"api", "trio_messenger.sim.strategies.fault_schedules"}

PARSER = doctest.DocTestParser()

# What no example of its own shows, and the words of an example on the same page that shows it.
SHOWN_ELSEWHERE = {
    # Raised only.
    "MessengerError": "except MessengerError",
    "RemoteProtocolError": "except RemoteProtocolError",
    "RetriesExhausted": "except RetriesExhausted",
    "QuorumNotReached": "except QuorumNotReached",
    # Records that only the package makes.
    "PendingRpc": "node.pending",
    "Retried": "retried.attempts",
    "Gathered": "gathered.replies",
    "Envelope": "envelope.msg_type",
    "trio_messenger.transports.memory.MemoryTransport": "memory_transport_pair()",
    "trio_messenger.sim.pictures.PageSummary": "pictures.PageSummary(",
    "Shrunk": "shrunk.is_minimal",
    "trio_messenger.sim._judging.store.Stored": "stored.options",
    "Finding": "finding.text",
    "trio_messenger.sim._explanation.scene.Sent": "sent.arrival",
    "Impossible": "IMPOSSIBLE",
    "Linearizability": "result.undecided",
    "Violation": "violation.operation",
    # Arguments of a function, and a model that is one.
    "CasRegisters": "CasRegisters()",
    # They share one.
    "trio_messenger.sim._judging.store.load": " load(folder)",
    "trio_messenger.sim._judging.store.load_journal": "load_journal(folder)",
    # Owns stdin and stdout of a process.
    "trio_messenger.transports.stdio.StdioTransport": "node.run()",
    # Made by a function.
    "trio_messenger.transports.nats.NatsTransport": "open_nats(",
}

# Methods that no example calls, for only the package does.
NOT_CALLED = {
    *("Backoff.with_random", "EnvelopeLog.note", "MessageLoss.admits", "AtMostOnce.wrap"),
    *("Transport.send_now", "Transport.wall_time", "StdioTransport.receive", "StdioTransport.send"),
    *(f"NatsTransport.{name}" for name in ("receive", "send", "send_now", "aclose")),
    *("StdioTransport.send_now", "StdioTransport.aclose", "SimulatedStore.detach", "Journal.note", "Journal.shift"),
    *("Sent.holds", "Model.key", "Model.describe", "CasRegisters.key", "CasRegisters.describe"),
}


@functools.cache
def text_of(page: str) -> str:
    return (DOCS / "reference" / f"{page}.md").read_text(encoding="utf-8")


@functools.cache
def documented(page: str) -> dict[str, Any]:
    """Return the functions and classes that a page documents, by the names that it gives them."""
    found = {}
    module = ""
    for directive, name in re.findall(
        r"^\.\. (currentmodule|auto(?:class|function|exception)):: (\S+)$", text_of(page), re.M
    ):
        if directive == "currentmodule":
            module = name
        else:
            found[name] = find(name if "." in name else f"{module}.{name}")
    return found


def find(path: str) -> Any:
    """Return what *path* names, such as ``trio_messenger.Node``."""
    module, _, name = path.rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)


ENTRIES = [(page, name) for page in PAGES for name in documented(page)]


def entry_of(page: str, name: str) -> Any:
    """Return what a page documents by the name *name*."""
    return documented(page)[name]


def methods(entry: object) -> dict[str, Any]:
    """Return the public methods that a class of the package, or a class of the package below it, defines."""
    found: dict[str, Any] = {}
    for base in inspect.getmro(entry) if inspect.isclass(entry) else ():
        if base.__module__.startswith("trio_messenger"):
            own = {name: getattr(value, "__func__", value) for name, value in vars(base).items() if name[0] != "_"}
            found = {name: value for name, value in own.items() if inspect.isfunction(value)} | found
    return found


def docstrings(entry: object) -> str:
    """Return the docstring of a function, or of a class and its methods, if it has examples."""
    texts = [inspect.getdoc(each) or "" for each in (entry, *methods(entry).values())]
    return "\n\n".join(text for text in texts if ">>> " in text)


def below(page: str, name: str) -> str:
    """Return what a page says below its entry for *name*, up to the next entry."""
    [text] = re.findall(rf"^\.\. auto\w+:: {re.escape(name)}\n(.*?)(?=^\.\. |\Z)", text_of(page), re.M | re.S)
    return str(text)


def code(text: str) -> str:
    """Return the code of the examples in *text*."""
    return "".join(example.source for example in PARSER.get_examples(text))


@functools.cache
def code_of(page: str) -> str:
    """Return the code of all examples on a page."""
    return code("\n\n".join([text_of(page), *map(docstrings, documented(page).values())]))


@pytest.mark.parametrize(("page", "name"), ENTRIES)
def test_a_public_function_or_class_has_an_example(page: str, name: str) -> None:
    """It is in its docstring or below its entry on the page, or another example that uses it is listed above."""
    words = SHOWN_ELSEWHERE.get(name)
    if words is None:
        assert code(inspect.getdoc(entry_of(page, name)) or "") or code(below(page, name))
    else:
        assert words in code_of(page)


@pytest.mark.parametrize(("page", "name"), [each for each in ENTRIES if methods(entry_of(*each))])
def test_an_example_calls_each_public_method(page: str, name: str) -> None:
    """Or defines it in a class of its own: on the page of the class, or in a docstring that the page shows."""
    wanted = {name for name, method in methods(entry_of(page, name)).items() if method.__qualname__ not in NOT_CALLED}
    assert wanted - set(re.findall(r"(?:\.|def )(\w+)\b", code_of(page))) == set()


def test_each_exception_is_needed() -> None:
    """Whatever is listed above is on a page, and has no example of its own."""
    everything = {name: entry_of(page, name) for page, name in ENTRIES}
    assert [name for name in SHOWN_ELSEWHERE if code(inspect.getdoc(everything[name]) or "")] == []
    defined = {method.__qualname__ for entry in everything.values() for method in methods(entry).values()}
    assert NOT_CALLED - defined == set()


def run(text: str, names: dict[str, Any], title: str) -> None:
    """Run the examples in *text*, which find *names*, and add their own to them."""
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    test = PARSER.get_doctest(text, names, title, None, None)
    test.globs = names  # a DocTest keeps a copy
    runner.run(test, out=said.append, clear_globs=False)
    assert said == [], "".join(said)


def names_of(page: str) -> dict[str, Any]:
    """Return what the first lines of a page define."""
    first = text_of(page).partition("```{eval-rst}")[2].partition("\n\n")[0]
    names: dict[str, Any] = {}
    run(first, names, f"the first lines of {page}")
    return names


def parameters(*names: tuple[str, ...]) -> list[object]:
    """Return what a test is run with, each marked as slow if it is."""
    marks = [pytest.mark.slow, pytest.mark.every_python]
    return [pytest.param(*each, marks=marks if each[-1] in SLOW else []) for each in names]


@pytest.mark.parametrize("page", parameters(*((page,) for page in PAGES)))
def test_the_examples_on_a_page_print_what_they_say(page: str) -> None:
    """They run one after another."""
    run(text_of(page), {}, page)


@pytest.mark.parametrize(("page", "name"), parameters(*(each for each in ENTRIES if docstrings(entry_of(*each)))))
def test_the_examples_in_a_docstring_print_what_they_say(page: str, name: str) -> None:
    """They need no lines but those at the top of their page."""
    run(docstrings(entry_of(page, name)), names_of(page), name)
