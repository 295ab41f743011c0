"""The page of a run: what is on it, not how it looks; and how pictures and page write times and text."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.html_pages import Page
from support.pictures import MS, NASTY, S

from trio_messenger.sim._explanation import Finding
from trio_messenger.sim.pictures import PageSummary, Picture, page
from trio_messenger.sim.pictures._svg import Clock, duration, element, escape, shorten


def paged(**fields: Any) -> Page:
    return Page(page(PageSummary(**{"title": "echo, 1 node", "verdict": True, "seed": 7, **fields})))


@pytest.mark.parametrize(("verdict", "word"), [(True, "valid"), (False, "INVALID"), ("unknown", "unknown")])
def test_the_verdict_comes_first(verdict: Any, word: str) -> None:
    """The first word on the page, and of its title, is the verdict; the reasons follow."""
    found = paged(verdict=verdict, reasons=[Finding("2 elements were lost")], warnings=["fault 0 took no effect"])
    lines = [line for line in found.text.split("\n") if line.strip()]
    assert lines[0].startswith(f"{word}: echo, 1 node")
    assert lines[1].startswith(word)
    assert ("header", {"class": word.lower()}) in found.elements
    places = [found.text.rindex(part) for part in (word, "echo, 1 node", "seed 7", "2 elements were lost", "no effect")]
    assert places[1:] == sorted(places[1:])


def test_sentences_link_to_the_messages_that_show_them() -> None:
    """To those that the diagram has; of a very long run it has only the first ones."""
    found = paged(
        reasons=[Finding("n2 lacks 7", (5, 7, 5, 10_000)), Finding("n3 lacks 8", (10_001,)), Finding("plain")],
        remarks=[Finding("stale", (9,))],
        files=["messages.svg"],
    )
    links = [dict(attributes).get("href") for tag, attributes in found.elements if tag == "a"]
    assert [link for link in links if link and "#messages" in link] == [
        "messages.svg#messages=5,7",
        "messages.svg#messages=9",
    ]
    assert "n2 lacks 7 show 2 messages" in found.text
    assert "stale show the message" in found.text
    assert "#messages" not in page(PageSummary(title="x", verdict=True, seed=1, reasons=[Finding("y", (1,))]))


def test_a_page_says_what_was_tested_and_what_it_demands() -> None:
    """Before the reasons; a verdict has its meaning, so that nobody has to know the words."""
    found = paged(verdict=False, node="board:<node>", rules="Nodes have to agree.", reasons=[Finding("n2 lacks 7")])
    parts = ["seed 7, node under test: board:<node>", "Nodes have to agree.", "did not do what the test demands", "n2"]
    assert [found.text.index(part) for part in parts] == sorted(found.text.index(part) for part in parts)
    assert "found nothing wrong" in paged().text
    assert "does not show enough" in paged(verdict="unknown", reasons=[Finding("too few")]).text
    assert "node under test" not in paged().text


def test_details_are_below_the_reason_that_they_explain() -> None:
    """Each reason with details has a list of its own; a detail without a reason is a reason."""
    reasons = [Finding("alone", is_detail=True), Finding("a"), Finding("a1", is_detail=True), Finding("b")]
    text = page(PageSummary(title="x", verdict=False, seed=1, reasons=reasons))
    assert '<li>alone</li><li>a<ul class="details"><li>a1</li></ul></li><li>b</li>' in text


def test_a_sentence_links_to_the_faults_that_it_names() -> None:
    """If the page has them; what only looks like a fault is text."""
    found = paged(
        reasons=[Finding("dropped by fault 1 (kill), fault 2 and default 0")],
        faults=[("kill n1", "from 0 s", 1), ("kill n2", "from 1 s", 1)],
    )
    assert found.links() == ["#fault-1"]
    assert ("span", {"id": "fault-1"}) in found.elements


def test_the_diagram_begins_with_the_messages_of_the_reasons() -> None:
    """All of them, once each; without reasons it shows everything."""
    reasons = [Finding("a", (5, 7)), Finding("b", (7, 9)), Finding("c", (10_000,))]
    found = paged(verdict=False, reasons=reasons, files=["messages.svg"])
    assert [attributes["src"] for tag, attributes in found.elements if tag == "iframe"] == [
        "messages.svg#messages=5,7,9"
    ]
    assert "only the 3 messages that the reasons" in found.text
    one = paged(verdict=False, reasons=[Finding("a", (5,))], files=["messages.svg"])
    assert "only the message that the reasons" in one.text
    assert "reset" not in paged(files=["messages.svg"]).text


def test_words_are_defined_where_they_are_used() -> None:
    """Each only once, and only those that are on the page."""
    found = paged(figures=[("p50 latency", "1 ms"), ("p99 latency", "2 ms"), ("custom", 1)], results={"lost": [1]})
    terms = [attributes for tag, attributes in found.elements if tag == "dl" and attributes.get("class") == "terms"]
    assert len(terms) == 2
    assert found.text.count("pN latency") == 1
    assert "lostthe values that lost-count counts" in found.text
    assert "custom1" in found.text
    assert "details" not in paged(figures=[("custom", 1)]).tags()


def test_the_page_says_where_all_runs_are() -> None:
    """As a path: a link would lead elsewhere from store/latest."""
    found = paged(store_page="store/index.html")
    assert "store/index.html lists all runs." in found.text
    assert found.links() == []


def test_a_page_says_how_to_go_on() -> None:
    """Each command stands below what it does."""
    found = paged(commands=[("the same again", "trio-messenger replay 'store/echo 7'")])
    assert "the same againtrio-messenger replay 'store/echo 7'" in found.text


def test_figures_have_their_names() -> None:
    """Numbers are written so that they can be read."""
    found = paged(figures=[("operations", 12345), ("messages per operation", 3.14159), ("latency", "5 ms")])
    for pair in ("operations12,345", "messages per operation3.142", "latency5 ms"):
        assert pair in found.text


def test_faults_are_listed_with_how_often_they_took_effect() -> None:
    """One that did not is marked; of each it is told when it was."""
    faults = [("partition n1 -> n2", "from 0 s until 5 s", 1234), ("kill n1", "from 7 s until the end", 0)]
    found = paged(faults=faults)
    assert found.cells == [
        ["fault", "what it did", "when", "times it took effect"],
        ["0", "partition n1 -> n2", "from 0 s until 5 s", "1,234"],
        ["1", "kill n1", "from 7 s until the end", "no effect"],
    ]
    assert ("em", {"class": "inert"}) in found.elements


def test_what_the_checker_found_is_told() -> None:
    """Single values as figures, lists with their values, maps by name; what is empty is left out."""
    results = {
        "valid?": False,
        "lost-count": 2,
        "lost": [17, "x"],
        "stale": [],
        "error": None,
        "stable-latencies": {"0.5": 3.0, "1": [1]},
    }
    found = paged(results=results)
    for part in ("valid?false", "lost-count2", 'lost17, "x"', "errornull", "stable-latencies0.531[1]"):
        assert part in found.text.replace("\n", "")
    assert "h3" in found.tags()
    assert "stale" not in found.text


def test_anomalies_are_a_table() -> None:
    """One row for each, with all fields that any has; a time is in seconds and leads to the messages of that time."""
    errors = [{"time": 1_500_000_000, "value": [1, 2], "f": "<b>"}, {"time": None, "error": "x", "ok": True}]
    found = paged(results={"errors": errors}, files=["messages.svg"])
    assert found.cells == [
        ["time", "value", "f", "error", "ok"],
        ["1.500 s", "[1, 2]", "<b>", "", ""],
        ["", "", "", "x", "true"],
    ]
    assert "messages.svg#from=1.500&to=3.500" in found.links()
    assert paged(results={"errors": errors}).links() == []


def test_long_lists_are_cut() -> None:
    """What is left out is counted, and the file that has all of it is named, if there is one."""
    rows = [{"index": number} for number in range(25)]
    found = paged(results={"errors": rows, "stale": list(range(1_060))}, files=["results.json"])
    assert len(found.cells) == 1 + 20
    assert "and 5 more; results.json has them all" in found.text
    assert "58, 59and 1,000 more; results.json has them all" in found.text
    assert "results.json" not in paged(results={"errors": rows}).text


def test_pictures_are_embedded_if_they_are_there() -> None:
    """From the run's folder, and nothing from anywhere else."""
    found = paged(files=["messages.svg", "latency.svg", "rate.svg"])
    assert [attributes["src"] for tag, attributes in found.elements if tag == "iframe"] == ["messages.svg"]
    assert [attributes["data"] for tag, attributes in found.elements if tag == "object"] == ["latency.svg", "rate.svg"]
    assert "messages.svg#show=lost" in found.links()
    without = paged().tags()
    assert "iframe" not in without
    assert "object" not in without


