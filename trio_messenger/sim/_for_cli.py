"""What the command line uses of the simulator besides `trio_messenger.sim`. It imports no other private module of it.

So a change in the simulator that affects the command line shows up here. A command that runs no simulation must not
import this module, since it takes longer to load than a node takes to start.
"""

from __future__ import annotations

from ._campaigns.campaign import (
    CONFIDENCE as CONFIDENCE,
    FIRST_FAILED as FIRST_FAILED,
    CampaignInterrupted as CampaignInterrupted,
    CampaignReport as CampaignReport,
    run_campaign as run_campaign,
    with_seed as with_seed,
)
from ._campaigns.determinism_check import (
    RunFailedError as RunFailedError,
    check_determinism as check_determinism,
    first_difference as first_difference,
)
from ._campaigns.interpreters import SeedResult as SeedResult
from ._campaigns.simulation import make_report as make_report, run_simulation as run_simulation
from ._checkers import Valid as Valid
from ._cluster.cluster import SetUpError as SetUpError
from ._faults.fault_search import AIMED as AIMED, MIX as MIX, FaultSearch as FaultSearch
from ._faults.faults import (
    Fault as Fault,
    describe as describe,
    fault_from_json as fault_from_json,
    fault_to_json as fault_to_json,
    when as when,
)
from ._faults.schedules import NEMESES as NEMESES
from ._faults.shrinking import (
    SHRINK_BUDGET as SHRINK_BUDGET,
    DoesNotFail as DoesNotFail,
    Shrunk as Shrunk,
    shrink as shrink,
)
from ._invariants.watch import Invariant as Invariant, check_invariant as check_invariant
from ._judging.command_lines import folder_command as folder_command
from ._judging.history_report import HistoryReport as HistoryReport
from ._judging.report import (
    NOT_THE_SEED as NOT_THE_SEED,
    VERDICTS as VERDICTS,
    Report as Report,
    headline as headline,
)
from ._judging.store import Stored as Stored, load as load, load_journal as load_journal, save as save
from ._records.history_reader import read_history as read_history
from ._records.journal import Entry as Entry
from ._records.reading_errors import ReadingError as ReadingError
from ._runs.compound_options import MOST_COUNTED_NODES as MOST_COUNTED_NODES
from ._runs.declaration import (
    Argument as Argument,
    Group as Group,
    OneOf as OneOf,
    SomeOf as SomeOf,
    ValueKind as ValueKind,
    as_typed as as_typed,
)
from ._runs.elsewhere import check_elsewhere as check_elsewhere, run_elsewhere as run_elsewhere
from ._runs.options import OPTIONS as OPTIONS, Options as Options
from ._runs.real_time import (
    REAL_TIME_INIT_SPREAD as REAL_TIME_INIT_SPREAD,
    check_faults as check_faults,
    run_executables as run_executables,
)
from ._runs.run import MakeHost as MakeHost, Run as Run
from ._services.jetstream import (
    API_CALLS as API_CALLS,
    ON_JETSTREAM as ON_JETSTREAM,
    Bucket as Bucket,
    StreamError as StreamError,
    bucket_of as bucket_of,
    service_node as service_node,
)
from ._system.ending_signals import EndedBySignal as EndedBySignal
from ._system.executables import check_executable as check_executable
from ._system.standard_streams import (
    Forgiving as Forgiving,
    fill_standard_descriptors as fill_standard_descriptors,
    take_descriptor_1 as take_descriptor_1,
)
from ._workloads import WORKLOADS as WORKLOADS, WorkloadError as WorkloadError, workload_class as workload_class
from .pictures import LIMIT as LIMIT
from .pictures._flow import Flow as Flow, Passage as Passage, read_flow as read_flow, words_of as words_of
from .pictures._space_time import draw_flow as draw_flow
