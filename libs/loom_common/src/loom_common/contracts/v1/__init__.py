"""Version 1 of every message. Immutable: what is here has been spoken.

Four groups, in the order a run meets them: commands to the coordinator, work for the stages, facts
about what happened, answers and control. Seconds are floats, money is USD, times are ISO 8601 UTC."""

from loom_common.contracts.v1.answers import Mistake, PrefetchLimit, RunAccepted, RunEpoch, RunRejected
from loom_common.contracts.v1.beats import BreakerBeat, QueueBeat, WorkerBeat
from loom_common.contracts.v1.commands import DiscardRequest, ReplayRequest, RunCommand, RunRequest
from loom_common.contracts.v1.facts import (
    BatchFact,
    BudgetSpent,
    CallsPaid,
    Evaluation,
    Interaction,
    LoadFinalized,
    RecordsKept,
    SlicedBatch,
    SliceExtracted,
    StageDelayed,
    StageFailed,
)
from loom_common.contracts.v1.reports import (
    Alert,
    EvaluatorSummary,
    RunBudget,
    RunFinished,
    RunProgress,
    RunReport,
    StageCalls,
    StageProgress,
)
from loom_common.contracts.v1.work import (
    BatchEvaluated,
    BatchExtracted,
    BatchHeader,
    BatchTransformed,
    EvaluatedRecord,
    ExtractedRecord,
    ExtractSlice,
    FinalizeLoad,
    KeptRecord,
    RecordsQuarantined,
    TransformedRecord,
)

__all__ = [
    "Alert",
    "BatchEvaluated",
    "BatchExtracted",
    "BatchFact",
    "BatchHeader",
    "BatchTransformed",
    "BreakerBeat",
    "BudgetSpent",
    "CallsPaid",
    "DiscardRequest",
    "EvaluatedRecord",
    "Evaluation",
    "EvaluatorSummary",
    "ExtractSlice",
    "ExtractedRecord",
    "FinalizeLoad",
    "Interaction",
    "KeptRecord",
    "LoadFinalized",
    "Mistake",
    "PrefetchLimit",
    "QueueBeat",
    "RecordsKept",
    "RecordsQuarantined",
    "ReplayRequest",
    "RunAccepted",
    "RunBudget",
    "RunCommand",
    "RunEpoch",
    "RunFinished",
    "RunProgress",
    "RunRejected",
    "RunReport",
    "RunRequest",
    "SliceExtracted",
    "SlicedBatch",
    "StageCalls",
    "StageDelayed",
    "StageFailed",
    "StageProgress",
    "TransformedRecord",
    "WorkerBeat",
]
