from collections.abc import Mapping
from typing import Any


def one_leader(nodes: Mapping[str, Any]) -> None:
    """In each term, at most one node leads."""
    leaders = dict[int, str]()
    for node_id, election in nodes.items():
        if election.leads:
            other = leaders.setdefault(election.term, node_id)
            assert other == node_id, f"two leaders in term {election.term}: {other} and {node_id}"
