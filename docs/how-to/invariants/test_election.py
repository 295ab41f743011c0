import checks
import election

from trio_messenger.sim import simulate


def test_each_term_has_one_leader() -> None:
    simulate("echo", election.build, nodes=3, time_limit=6, invariants=[checks.one_leader]).assert_valid()
