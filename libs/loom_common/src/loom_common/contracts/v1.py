"""Version 1 of every message. Immutable: what is here has been spoken.

Four groups, in the order a run meets them: commands to the coordinator, work for the stages, facts
about what happened, answers and control. Seconds are floats, money is USD, times are ISO 8601 UTC."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal
from uuid import uuid4

from pydantic import ConfigDict, Field

from loom_common.contracts.envelope import Message, Part
from loom_common.domain.budget import Budget
from loom_common.domain.calls import Calls
from loom_common.domain.ids import message_id
from loom_common.domain.replaying import Changes
from loom_common.domain.tally import Tally
from loom_common.flow import Stage

# --- commands: anyone -> coordinator ------------------------------------------------------------------------------


class RunRequest(Message):
    """Start a run. Any AMQP client may publish this JSON to `loom.runs` / `run.request`."""

    type: ClassVar[str] = "loom.run.request.v1"

    pipeline: str | None = Field(None, description="The name of a registered pipeline.")
    definition: dict[str, Any] | None = Field(None, description="Or the definition itself, as in a pipeline file.")
    params: dict[str, Any] = Field(default_factory=dict, description="Values for the pipeline's parameters.")
    idempotency_key: str | None = Field(None, description="The same key twice starts one run.")
    requested_by: str | None = Field(None, description="For people.")
    files: dict[str, str] = Field(default_factory=dict, description="Prompt and context files by path, as text.")
    base: str = Field("", description="The folder that relative paths start from, below the workers' project folder.")
    sample: int | None = Field(None, ge=1, description="Extract at most so many records.")
    reuse: bool = Field(True, description="False: take no result of an earlier run.")
    priority: int = Field(5, ge=1, le=10, description="Its share beside other runs: 10 weighs twice 5.")

    @property
    def message_id(self) -> str:
        return message_id("request", self.idempotency_key) if self.idempotency_key else message_id("request", uuid4())


class RunCommand(Message):
    """A word about a run: `loom.runs` / `run.cancel`, `run.pause`, `run.resume`, `run.priority`."""

    type: ClassVar[str] = "loom.run.command.v1"

    run_id: str
    verb: Literal["cancel", "pause", "resume", "priority"]
    priority: int | None = Field(None, ge=1, le=10, description="For `priority`: the new one.")
    budget: float | None = Field(None, gt=0, description="For `resume`: what the run may cost in all, in USD.")
    requested_by: str | None = None

    @property
    def message_id(self) -> str:
        return message_id("command", uuid4())


class ReplayRequest(Message):
    """Run a pipeline again over the quarantined records of a run: `loom.runs` / `run.replay`."""

    type: ClassVar[str] = "loom.run.replay.v1"

    run_id: str = Field(description="The run whose records are replayed.")
    record_ids: tuple[str, ...] | None = Field(None, description="None for all that are unresolved.")
    changes: Changes | None = Field(None, description="What is to be another this time.")
    requested_by: str | None = None

    @property
    def message_id(self) -> str:
        return message_id("replay", uuid4())


class DiscardRequest(Message):
    """Resolve quarantined records of a run as `discarded`: `loom.quarantine` / `quarantine.discard.<pipeline>`."""

    type: ClassVar[str] = "loom.records.discard.v1"

    run_id: str = Field(description="The run whose records are given up.")
    record_ids: tuple[str, ...] | None = Field(None, description="None for all that are unresolved.")
    requested_by: str | None = None

    @property
    def message_id(self) -> str:
        return message_id("discard", uuid4())


# --- work: stage to stage -----------------------------------------------------------------------------------------


class ExtractSlice(Message):
    """Read a bounded piece of the source: from `cursor`, at most `max_batches` batches."""

    type: ClassVar[str] = "loom.slice.requested.v1"

    run_id: str
    pipeline: str
    plan: str = Field(description="Hash of the run's plan in the payload store.")
    epoch: int
    partition: int
    slice: int
    cursor: Any = Field(None, description="Where to begin, in the source's own terms; null for the start.")
    max_batches: int
    limit: int | None = Field(None, description="Stop after so many records.")
    positions: tuple[int, ...] | None = Field(None, description="Publish only these batches; null for all.")
    budget: Budget | None = Field(None, description="What the run may spend; null for no limit.")

    @property
    def message_id(self) -> str:
        return message_id("slice", self.run_id, self.partition, self.slice, self.epoch)


class BatchHeader(Part):
    """What a batch carries from stage to stage."""

    run_id: str
    pipeline: str
    plan: str = Field(description="Hash of the run's plan in the payload store.")
    epoch: int
    batch_id: str
    partition: int
    slice: int
    position: int
    tally: Tally = Field(description="What became of its records so far.")
    budget: Budget | None = Field(None, description="What the run may spend; null for no limit.")


_EXACT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class ExtractedRecord:
    """A record as the source gave it."""

    __pydantic_config__ = _EXACT

    id: str
    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TransformedRecord:
    """A record with its output."""

    __pydantic_config__ = _EXACT

    id: str
    input: dict[str, Any]
    output: Annotated[dict[str, Any] | None, Field(description="Null: the output is the input (passthrough).")]
    answered_by: Annotated[str | None, Field(description="Which fallback gave the output, where one did.")] = None

    @property
    def result(self) -> dict[str, Any]:
        """The output, also where it is the input."""
        return self.input if self.output is None else self.output


@dataclass(frozen=True, slots=True)
class EvaluatedRecord(TransformedRecord):
    """A record that its gate let through."""

    scores: dict[str, float] = dataclasses.field(default_factory=dict)


class _Batch(Message):
    header: BatchHeader

    @property
    def correlation_id(self) -> str:
        return self.header.run_id

    @property
    def message_id(self) -> str:
        return message_id(self.type, self.header.batch_id)


class BatchExtracted(_Batch):
    """For the transformer."""

    type: ClassVar[str] = "loom.batch.extracted.v1"
    records: tuple[ExtractedRecord, ...]


class BatchTransformed(_Batch):
    """For the evaluator."""

    type: ClassVar[str] = "loom.batch.transformed.v1"
    records: tuple[TransformedRecord, ...]


class BatchEvaluated(_Batch):
    """For the loader."""

    type: ClassVar[str] = "loom.batch.evaluated.v1"
    records: tuple[EvaluatedRecord, ...]


class FinalizeLoad(Message):
    """All batches of the run are loaded: publish the result as one (join the parts of a file, swap a table)."""

    type: ClassVar[str] = "loom.load.finalize.v1"

    run_id: str
    pipeline: str
    plan: str
    epoch: int
    complete: bool = Field(description="False where the run was cancelled or failed: show what was loaded.")

    @property
    def message_id(self) -> str:
        return message_id("finalize", self.run_id, self.epoch)


class KeptRecord(Part):
    """A record that was not let through, with all that is known of it."""

    record_id: str
    outcome: Literal["quarantined", "rejected", "skipped"]
    code: str = Field(description="A stable word for programs: `gate`, `ragged_row`, `invalid_output`, `constraint`.")
    reason: str
    input: dict[str, Any]
    output: dict[str, Any] | None = None
    scores: dict[str, float] = Field(default_factory=dict)
    details: dict[str, Any] = Field(default_factory=dict)
    attempts: int | None = Field(None, description="How often its stage tried it; null where nobody counted.")


class RecordsQuarantined(Message):
    """For the quarantine service: the records of one batch that one stage did not let through."""

    type: ClassVar[str] = "loom.records.quarantined.v1"

    run_id: str
    pipeline: str
    batch_id: str
    stage: Stage
    records: tuple[KeptRecord, ...]

    @property
    def message_id(self) -> str:
        return message_id("quarantined", self.batch_id, self.stage)


# --- facts: anyone who listens ------------------------------------------------------------------------------------


class SlicedBatch(Part):
    """A batch of a slice, as the extractor made it."""

    batch_id: str
    position: int
    tally: Tally


class SliceExtracted(Message):
    """A slice was read and its batches published. `cursor` is where the next one begins."""

    type: ClassVar[str] = "loom.slice.extracted.v1"

    run_id: str
    pipeline: str
    epoch: int
    partition: int
    slice: int
    batches: tuple[SlicedBatch, ...]
    cursor: Any = None
    end: bool = Field(description="Whether that was all of the partition.")

    @property
    def message_id(self) -> str:
        return message_id("slice-extracted", self.run_id, self.partition, self.slice, self.epoch)


class Interaction(Part):
    """A question that an evaluator asked a model, and the answer it went by."""

    model: str
    prompt: str = Field(description="Without the evaluator's standing instructions; cut after 4,000 characters.")
    answer: dict[str, Any] | None = Field(description="Null where none could be used.")
    calls: int = Field(description="Calls the run paid for it: 0 where the answer was known, 2 where it was repaired.")
    tokens_in: int
    tokens_out: int
    cost: float = Field(description="USD.")
    seconds: float


class Evaluation(Part):
    """One evaluator's word on one record."""

    record_id: str
    name: str
    score: float | None = Field(description="Null where the evaluator failed; `explanation` says why.")
    passed: bool | None = Field(description="Null where the evaluator failed, which never counts as a pass.")
    explanation: str | None = None
    seconds: float = 0.0
    confidence: float | None = Field(None, description="How sure the judging model said it was, from 0 to 1.")
    interactions: tuple[Interaction, ...] = ()


