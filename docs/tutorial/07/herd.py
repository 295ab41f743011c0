import itertools
from collections import Counter

from trio_messenger import Backoff, Node

TIMEOUT, ATTEMPTS = 0.5, 6


def attempts(node, backoff):
    """Give the times at which *node* tells a peer that never answers."""
    delays = iter(backoff.with_random(node.random))
    steps = [TIMEOUT + next(delays) for _ in range(ATTEMPTS - 1)]
    return itertools.accumulate(steps, initial=0.0)


for title, backoff in {
    "no backoff": Backoff(base=0),
    "no jitter": Backoff(jitter=0),
    "jitter 0.1": Backoff(),
    "jitter 1": Backoff(jitter=1),
}.items():
    print(title)
    for seed in (1, 2):
        print(f"  node {seed}:", *(f"{time:8.3f}" for time in attempts(Node(seed=seed), backoff)))
    herd = zip(*(attempts(Node(seed=seed), backoff) for seed in range(1000)), strict=True)
    busiest = [max(Counter(int(time * 100) for time in times).values()) for times in herd]
    print("  at once:", *(f"{number:7}" for number in busiest))
