"""Maps each message `type` to its class. No other module does."""

from __future__ import annotations

from loom_common.contracts import v1
from loom_common.contracts.envelope import Message

MESSAGES: tuple[type[Message], ...] = (
    v1.RunRequest,
    v1.RegisterPipeline,
    v1.RunCommand,
    v1.ReplayRequest,
    v1.CheckSource,
    v1.FindPlace,
    v1.CheckDestination,
    v1.SplitSource,
    v1.ExtractSlice,
    v1.BatchExtracted,
    v1.BatchInSteps,
    v1.BatchTransformed,
    v1.BatchEvaluated,
    v1.FinalizeLoad,
    v1.RecordsQuarantined,
    v1.RecordsLoaded,
    v1.DiscardRequest,
    v1.SourceChecked,
    v1.PlaceFound,
    v1.DestinationChecked,
    v1.SourceSplit,
    v1.SliceExtracted,
    v1.BatchFact,
    v1.BatchFacts,
    v1.CallsPaid,
    v1.BudgetSpent,
    v1.RecordsKept,
    v1.LoadFinalized,
    v1.StageDelayed,
    v1.StageFailed,
    v1.RunProgress,
    v1.RunFinished,
    v1.RunAccepted,
    v1.PipelineRegistered,
    v1.RunRejected,
    v1.RunEpoch,
    v1.EpochsAsked,
    v1.EpochsTold,
    v1.WorkerBeat,
    v1.WorkUnderWay,
    v1.PrefetchLimit,
)

BY_TYPE: dict[str, type[Message]] = {message.type: message for message in MESSAGES}
