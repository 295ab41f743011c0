"""lin-kv: a linearizable store."""

from __future__ import annotations

from typing import Any

import pytest
from support.services import (
    cas,
    make,
    read,
    write,
)

from trio_messenger import (
    LIN_KV,
    SEQ_KV,
)


@pytest.mark.parametrize("asked_for", [True, 1, 0, "", "false", [], {}, 0.0])
@pytest.mark.parametrize("name", [LIN_KV, SEQ_KV])
def test_anything_but_false_and_null_asks_to_create(name: str, asked_for: Any) -> None:
    """``create_if_not_exists`` is true as Clojure has it: 0 and the empty string as well."""
    assert cas(make(name), "n1", "x", 1, 2, create_if_not_exists=asked_for) == 0
    assert cas(make(name), "n1", "x", 1, 2, create_if_not_exists=None) == 20
    assert cas(make(name), "n1", "x", 1, 2, create_if_not_exists=False) == 20


def test_writing_the_other_zero_changes_nothing() -> None:
    """To seq-kv 0.0 and -0.0 are one value: to write one where the other is may stay in the past."""
    kept = 0
    for seed in range(50):
        service = make(SEQ_KV, seed)
        write(service, "n1", "x", 0.0)
        write(service, "n2", "x", 1)
        write(service, "n1", "x", -0.0)
        kept += [read(service, "n2", "x") for _ in range(30)][-1] == 1
    assert 10 < kept < 40


def test_lin_kv_creates_where_that_is_asked_for() -> None:
    """With create_if_not_exists a missing key is set whatever was expected; one that exists is compared as ever."""
    service = make(LIN_KV)
    assert cas(service, "n1", "x", "whatever", 1, create_if_not_exists=True) == 0
    assert cas(service, "n2", "x", "whatever", 2, create_if_not_exists=True) == 22
    assert cas(service, "n2", "x", 1, 2, create_if_not_exists=True) == 0
    assert read(service, "n3", "x") == 2


def test_lin_kv_holds_null_as_a_value() -> None:
    """A key that holds null exists: it is read as null, and compared with null."""
    service = make(LIN_KV)
    write(service, "n1", "x", None)
    assert read(service, "n1", "x") is None
    assert cas(service, "n1", "x", 1, 2) == 22
    assert cas(service, "n1", "x", None, 2) == 0
