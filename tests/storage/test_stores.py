"""What all stores have in common, by the example of the one in memory; and a property test of them all."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings, strategies as st
from trio.testing import assert_checkpoints

from trio_messenger import DurableStore, FileStore, LocalProtocolError, MemoryStore
from trio_messenger._storage import file_store
from trio_messenger.sim import SimulatedStore


@attrs.frozen
class Entry:
    """A record."""

    term: int


@pytest.fixture(params=["memory", "file", "simulated"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A new store of each kind."""
    makers: dict[str, Callable[[], DurableStore]] = {
        "memory": MemoryStore,
        "file": lambda: FileStore(tmp_path / "data"),
        "simulated": SimulatedStore,
    }
    return makers[request.param]()


def test_a_store_is_a_mapping_of_copies(store: DurableStore) -> None:
    """It keeps the state of a value at its assignment, in the order of names, and records as objects."""
    log = [1]
    store["log"] = log
    log.append(2)
    assert store["log"] == [1]
    store["log"].append(3)
    assert store["log"] == [1]
    store["entry"] = Entry(4)
    store.update(vote=("n1", 2**70), none=None)
    assert dict(store) == {"log": [1], "entry": {"term": 4}, "vote": ["n1", 2**70], "none": None}
    del store["log"]
    assert (len(store), "log" in store, "none" in store, store.get("log")) == (3, False, True, None)
    assert store.setdefault("entry", 5) == {"term": 4}
    for missing in ("log", "never"):
        with pytest.raises(KeyError, match=missing):
            store[missing]
        with pytest.raises(KeyError, match=missing):
            del store[missing]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([{"a": math.nan}], r"^JSON has no number nan, found at store\['x'\]\[0\]\.a; use null or a string instead$"),
        ("\ud800", r"^JSON cannot carry store\['x'\]: 'utf-8' codec can't encode"),
        (object(), r"^JSON cannot carry store\['x'\]: Encoding objects of type object is unsupported$"),
    ],
)
def test_what_json_cannot_carry_is_refused_at_the_assignment(store: DurableStore, value: object, text: str) -> None:
    """The former value stays."""
    store["x"] = 1
    with pytest.raises(LocalProtocolError, match=text):
        store["x"] = value
    assert dict(store) == {"x": 1}


def test_a_name_is_a_string(store: Any) -> None:
    """Another one would come back as a string."""
    with pytest.raises(TypeError, match=r"^the name of a value in a store is 1; use a string$"):
        store[1] = 1
    assert len(store) == 0


async def test_sync_is_a_checkpoint(store: DurableStore) -> None:
    """Even if there is nothing to do, and after a change."""
    with assert_checkpoints():
        await store.sync()
    store["x"] = 1
    with assert_checkpoints():
        await store.sync()
    with assert_checkpoints():
        await store.sync()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from("abc"), st.integers() | st.text(max_size=40)),
        st.tuples(st.just("delete"), st.sampled_from("abc"), st.none()),
        st.tuples(st.sampled_from(["sync", "close"]), st.just(""), st.none()),
    ),
    max_size=40,
)


@pytest.mark.slow
@pytest.mark.every_python
@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_a_store_has_what_a_dict_has(steps: list[tuple[str, str, Any]]) -> None:
    """After any changes, syncs that shorten the log, and restarts, the store in a directory has the same values."""

    async def play(directory: str) -> None:
        model: dict[str, Any] = {}
        store = FileStore(directory)
        for step, name, value in steps:
            if step == "set":
                store[name] = model[name] = value
            elif step == "delete" and name in model:
                del store[name], model[name]
            elif step == "sync":
                await store.sync()
            elif step == "close":
                store.close()
                store = FileStore(directory)
            assert dict(store) == model
        store.close()
        with FileStore(directory) as store:
            assert dict(store) == model

    with pytest.MonkeyPatch.context() as patched, TemporaryDirectory() as directory:
        patched.setattr(os, "fsync", lambda _: None)  # no crash is tested here, so no disk is waited for
        patched.setattr(file_store, "SYNC_SLACK", 100)
        patched.setattr(file_store, "WRITE_SLACK", 150)
        trio.run(play, directory)
