from board import build
from hypothesis import given, settings

from trio_messenger.sim import Partition, simulate
from trio_messenger.sim.strategies import fault_schedules

NODES = ["n1", "n2", "n3"]
KINDS = ["partition", "loss", "duplicate", "reorder"]


def test_a_partition_loses_nothing(simulation):
    cut = Partition.between(["n1", "n2"], ["n3"], at=5, until=10)
    report = simulation("broadcast", build, nodes=NODES, faults=[cut], time_limit=15)
    report.assert_valid()
    assert report.warnings() == []


@settings(max_examples=20, deadline=None)
@given(fault_schedules(NODES, kinds=KINDS, time_limit=10))
def test_no_bad_network_loses_anything(faults):
    report = simulate("broadcast", build, nodes=NODES, faults=faults, time_limit=10)
    assert report.valid is True, str(report)
