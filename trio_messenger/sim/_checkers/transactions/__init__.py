"""The checkers of transactions: which consistency models a history of transactions contradicts, and why.

`list_append` and `rw_register` judge histories of the workloads txn-list-append and txn-rw-register. They follow Elle
(Kingsbury and Alvaro, *Elle: Inferring Isolation Anomalies from Experimental Observations*, 2020): from what
transactions read, they infer the order of the versions of each key, and from that order which transaction must come
before which. A cycle of such dependencies is an anomaly. Its kind says which consistency models the history
contradicts.

The parts, from the bottom up:

- `consistency_models`: which models forbid which anomalies, and which model implies which;
- `observations`: the transactions of a history, and who wrote which value;
- `dependency_graph` and `session_orders`: the graph of dependencies, with the order of processes and of real time;
- `components` and `cycle_search`: strongly connected components, and cycles of each kind in them;
- `list_versions` and `register_versions`: the versions of keys, and the dependencies that follow from them;
  `coherence` infers more about registers;
- `sentences` and `transaction_verdict`: the anomalies in words, and the result;
- `list_append` and `rw_register`: the checkers, with the anomalies that are not cycles.
"""
