"""Reports about the progress and the end of a run."""

import datetime as dt
from typing import Any, ClassVar

from pydantic import Field

from loom_common.contracts.envelope import Message, Part
from loom_common.contracts.v1.step_counts import StepCount
from loom_common.domain.run.calls import Calls, Tier
from loom_common.domain.run.tally import Tally
from loom_common.domain.schema.drift import SchemaChange
from loom_common.domain.values.ids import message_id
from loom_common.flow import Stage


class StageProgress(Part):
    """Describes the progress of one stage of a running run."""

    records_in: int
    records_out: int
    seconds: float = Field(description="Time its replicas spent working, added up.")


class RunProgress(Message):
    """Tells the progress of a run, about once a second: `run.progress.<pipeline>`."""

    type: ClassVar[str] = "loom.run.progress.v1"

    run_id: str
    pipeline: str
    epoch: int = 1
    status: str
    tally: Tally
    total: int | None = Field(None, description="Records the run will have in all; null until known.")
    stages: dict[Stage, StageProgress]
    elapsed: float
    notice: str | None = Field(None, description="What holds it up, where something does.")
    reason: str | None = Field(
        None,
        description="Why it is paused: `budget_exhausted`, `day_budget_exhausted`; null where somebody asked.",
    )
    resumes_at: dt.datetime | None = Field(
        None, description="When it goes on by itself; null where it is not paused, or somebody has to resume it."
    )

    @property
    def message_id(self) -> str:
        return message_id("progress", self.run_id, self.elapsed)


class CascadeSummary(Part):
    """Says what one cascade came to over a run."""

    stage: str
    name: str = Field(description="`transform`, or the name of the evaluator.")
    cheap: str = Field(description="The tier that is asked first.")
    dear: str = Field(description="The model that is asked where the cheap tier is unsure.")
    records: int = Field(description="The records that were decided about.")
    asked: int = Field(description="Of these: records that the dear model was asked about.")
    saved_calls: int = Field(description="The records that the dear model was not asked about.")
    answered: dict[Tier, int] = Field(default_factory=dict, description="The records by the tier that answered them.")
    saved_usd: float | None = Field(
        description="USD less than with the dear model alone, by what its calls cost on average; below 0 where the "
        "cascade cost more. Null where the run paid for none of its calls, or its price is not known."
    )
    promise: str | None = Field(None, description="What its cascade file promises; null where it names none.")
    expected: float | None = Field(None, description="The share of records that the dear model was asked about then.")


class EvaluatorSummary(Part):
    """Describes the scores of one evaluator over a run."""

    mean: float
    std: float
    min: float
    max: float
    threshold: float | None
    pass_rate: float | None = Field(description="Null without a threshold: then there is nothing to miss.")


class StageCalls(Calls):
    """Adds up model calls of a run that share stage, purpose, provider and model."""

    stage: str


class CheckSummary(Part):
    """Describes what a quality check came to over a run."""

    stage: str
    name: str
    check: str = Field(description="The kind: `not_null`, `unique`, `regex` and so on.")
    column: str | None = Field(description="The field, or fields; null where it is about the whole record or run.")
    action: str = Field(description="`fail`, `warn` or `quarantine`.")
    seen: int = Field(description="Records that were checked.")
    missed: int = Field(description="Records that miss the check.")
    outcome: str = Field(
        description="`passed`; `warned`, `quarantined` or `failed` where records, or the run, miss the check."
    )
    reason: str | None = Field(None, description="Why the run as a whole misses it; else null.")


class SchemaDrift(Part):
    """Describes how the records of a run differ from the stored version of their schema."""

    stage: str
    version: int = Field(description="The version that the run was held to.")
    changes: tuple[SchemaChange, ...]


class RunBudget(Part):
    """Describes a run's budget and what was spent of it, in USD."""

    limit: float
    spent: float
    left: float


class Alert(Part):
    """Describes an alert: a row of `monitoring_alerts`."""

    type: str = Field(
        description="`budget_exhausted`, `day_budget_exhausted`, `quality_threshold`, `latency_sla`, `cost_spike`, "
        "`score_degradation`, `canary_promoted`, `canary_rolled_back`."
    )
    severity: str
    message: str
    threshold: float | None
    actual: float | None
    triggered_at: str
    sent: bool | None = Field(description="Null where the pipeline names nobody to tell.")
    error: str | None = Field(None, description="Why it could not be sent.")


class KeptReason(Part):
    """Describes a reason for which records were quarantined, and the number of records."""

    records: int
    stage: str
    outcome: str = Field(description="`quarantined`, `rejected` or `skipped`.")
    code: str
    reason: str = Field(description="In words: of all these records, or, where not `alike`, of most of them.")
    alike: bool = Field(True, description="False where the reasons differ in their numbers, e.g. in a line or a score.")
    example: str = Field(description="The id of one of these records: `loom quarantine show` tells all of it.")


