"""The unique-ids node: no id comes twice, in one life or in several."""

from __future__ import annotations

from support.gossip import sent

from trio_messenger.nodes import unique_ids
from trio_messenger.testing import running


async def ids_of_a_life(seed: int | None = None, node_id: str = "n1", count: int = 100) -> list[str]:
    node = unique_ids.build()
    if seed is not None:
        node.random.seed(seed)  # as the simulator does, after the node was built
    async with running(node, init=False) as network:
        await network.send("c0", {"type": "init", "msg_id": 0, "node_id": node_id, "node_ids": ["n1", "n2"]})
        await sent(network)
        found = []
        for msg_id in range(count):
            await network.send("c1", {"type": "generate", "msg_id": msg_id}, dest=node_id)
            body = (await sent(network)).body
            assert body["type"] == "generate_ok"
            found.append(body["id"])
        return found


async def test_ids_are_unique_in_each_life_and_over_all_lives() -> None:
    """No id comes twice: not in one life of a node, not in its next one, and not from another node."""
    lives = [await ids_of_a_life() for _ in range(3)]
    lives += [await ids_of_a_life(seed) for seed in range(3)]
    lives.append(await ids_of_a_life(0, node_id="n2"))
    everything = [id_ for life in lives for id_ in life]
    assert len(set(everything)) == len(everything) == 700


async def test_ids_can_be_repeated_by_the_seed() -> None:
    """All chance is the node's own."""
    assert await ids_of_a_life(7) == await ids_of_a_life(7)
