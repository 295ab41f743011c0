"""A workload that is not of the package: what it leaves out gets a sensible default."""

from __future__ import annotations

import pytest
from support.number_echoes import Numbers

from trio_messenger.nodes import echo
from trio_messenger.sim import WORKLOADS, History, Invocation, Results, simulate


class Counting(Numbers):
    """The last echo changes something, as far as anybody knows. Its checker accepts nothing."""

    name = "counting"

    def final_invocation(self) -> Invocation:
        return "echo", -1

    def check(self, history: History) -> Results:  # noqa: ARG002 - whatever happened
        return {"valid?": False, "wrong": [3, 5]}


def test_a_workload_without_words_of_its_own_is_explained_and_not_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report tells the figures of its checker; an operation that is not idempotent is not done once more."""
    monkeypatch.setitem(WORKLOADS, Counting.name, Counting)
    report = simulate(Counting.name, echo.build, nodes=2, time_limit=2)
    assert report.valid is False
    assert "wrong [3, 5]" in report.reasons()[0]
    assert [op.value for op in report.history if op.final and op.type == "ok"] == [-1, -1]
    assert not any(op.audit for op in report.history)