class StepSummary(StepCount):
    """Says what one step of the transform came to over a run."""

    kind: str = Field(description="Its `type`.")
    made_by: str | None = Field(None, description="Its model, scorer or function; null where the type says it all.")
    branches: dict[str, int] = Field(default_factory=dict, description="Of a router: records by branch.")


class BeganAt(Part):
    """Says that a window of a stream began at a place that somebody has named."""

    asked: str = Field(description="The place as it was named.")
    place: str = Field(description="The place that was found.")
    was: str | None = Field(None, description="Where the stream was; null for one that had read nothing.")
    back: bool = Field(False, description="Whether something came again from there that the stream had read.")
    again: bool = Field(False, description="Whether what it had taken was to be taken again.")
    requested_by: str | None = None
    at: dt.datetime = Field(description="When that was asked for.")


class StreamWindow(Part):
    """Says which window of a stream a run is."""

    stream: str
    number: int
    goes_on: bool = Field(description="Whether another window of the stream is read.")
    canary: bool = Field(False, description="Whether it has the records of a version on trial, beside the window.")
    began_at: BeganAt | None = Field(None, description="Where it began, if somebody has named that; else null.")
    known: int = Field(0, description="How many messages were left out, because the stream has taken them before.")


class RunReport(Part):
    """Represents the report that `loom run --format json` prints."""

    run_id: str
    pipeline: str
    version: str
    status: str
    error: str | None
    records: dict[str, int] = Field(
        description="Counts. `extracted` and `derived` together are the sum of `loaded`, `filtered`, `unnested`, "
        "`grouped`, `rejected`, `quarantined`, `skipped` and `cancelled` once the run has ended; `loaded` can be read "
        "in a destination, `second` of them in `load.fallback`; `staged` were written and not put in place."
    )
    evaluation: dict[str, EvaluatorSummary]
    cost: dict[str, float]
    calls: dict[str, int]
    latency: dict[str, float | None] = Field(
        description="Seconds that a model took to answer, or code to transform a record: p50, p95, p99."
    )
    duration_seconds: float
    destination: str
    reason: str | None = Field(
        None,
        description="Why it is paused (`budget_exhausted`) or ended early (`failure_limit`; `rows_lost`: somebody "
        "removed rows that it had staged); null otherwise.",
    )
    spending: tuple[StageCalls, ...] = Field((), description="The model calls, by stage, purpose, provider and model.")
    budget: RunBudget | None = None
    estimate: dict[str, float] | None = Field(
        None,
        description="What `loom cost --estimate` said before: `cost`, `records`, and `error`, the share by which "
        "the true cost per record is above it.",
    )
    alerts: tuple[Alert, ...] = ()
    checks: tuple[CheckSummary, ...] = Field((), description="What the quality checks found, in their order.")
    cascades: tuple[CascadeSummary, ...] = Field((), description="What the cascades saved, and what is promised.")
    drift: tuple[SchemaDrift, ...] = Field((), description="How the records differ from the stored schemas.")
    reasons: tuple[KeptReason, ...] = Field((), description="The most frequent reasons why records were kept back.")
    staged_in: str | None = Field(None, description="Where staged rows lie, beside the destination; null without any.")
    sample: int | None = Field(None, description="How many records the run was limited to by `--sample`; else null.")
    rows: tuple[dict[str, Any], ...] = Field((), description="The first rows that a sample loaded.")
    waited: dict[str, float | None] = Field(
        default_factory=dict,
        description="Seconds that records waited before and between their questions to a model: p50, p95, p99.",
    )
    fail_on: dict[str, str] = Field(
        default_factory=dict, description="The pipeline's `fail_on`: `5` is a number of records, `20%` a share of them."
    )
    unchanged: bool = Field(
        False,
        description="Whether the run has ended and left `destination` as it was, because it put no row there.",
    )
    partitions: int = Field(1, description="How many pieces of the source were read at the same time, at most.")
    steps: tuple[StepSummary, ...] = Field((), description="What each step of the transform came to, in their order.")
    target: str | None = Field(None, description="The target of the project that it ran for; null for none.")
    window: StreamWindow | None = Field(None, description="Which window of a stream it is; null for any other run.")


class RunFinished(Message):
    """A run has ended: `run.finished.<pipeline>`."""

    type: ClassVar[str] = "loom.run.finished.v1"

    run_id: str
    pipeline: str
    epoch: int
    report: RunReport
    replay_of: str | None = None

    @property
    def message_id(self) -> str:
        return message_id("finished", self.run_id, self.epoch)