class BatchFact(Message):
    """A stage is done with a batch: `batch.transformed.<pipeline>`, `batch.evaluated...`, `batch.loaded...`."""

    type: ClassVar[str] = "loom.batch.fact.v1"

    header: BatchHeader = Field(description="With the tally as it stands after this stage.")
    stage: Stage
    seconds: float = Field(description="How long the stage worked on the batch.")
    latency: dict[int, int] = Field(default_factory=dict, description="Per-record latency histogram (domain.latency).")
    evaluations: tuple[Evaluation, ...] = ()
    calls: tuple[Calls, ...] = Field((), description="The model calls this stage made for the batch.")

    @property
    def correlation_id(self) -> str:
        return self.header.run_id

    @property
    def message_id(self) -> str:
        return message_id("fact", self.header.batch_id, self.stage)


class CallsPaid(Message):
    """What a stage paid for a batch that it is not done with: `batch.paid.<pipeline>`. The batch's fact, or a word of
    this kind that tells of more, takes its place."""

    type: ClassVar[str] = "loom.calls.paid.v1"

    header: BatchHeader = Field(description="With the tally as it stood before this stage.")
    stage: Stage
    calls: tuple[Calls, ...]

    @property
    def correlation_id(self) -> str:
        return self.header.run_id

    @property
    def message_id(self) -> str:
        told = (sum(getattr(each, name) for each in self.calls) for name in ("made", "reused", "tokens_out"))
        return message_id("paid", self.header.batch_id, self.stage, *told)


