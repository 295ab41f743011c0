import peaks
from greatest import Greatest

from trio_messenger.sim import simulate

SEEDS = range(10)


def is_caught(build, rate, seed):
    network = {"nodes": 3, "latency": 100, "latency_dist": "exponential"}
    return simulate(Greatest, build, rate=rate, seed=seed, time_limit=10, **network).valid is False


for rate in (1, 20):
    wrong = sum(is_caught(peaks.build_wrong, rate, seed) for seed in SEEDS)
    right = sum(is_caught(peaks.build, rate, seed) for seed in SEEDS)
    print(f"{rate} operations/s: wrong {wrong}, right {right} of {len(SEEDS)}")
