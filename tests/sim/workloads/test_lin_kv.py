"""The lin-kv workload: who does what to which key, and what errors mean."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from trio_messenger.nodes import lin_kv_proxy
from trio_messenger.sim import GeneratorContext, Options, Report, Setting, simulate
from trio_messenger.sim._workloads.lin_kv import LinKvRegisters

N = 3


def run(**given: Any) -> Report:
    return simulate("lin-kv", lin_kv_proxy.build, **{"nodes": N, "rate": 100, "latency": 20, **given})


def workload(nodes: int = N, concurrency: int | None = None) -> LinKvRegisters:
    found = LinKvRegisters()
    names = [f"n{number}" for number in range(nodes)]
    found.setting = Setting(nodes=names, concurrency=concurrency or 2 * nodes)
    return found


def context(worker: int, process: int | None = None) -> GeneratorContext:
    return GeneratorContext(worker=worker, process=worker if process is None else process, node="n0", time=0)


# Who does what


def test_half_of_each_group_reads_and_the_others_write_or_compare_and_set() -> None:
    """With three nodes, workers 0 to 2 and 6 to 8 read; of the others, one operation in three is a write."""
    generator, random = workload(concurrency=12), Random(1)
    done: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for number in range(6000):
        worker = number % 12
        f, (key, argument) = generator.next_invocation(context(worker), random)
        done[worker % 6 < 3][f] += 1
        assert key == worker // 6
        values = {"read": [], "write": [argument], "cas": argument}[f]
        assert all(value in range(5) for value in values)
    assert done[True] == {"read": 3000}
    assert set(done[False]) == {"write", "cas"}
    assert done[False]["cas"] / done[False]["write"] == pytest.approx(2, rel=0.1)


def test_a_key_is_replaced_when_twenty_processes_have_used_it() -> None:
    """Those that have used it go on with it; the next new process gets the next key, with its whole group."""
    generator, random = workload(concurrency=12), Random(1)

    def key(worker: int, process: int) -> int:
        key, _ = generator.next_invocation(context(worker, process), random)[1]
        return int(key)

    assert [key(0, process) for process in range(20)] == [0] * 20
    assert key(7, 7) == 1  # the other group
    assert [key(0, 19), key(1, 3)] == [0, 0]
    assert [key(0, 20), key(1, 3), key(7, 7)] == [2, 2, 1]


def test_a_number_of_clients_that_fills_no_group_is_refused_with_one_that_does() -> None:
    assert Options(workload="lin-kv", nodes=["n1", "n2", "n3"]).concurrency == 6
    assert Options(workload="lin-kv", nodes=["n1", "n2", "n3"], concurrency=12).concurrency == 12
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        Options(workload="lin-kv", nodes=["n1", "n2", "n3"], concurrency=7)
    assert str(caught.value) == (
        "concurrency is 7; the lin-kv workload needs a multiple of twice the number of nodes, which is 6: give 12"
    )


def test_clients_wait_ten_times_the_latency_and_at_least_a_second() -> None:
    of_run = workload()
    assert of_run.client_timeout() == 1
    of_run.setting = Setting(latency=250)
    assert of_run.client_timeout() == 2.5


# What happens


@pytest.mark.slow
def test_registers_of_one_service_are_linearizable() -> None:
    report = run(nemesis=["partition"], nemesis_interval=2, time_limit=10)
    report.assert_valid()
    by_f = report.results["stats"]["by-f"]
    assert set(by_f) == {"read", "write", "cas"}


def test_a_read_that_finds_no_key_is_an_observation() -> None:
    """It ends as ok, with null; a compare-and-set of a missing key fails, and the history has the code."""
    history = run(time_limit=1).history
    first = next(op for op in history if op.f == "read" and op.type == "ok")
    assert first.value == [0, None]
    codes = {op.code for op in history if op.type == "fail"}
    assert codes == {20, 22}