class BudgetSpent(Message):
    """A stage left a batch undone, because the run's budget does not cover its next call: `stage.exhausted.<pipeline>`.
    The coordinator pauses the run."""

    type: ClassVar[str] = "loom.budget.spent.v1"

    run_id: str
    epoch: int
    stage: Stage
    limit: float = Field(description="The budget, in USD.")
    gone: float = Field(description="USD spent, or possibly spent.")
    lost: float = Field(0.0, description="Of these: for calls that died with their process, at their worst case.")
    needed: float = Field(description="USD that the next call may cost.")

    @property
    def message_id(self) -> str:
        return message_id("budget-spent", self.run_id, self.epoch)


class RecordsKept(Message):
    """The quarantine holds `kept` records of this batch in all: `records.kept.<pipeline>`."""

    type: ClassVar[str] = "loom.records.kept.v1"

    run_id: str
    batch_id: str
    kept: int

    @property
    def message_id(self) -> str:
        return message_id("kept", self.batch_id, self.kept)


class LoadFinalized(Message):
    """The destination shows the run's result: `load.finalized.<pipeline>`."""

    type: ClassVar[str] = "loom.load.finalized.v1"

    run_id: str
    epoch: int
    location: str = Field(description="Where it lies, without credentials.")

    @property
    def message_id(self) -> str:
        return message_id("finalized", self.run_id, self.epoch)


