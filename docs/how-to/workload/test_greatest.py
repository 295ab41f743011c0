import greatest
import peaks
import pytest

from trio_messenger.sim import History, Op, simulate


def history(*operations: tuple[str, object, str, object]) -> History:
    """Return a history of one client: each operation's function and value, how it ended, and what came of it."""
    ops: list[Op] = []
    for f, value, end, result in operations:
        for type_, shown in (("invoke", value), (end, result)):
            ops.append(Op(index=len(ops), time=len(ops), type=type_, process=0, f=f, value=shown, final=True))
    return History(ops)


@pytest.mark.parametrize(
    ("operations", "valid"),
    [
        ([("propose", 1, "ok", 1), ("read", None, "ok", 1)], True),
        ([("propose", 1, "ok", 1), ("read", None, "ok", 0)], False),
        ([("propose", 1, "ok", 1), ("read", None, "ok", 2)], False),
        ([("propose", 1, "info", None), ("read", None, "ok", 0)], True),
        ([("propose", 1, "info", None), ("read", None, "ok", 1)], True),
        ([("propose", 1, "info", None), ("read", None, "ok", 1), ("read", None, "ok", 0)], False),
        ([("propose", 1, "fail", None), ("read", None, "ok", 1)], False),
        ([("propose", 1, "ok", 1), ("read", None, "fail", None)], "unknown"),
    ],
)
def test_the_checker_tells_right_from_wrong(operations, valid):
    assert greatest.check(history(*operations))["valid?"] == valid


@pytest.mark.parametrize("seed", range(5))
def test_the_right_node_passes_and_the_wrong_one_is_caught(seed):
    def run(build):
        options = {"nodes": 3, "rate": 20, "time_limit": 20, "latency": 100, "latency_dist": "exponential"}
        return simulate(greatest.Greatest, build, seed=seed, **options)

    run(peaks.build).assert_valid()
    assert run(peaks.build_wrong).valid is False