def test_all_files_are_linked() -> None:
    """Each with what it is, and the logs by their nodes; a name of any characters is a path, never a scheme."""
    files = ["results.json", "odd file.txt", "javascript:alert(1)", "node-logs/n1.log", "node-logs/n#2.log"]
    found = paged(files=files)
    assert found.links() == [
        "results.json",
        "odd%20file.txt",
        "javascript%3Aalert%281%29",
        "node-logs/n1.log",
        "node-logs/n%232.log",
    ]
    assert "results.json - the results of the checkers" in found.text
    assert "what each node logged: n1, n#2" in found.text


def test_a_page_of_little_has_no_empty_parts() -> None:
    """Headings stand only above something."""
    assert "h2" not in paged().tags()
    full = paged(figures=[("ops", 1)])
    assert full.tags().count("h2") == 1


def test_what_runs_say_is_text_on_the_page() -> None:
    """No text, wherever it comes from, adds an element; none needs anything from elsewhere."""

    def tags(text: str) -> list[str]:
        fields: dict[str, Any] = {
            "title": text,
            "node": text,
            "rules": text,
            "store_page": text,
            "reasons": [Finding(text, (1,))],
            "remarks": [Finding(text)],
            "warnings": [text],
            "commands": [(text, text)],
            "figures": [(text, text)],
            "faults": [(text, text, 1)],
            "results": {text: 1, "map": {text: text}, "list": [text], "rows": [{text: text}]},
            "files": [text, f"node-logs/{text}.log"],
        }
        return paged(**fields).tags()

    assert tags(NASTY) == tags("plain")
    assert "<script" not in page(PageSummary(title=NASTY, verdict=True, seed=1))
    assert "://" not in page(PageSummary(title="x", verdict=True, seed=1, files=["messages.svg", "latency.svg"]))


