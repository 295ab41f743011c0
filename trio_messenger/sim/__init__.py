"""The simulator: a test bench like Maelstrom's, in one process, in virtual time, controlled by a seed.

`simulate` runs nodes on a simulated network with Maelstrom's services. Clients send the requests of a workload, a
schedule of faults breaks things, and checkers judge the history. The same seed gives the same run, message by message.
"""

from trio_messenger import DurableStore as DurableStore

from .._protocol.public_names import show_public_names as _show_public_names
from . import pictures as _pictures
from ._campaigns.simulation import simulate as simulate
from ._checkers import Results as Results, Valid as Valid
from ._checkers.linearizability import (
    Linearizability as Linearizability,
    Violation as Violation,
    linearizable as linearizable,
)
from ._checkers.models import (
    IMPOSSIBLE as IMPOSSIBLE,
    CasRegisters as CasRegisters,
    Impossible as Impossible,
    Model as Model,
    State as State,
)
from ._cluster.cluster import SetUpError as SetUpError
from ._cluster.durable import Build as Build, SimulatedStore as SimulatedStore
from ._explanation import Finding as Finding
from ._explanation.scene import Scene as Scene
from ._faults.fault_search import Aim as Aim, FaultSearch as FaultSearch
from ._faults.faults import (
    ClockSkew as ClockSkew,
    Duplication as Duplication,
    Fault as Fault,
    Kill as Kill,
    LinkFault as LinkFault,
    Loss as Loss,
    NodeFault as NodeFault,
    Partition as Partition,
    Pause as Pause,
    Reordering as Reordering,
    SlowLinks as SlowLinks,
    Storage as Storage,
)
from ._faults.schedules import NEMESES as NEMESES, make_schedule as make_schedule
from ._faults.shrinking import Shrunk as Shrunk, shrink as shrink
from ._invariants.watch import Invariant as Invariant
from ._judging.report import Report as Report
from ._judging.store import save as save
from ._network.latency_distribution import Latency as Latency
from ._records.history import History as History, Op as Op, Operation as Operation
from ._records.journal import Entry as Entry, Journal as Journal
from ._runs.options import Options as Options
from ._workloads import (
    TOPOLOGIES as TOPOLOGIES,
    WORKLOADS as WORKLOADS,
    ClientCrash as ClientCrash,
    GeneratorContext as GeneratorContext,
    Invocation as Invocation,
    Reply as Reply,
    Setting as Setting,
    Shape as Shape,
    Workload as Workload,
    WorkloadClient as WorkloadClient,
    WorkloadError as WorkloadError,
)

_show_public_names(__name__, globals())
_show_public_names(_pictures.__name__, vars(_pictures))
