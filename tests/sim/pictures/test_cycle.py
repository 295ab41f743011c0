"""The picture of a cycle of transactions."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from support.histories import history, info, ok
from support.transactions import Mops, alone, appends, sequence, starts, together, writes

from trio_messenger.sim._checkers.transactions.list_append import list_append
from trio_messenger.sim._checkers.transactions.rw_register import rw_register
from trio_messenger.sim._records.history import History
from trio_messenger.sim.pictures._transaction_cycles import pictures_of_transactions

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(svg).iter(f"{SVG}text")]


def drawn(whole: History) -> list[str]:
    [picture] = pictures_of_transactions(list_append(whole))
    return texts(picture.svg)


def test_each_transaction_is_a_box_and_each_step_an_arrow() -> None:
    """The boxes are in the order of the cycle, with what the transactions did; each arrow has its reason."""
    whole = together(appends("ax1ay1"), appends("ax2ry"), appends("rx12"))
    [picture] = pictures_of_transactions(list_append(whole))
    assert (picture.name, picture.title) == (
        "g-single-item.svg",
        "G-single-item: 2 transactions, each of which comes before the next",
    )
    assert texts(picture.svg) == [
        "G-single-item",
        "T1",
        "process 0, index 3",
        'append "x" 1, append "y" 1',
        "T2",
        "process 1, index 4",
        'append "x" 2, r "y" null',
        'ww on key "x": wrote 1; the other wrote 2, a later one',
        'rw on key "y": read nothing; the other wrote 1',
    ]
    root = ET.fromstring(picture.svg)
    arrows = [each.get("class") for each in root.iter(f"{SVG}path") if "arrow" in (each.get("class") or "")]
    assert arrows == ["arrow ww", "arrow rw"]
    assert (root.get("aria-label") or "").startswith('G-single-item: T1 appended 1 to key "x"')


def test_all_kinds_of_steps_have_a_reason() -> None:
    """Of the data, of a process, of real time."""
    assert drawn(together(appends("ax1ry1"), appends("ay1rx1")))[-1] == 'wr on key "y": wrote 1, which the other read'
    assert drawn(history(alone(0, appends("ax1")), alone(0, appends("rx"))))[-2] == "process 0 went on"
    assert drawn(sequence(appends("ax1"), appends("rx")))[-2] == "ended before the other began"
    [picture] = pictures_of_transactions(rw_register(sequence(writes("wx1"), writes("wx2"), writes("rx1"))))
    assert 'rw on key "x": read 1; the other wrote 2, a later one' in texts(picture.svg)


def test_long_transactions_have_several_lines() -> None:
    """All operations can be read, one that is too long for a line is cut, and of very many the first ones are shown."""
    many = [["r", f"key {number}", [*range(number)]] for number in range(5)]
    huge = [["r", f"key {number}", [*range(20, 50)]] for number in range(12)]
    told = drawn(together([*many, *appends("ax1ry")], [*huge, *appends("ay1rx")]))
    assert told[3:6] == [
        'r "key 0" [], r "key 1" [0], r "key 2" [0, 1],',
        'r "key 3" [0, 1, 2], r "key 4" [0, 1, 2, 3], append "x" 1,',
        'r "y" null',
    ]
    assert told[8].startswith('r "key 0" [20, 21, ')
    assert told[8].endswith("…,")
    assert told[8:].index("and 7 more operations") == 7


def test_markup_in_keys_is_text() -> None:
    """Whatever a key is called, the picture is well-formed."""
    mops: list[Mops] = [[["append", "<b>&", 1], ["r", "]]>", None]], [["append", "]]>", 1], ["r", "<b>&", None]]]
    [picture] = pictures_of_transactions(list_append(together(*mops)))
    assert any("<b>&" in text for text in texts(picture.svg))


def test_a_long_cycle_is_cut() -> None:
    """The title says how many transactions are left out."""
    count = 50
    mops: list[Mops] = [[["r", number, None], ["append", (number + 1) % count, 1]] for number in range(count)]
    [picture] = pictures_of_transactions(list_append(together(*mops)))
    assert texts(picture.svg)[0] == "G2-item (10 more transactions are left out)"


def test_an_outcome_that_is_unknown_is_dashed() -> None:
    """The box of a transaction has the class of its outcome."""
    whole = history(starts(0, appends("ax1")), starts(1, appends("rx1ry")), starts(2, appends("ay1")), info(0), ok(2, appends("ay1")), starts(3, appends("ry1rx")), ok(3, appends("ry1rx")), ok(1, appends("rx1ry")))  # fmt: skip  # noqa: E501
    [picture] = pictures_of_transactions(list_append(whole))
    assert 'class="box info"' in picture.svg


def test_only_cycles_have_pictures() -> None:
    """Other anomalies are sentences."""
    assert pictures_of_transactions(list_append(together(appends("rx1")))) == []