def test_a_page_is_for_phones_as_well() -> None:
    """It says so to the browser, and has colours for the night."""
    text = page(PageSummary(title="x", verdict=True, seed=1))
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert "prefers-color-scheme: dark" in text
    assert "$" not in text


# Words


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 s"),
        (1, "1 ns"),
        (1_500, "1.5 µs"),
        (12_340_000, "12.3 ms"),
        (250 * MS, "250 ms"),
        (S, "1 s"),
        (90 * S, "90 s"),
    ],
)
def test_durations_have_their_unit(nanoseconds: int, text: str) -> None:
    """And three digits."""
    assert duration(nanoseconds) == text


def test_times_have_as_many_decimals_as_tell_them_apart() -> None:
    """All times of a picture have the same, no more than they need, and microseconds at the finest."""
    assert Clock.of([]) == Clock(0)
    assert Clock.of([0, S, 5 * S]) == Clock(0)
    assert Clock.of([0, 250 * MS]) == Clock(2)
    assert Clock.of([0, 1_234_567, 2 * S]) == Clock(4)
    assert Clock.of([1, *(number * 10 * MS for number in range(20))]) == Clock(3)
    assert Clock.of([0, 1, 2, 3]).decimals == 6
    assert Clock(3).text(1_250 * MS) == "1.250"
    assert Clock(3).down(1_999_999) == "0.001"


def test_text_is_cut_where_it_has_no_room() -> None:
    """To its beginning, or to nothing where not even that says anything."""
    assert shorten("partition n1 -> n2", 1000) == "partition n1 -> n2"
    assert shorten("partition n1 -> n2", 70) == "partition…"
    assert shorten("partition n1 -> n2", 20) == ""


def test_elements_escape_what_they_are_given() -> None:
    """Attributes always; content is markup, and has been escaped before."""
    assert (
        element("a", escape("<"), href='"&', data_x=1.5, class_=None) == '<a href="&quot;&amp;" data-x="1.5">&lt;</a>'
    )
    assert element("br") == "<br/>"


def test_a_page_shows_json_as_json() -> None:
    """Strings in lists keep their quotes, and letters of all languages stay what they are."""
    assert json.dumps("ä", ensure_ascii=False) in paged(results={"lost": ["ä"]}).text


def test_pictures_of_a_workload_come_before_the_messages() -> None:
    """Each with its heading and how to read it, and in the list of files."""
    shown = [Picture(name="queue.svg", title="A <queue>", explanation="What was < in it.", svg="<svg/>")]
    found = paged(pictures=shown, files=["queue.svg", "messages.svg"])
    parts = ["A <queue>", "What was < in it.", "open the whole diagram"]
    assert [found.text.index(part) for part in parts] == sorted(found.text.index(part) for part in parts)
    assert [dict(given).get("data") for tag, given in found.elements if tag == "object"] == ["queue.svg"]
    assert "queue.svg - A <queue>" in found.text
    assert "A <queue>" not in paged(pictures=shown).text  # it was not saved


@pytest.mark.parametrize("name", ["rate.svg", "../x.svg", "index.html", "X.svg", ".svg"])
def test_a_picture_has_a_name_of_its_own(name: str) -> None:
    """It can replace no other file of the run."""
    expected = (
        f"a picture cannot be called {name!r}; use small letters, digits and hyphens, then .svg, and none of the names"
        " that each run has: latency.svg, messages.svg, rate.svg"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        Picture(name=name, title="x", explanation="x", svg="<svg/>")