class StageDelayed(Message):
    """A stage will try again later: `stage.delayed.<pipeline>`. Something it needs is away."""

    type: ClassVar[str] = "loom.stage.delayed.v1"

    run_id: str
    stage: Stage
    cause: str = Field(description="The id of the message that waits.")
    reason: str
    attempt: int
    delay: float = Field(description="Seconds until the next attempt.")
    upstream: str | None = Field(None, description="What is away, where its breaker is open: the stage pauses for it.")

    @property
    def message_id(self) -> str:
        return message_id("delayed", self.cause, self.attempt)


class StageFailed(Message):
    """A stage cannot go on with this run: `stage.failed.<pipeline>`. The coordinator ends the run."""

    type: ClassVar[str] = "loom.stage.failed.v1"

    run_id: str
    epoch: int
    stage: Stage
    reason: str

    @property
    def message_id(self) -> str:
        return message_id("failed", self.run_id, self.epoch, self.stage, self.reason)


class StageProgress(Part):
    """One stage of a running run."""

    records_in: int
    records_out: int
    seconds: float = Field(description="Time its replicas spent working, added up.")


class RunProgress(Message):
    """Where a run stands, about once a second: `run.progress.<pipeline>`."""

    type: ClassVar[str] = "loom.run.progress.v1"

    run_id: str
    pipeline: str
    status: str
    tally: Tally
    total: int | None = Field(None, description="Records the run will have in all; null until known.")
    stages: dict[Stage, StageProgress]
    elapsed: float
    notice: str | None = Field(None, description="What holds it up, where something does.")
    reason: str | None = Field(None, description="Why it is paused: `budget_exhausted`; null where somebody asked.")

    @property
    def message_id(self) -> str:
        return message_id("progress", self.run_id, self.elapsed)


class EvaluatorSummary(Part):
    """The scores of one evaluator over a run."""

    mean: float
    std: float
    min: float
    max: float
    threshold: float | None
    pass_rate: float


class StageCalls(Calls):
    """Model calls of a run that share stage, purpose, provider and model."""

    stage: str


class RunBudget(Part):
    """What a run may cost, and how far it is. USD."""

    limit: float
    spent: float
    left: float


class Alert(Part):
    """Something people should hear of: a row of `monitoring_alerts`."""

    type: str = Field(
        description="`budget_exhausted`, `quality_threshold`, `latency_sla`, `cost_spike`, `score_degradation`."
    )
    severity: str
    message: str
    threshold: float | None
    actual: float | None
    triggered_at: str
    sent: bool | None = Field(description="Null where the pipeline names nobody to tell.")
    error: str | None = Field(None, description="Why it could not be sent.")


class RunReport(Part):
    """What `loom run --format json` prints."""

    run_id: str
    pipeline: str
    version: str
    status: str
    error: str | None
    records: dict[str, int]
    evaluation: dict[str, EvaluatorSummary]
    cost: dict[str, float]
    calls: dict[str, int]
    latency: dict[str, float | None] = Field(description="Seconds a record's transform took: p50, p95, p99.")
    duration_seconds: float
    destination: str
    reason: str | None = Field(None, description="Why it is paused: `budget_exhausted`; null where somebody asked.")
    spending: tuple[StageCalls, ...] = Field((), description="The model calls, by stage, purpose, provider and model.")
    budget: RunBudget | None = None
    estimate: dict[str, float] | None = Field(
        None,
        description="What `loom cost --estimate` said before: `cost`, `records`, and `error`, the share by which "
        "the true cost per record is above it.",
    )
    alerts: tuple[Alert, ...] = ()


