"""All names of the simulator that the commands use, private ones included. No other module of `_cli` imports it.

So a change in the simulator that affects the command line shows up here. A command that runs no simulation must not
import this module, since it takes longer to load than a node takes to start.
"""

from __future__ import annotations

from ..sim._campaigns.campaign import (
    CampaignReport as CampaignReport,
    run_campaign as run_campaign,
    with_seed as with_seed,
)
from ..sim._campaigns.determinism_check import (
    RunFailedError as RunFailedError,
    check_determinism as check_determinism,
    first_difference as first_difference,
)
from ..sim._campaigns.interpreters import SeedResult as SeedResult
from ..sim._campaigns.simulation import make_report as make_report, run_simulation as run_simulation
from ..sim._checkers import Valid as Valid
from ..sim._cluster.cluster import SetUpError as SetUpError
from ..sim._faults.faults import (
    Fault as Fault,
    describe as describe,
    fault_from_json as fault_from_json,
    fault_to_json as fault_to_json,
    when as when,
)
from ..sim._faults.schedules import NEMESES as NEMESES
from ..sim._faults.shrinking import (
    SHRINK_BUDGET as SHRINK_BUDGET,
    DoesNotFail as DoesNotFail,
    Shrunk as Shrunk,
    shrink as shrink,
)
from ..sim._judging.command_lines import folder_command as folder_command
from ..sim._judging.report import (
    NOT_THE_SEED as NOT_THE_SEED,
    VERDICTS as VERDICTS,
    Report as Report,
    headline as headline,
)
from ..sim._judging.store import Stored as Stored, load as load, load_journal as load_journal, save as save
from ..sim._records.journal import Entry as Entry
from ..sim._runs.compound_options import MOST_COUNTED_NODES as MOST_COUNTED_NODES
from ..sim._runs.declaration import (
    Argument as Argument,
    Group as Group,
    OneOf as OneOf,
    Option as Option,
    SomeOf as SomeOf,
    ValueKind as ValueKind,
    as_typed as as_typed,
)
from ..sim._runs.options import OPTIONS as OPTIONS, Options as Options
from ..sim._runs.real_time import SPREAD as SPREAD, check_faults as check_faults, run_executables as run_executables
from ..sim._runs.run import MakeHost as MakeHost, Run as Run
from ..sim._system.ending_signals import EndedBySignal as EndedBySignal
from ..sim._system.executables import check_executable as check_executable
from ..sim._system.standard_streams import (
    Forgiving as Forgiving,
    fill_standard_descriptors as fill_standard_descriptors,
    take_descriptor_1 as take_descriptor_1,
)
from ..sim._workloads import WORKLOADS as WORKLOADS
from ..sim.pictures import LIMIT as LIMIT, space_time as space_time
