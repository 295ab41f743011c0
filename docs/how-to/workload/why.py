import peaks
from greatest import Greatest

from trio_messenger.sim import simulate

network = {"nodes": 3, "latency": 100, "latency_dist": "exponential"}
report = simulate(Greatest, peaks.build_wrong, rate=20, seed=1, time_limit=2, **network)
for finding in report.findings():
    print(finding.text, finding.messages)