class RunFinished(Message):
    """A run came to its end: `run.finished.<pipeline>`."""

    type: ClassVar[str] = "loom.run.finished.v1"

    run_id: str
    pipeline: str
    epoch: int
    report: RunReport
    replay_of: str | None = None

    @property
    def message_id(self) -> str:
        return message_id("finished", self.run_id, self.epoch)


class QueueBeat(Part):
    """How a replica stands with one queue. Counts are since it started."""

    queue: str
    prefetch: int = Field(description="Messages in hand at most, as it is now; 0 while it does not consume.")
    in_hand: int = Field(description="Delivered and not acknowledged.")
    handled: int
    failed: int = Field(description="Set aside: in quarantine, in `loom.dead`, or with it its run.")
    retried: int = Field(description="Sent to a rung of the retry ladder.")
    attempts: int = Field(description="Times the handler ended, however it ended.")
    seconds_busy: float = Field(description="Time in the handler, all attempts added up.")


class BreakerBeat(Part):
    """A circuit breaker that is not at rest."""

    upstream: str
    state: str
    failures: int = Field(description="In a row.")
    probe_in: float = Field(description="Seconds until the next probe; 0 where it is not open.")


class WorkerBeat(Message):
    """A replica is there, about every two seconds: `worker.beat.<service>`."""

    type: ClassVar[str] = "loom.worker.beat.v1"

    service: str
    replica: str = Field(description="Its host, its process id and a word of chance: another after each start.")
    uptime: float = Field(description="Seconds since it started.")
    configured_prefetch: int = Field(description="What it takes at once where nobody says otherwise.")
    queues: tuple[QueueBeat, ...]
    rss_bytes: int = Field(description="Memory it holds.")
    memory_limit_bytes: int | None = Field(description="Memory it may hold; null where nothing limits it.")
    breakers: tuple[BreakerBeat, ...] = Field(description="Those that are not at rest.")
    draining: bool = Field(description="Asked to stop; it finishes what it has in hand.")

    @property
    def message_id(self) -> str:
        return message_id("beat", self.replica, self.uptime)


# --- answers and control ------------------------------------------------------------------------------------------


class RunAccepted(Message):
    """The answer to a request or command that was accepted."""

    type: ClassVar[str] = "loom.run.accepted.v1"

    run_id: str
    pipeline: str
    status: str

    @property
    def message_id(self) -> str:
        return message_id("accepted", self.run_id, self.status)


class Mistake(Part):
    """One mistake in a request."""

    path: tuple[str | int, ...]
    found: str
    expected: str
    suggestion: str | None = None


class RunRejected(Message):
    """The answer to a request that cannot be carried out, with every mistake in it."""

    type: ClassVar[str] = "loom.run.rejected.v1"

    error: str
    mistakes: tuple[Mistake, ...] = ()

    @property
    def message_id(self) -> str:
        return message_id("rejected", self.error)


class RunEpoch(Message):
    """To every worker: messages of this run with a lower epoch are stale. `loom.control` / `control.all`."""

    type: ClassVar[str] = "loom.run.epoch.v1"

    run_id: str
    epoch: int

    @property
    def message_id(self) -> str:
        return message_id("epoch", self.run_id, self.epoch)


class PrefetchLimit(Message):
    """To every replica of a service: hold at most so many messages of a queue. `loom.control` / `control.<service>`.

    Said again every few seconds, so that a replica that starts later learns it too."""

    type: ClassVar[str] = "loom.prefetch.limit.v1"

    service: str
    queue: str
    prefetch: int = Field(ge=1, le=1000)

    @property
    def message_id(self) -> str:
        return message_id("prefetch", self.queue, self.prefetch)
