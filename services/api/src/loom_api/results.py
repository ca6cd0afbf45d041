"""Defines the results that several queries make up, and the documents of those whose JSON is not their fields."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from loom.kept_record import KeptTime, RecordStory
from loom.pipeline_list import ListedPipeline
from loom_common.contracts.v1 import RunReport, StageCalls
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.queries.costs.spans import CostSpan, CostTotal
from loom_coordinator.queries.pipeline_figures import EvaluatorFigures
from loom_coordinator.queries.pipelines import PipelineVersion
from loom_coordinator.queries.records import AnsweredBy, CallsForRecord, KeptRecord, Score
from loom_coordinator.queries.run_details import BatchCounts, CallCounts, PartitionLine, StageLine

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PipelineDetails(Shown):
    """Describes a pipeline with the versions that have run."""

    line: ListedPipeline
    versions: Sequence[PipelineVersion]

    def as_json(self) -> dict[str, Any]:
        """Write the fields of the line, and the versions beside them."""
        fields = Shown.as_json(self)
        return {**fields.pop("line"), **fields}


@dataclass(frozen=True, slots=True)
class RecordOfRun(Shown):
    """Holds all that is known of one record of a run."""

    run_id: str
    record_id: str
    scores: Sequence[Score]
    calls: Sequence[CallsForRecord] | None
    """Says what was paid for it; None where the journal cannot tell record by record."""
    kept: RecordStory | None
    """The record as the run kept it back; None where it did not."""
    answered_by: AnsweredBy | None
    """Says what gave its output, where there was a choice: the tier of a cascade, or a fallback."""


@dataclass(frozen=True, slots=True)
class Costs(Shown):
    """Says what runs cost, by span of time and in all."""

    spans: Sequence[CostSpan]
    total: CostTotal


class Page(BaseModel, Generic[Item]):
    """Holds a part of a list."""

    items: list[Item]
    next: str | None = Field(description="The value of `after` for the next page; null on the last page.")


class Mistake(BaseModel):
    """Describes one mistake of a request or a definition, and where it is."""

    message: str = Field(description="All of it, in a sentence.")
    file: str | None = Field(None, description="The file it stands in; null for the request itself.")
    line: int | None = Field(None, description="Counted from 1, as is the column.")
    column: int | None = None
    key: str = Field("", description="The dotted path: `evaluate.evaluators[0].threshold`.")
    found: str | None = None
    expected: str | None = None
    suggestion: str | None = Field(None, description="What was meant, it may be.")


class Problem(BaseModel):
    """Describes an error as RFC 9457 does."""

    type: str = Field(description="`about:blank`: the status says what kind of error it is.")
    title: str
    status: int
    detail: str = Field(description="What happened and what to do, in a sentence.")
    errors: list[Mistake] = Field([], description="Every mistake, where there are several or it has a place.")


class RunStarted(BaseModel):
    """Says that a run has begun."""

    run_id: str
    pipeline: str
    status: str
    notes: list[str] = Field([], description="What the run does about columns that do not fit, in sentences.")


class Registered(BaseModel):
    """Says that a pipeline can be run by its name."""

    pipeline: str
    version: str


class RunStatus(BaseModel):
    """Says what a run's status is, once a command is carried out."""

    run_id: str
    pipeline: str
    status: str


class CheckLine(BaseModel):
    """Describes one thing that was checked."""

    check: str
    ok: bool
    doubtful: bool = Field(description="Whether it does not stand in the way of a run, and may still be a mistake.")
    detail: str


class ColumnLine(BaseModel):
    """Describes one column on its way from the source to the destination."""

    column: str
    origin: str | None = Field(description="`source`, `output` or both; null for a column that is not written.")
    in_prompt: bool
    written: str | None = Field(description="The type of what is written, where it is known.")
    there: str | None = Field(description="The type of the destination's column, where it has one.")
    done: str = Field(description="What a run does about it.")
    fits: bool


class Validated(BaseModel):
    """Says what was found of a definition without mistakes, and of what it needs."""

    pipeline: str
    version: str
    summary: str
    checks: list[CheckLine]
    columns: list[ColumnLine] | None = Field(None, description="How the columns fit, where that was asked for.")


class EstimatedCost(BaseModel):
    """Holds amounts in USD."""

    total: float
    transform: float
    evaluate: float


class NotEstimated(BaseModel):
    """Describes records of the sample that no model could be asked about, and why."""

    stage: str
    reason: str
    records: int


class Estimated(BaseModel):
    """Estimates a run that was not made."""

    pipeline: str
    records: int
    sampled: int
    cost: EstimatedCost
    cost_per_record: float
    calls: list[StageCalls]
    unknown_prices: list[str]
    not_estimated: list[NotEstimated]
    budget: float | None
    share_of_budget: float | None
    budget_needed: float
    fits_budget: bool | None
    answers_as_in_earlier_runs: bool


class Replayed(BaseModel):
    """Says which dead letters were sent where they were going."""

    replayed: list[str]


class PipelineDocument(BaseModel):
    """Describes a pipeline with the versions that have run."""

    name: str
    version: str
    description: str | None
    file: str | None = Field(description="Its path in the project folder; null where it has run and has no file there.")
    last_run: str | None
    last_status: str | None
    last_started_at: dt.datetime | None
    versions: list[PipelineVersion]


class FiguresDocument(BaseModel):
    """Says what the runs of a pipeline come to, as `loom metrics --format json` prints it."""

    pipeline: str
    runs: list[str] = Field(description="The runs that are added up, the newest first.")
    statuses: dict[str, int] = Field(description="The number of these runs by status.")
    records: dict[str, int] = Field(description="The number of records by what became of them.")
    duration_seconds: float | None = Field(description="The mean over the runs that have ended.")
    calls: int = Field(description="Model calls that were paid for.")
    calls_reused: int = Field(description="Answers that had been paid for before.")
    tokens_in: int
    tokens_out: int
    total_cost: float = Field(description="USD.")
    cost_per_record: float | None = Field(description="USD.")
    avg_latency_ms: float | None = Field(description="The mean time that a model took to answer.")
    latency: dict[str, float | None] = Field(description="`p50`, `p95` and `p99` in seconds.")
    avg_evaluation_score: float | None
    evaluators: dict[str, EvaluatorFigures]
    success_rate: float | None = Field(description="The share of the ended runs that succeeded.")


class RunDocument(RunReport):
    """Holds the report of a run, with when it ran, with what, and what holds it up."""

    started_at: dt.datetime
    completed_at: dt.datetime | None
    params: dict[str, Any]
    model: str | None
    prompt_version: str | None
    replay_of: str | None = Field(description="The run whose quarantined records it runs over again.")
    notice: str | None = Field(description="What holds it up, in a sentence.")
    requested_by: str | None
    preflight: dict[str, Any] | None = Field(
        description="What was found before it began: `checks` and `columns`. On a cluster, `awaited` is `source` or "
        "`destination` as long as that one is not looked at."
    )


class OutcomeScoreDocument(BaseModel):
    """Says how one evaluator scored a record."""

    evaluator_name: str
    score: float | None
    threshold: float | None
    passed: bool | None
    confidence: float | None
    explanation: str | None


class RecordOutcomeDocument(BaseModel):
    """Says what became of one record of a run."""

    record_id: str
    status: str = Field(
        description="`loaded`, `rejected`, `quarantined` or `skipped`; `passed` where it passed its gate and the run "
        "did not put it in its place."
    )
    output: Any = Field(description="What the transform made of it; null for none, and above 64 KiB.")
    scores: list[OutcomeScoreDocument]
    stage: str | None = Field(description="The stage that kept it back; null where it passed.")
    code: str | None
    reason: str | None


class Duplicate(BaseModel):
    """Names a record that was given before, within the window of its pipeline."""

    key: str = Field(description="Its key, by `ingest.key` of the pipeline.")
    run_id: str | None = Field(description="The run that has it.")


class Known(BaseModel):
    """Says which of the records that were given are known, and are not processed again."""

    duplicates: list[Duplicate] = Field(description="The first 100 of them, in their order.")
    duplicate_count: int


class RecordsTaken(RunStarted, Known):
    """Says that a run over records has begun."""


class NothingNew(Known):
    """Says that no run has begun, because earlier runs have all the records."""

    run_id: None = None
    pipeline: str


class RunWithOutputs(RunDocument, Known):
    """Holds the report of a run that has ended, with what each of the records that were given came to."""

    outputs: list[RecordOutcomeDocument] | None = Field(
        description="In the order of the records; null for more than 100, and for who may not `read_data`."
    )


class RunMetrics(BaseModel):
    """Says how a run goes: its stages, rates, batches, calls and costs."""

    run_id: str
    pipeline_name: str
    pipeline_version: str
    status: str
    priority: int
    started_at: dt.datetime
    seconds: float
    extracted: int
    ended: int
    loaded: int
    kept: int
    cost: float
    requested_by: str | None
    notice: str | None
    model: str | None
    prompt_version: str | None
    destination: str
    epoch: int
    replay_of: str | None
    deadline: dt.datetime | None
    stages: list[StageLine]
    partitions: PartitionLine
    batches: BatchCounts
    credit_window: int | None
    records: dict[str, int]
    records_per_second: float
    remaining: int | None
    eta_seconds: float | None
    cost_by_stage: dict[str, float]
    calls: CallCounts
    last_kept: list[KeptRecord]


class MadeOf(BaseModel):
    """Names the record that a step of a transform made another of, and the step."""

    parent: str
    step: str


class KeptDocument(BaseModel):
    """Holds all that is known of one record that was kept back."""

    record_id: str
    run_id: str
    pipeline: str
    stage: str
    outcome: str
    code: str
    reason: str
    details: dict[str, Any]
    input: dict[str, Any]
    prompt: str | None
    output: Any
    answered_by: AnsweredBy | None
    scores: list[Score]
    attempts: int | None
    calls: list[CallsForRecord] | None
    cost: float | None
    quarantined_at: str
    resolved: bool
    resolved_at: str | None
    resolution_action: str | None
    derived_from: MadeOf | None
    replay_of: str | None
    resolved_by: str | None
    replays: list[KeptTime]
    kept_before: list[KeptTime]


class RecordDocument(BaseModel):
    """Holds all that is known of one record of a run."""

    run_id: str
    record_id: str
    scores: list[Score]
    calls: list[CallsForRecord] | None
    kept: KeptDocument | None
    answered_by: AnsweredBy | None


class SpanDocument(BaseModel):
    """Says what was spent in one day, week or month."""

    span: str
    runs: int
    records: int
    budget: float
    made: int
    reused: int
    unpriced: int
    estimated: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    cost: float
    seconds: float
    cost_by_stage: dict[str, float]
    cost_by_model: dict[str, float]
    cost_by_purpose: dict[str, float]
    cost_per_record: float | None


class CostsDocument(BaseModel):
    """Says what runs cost, by span of time and in all."""

    spans: list[SpanDocument]
    total: CostTotal


class LetterDocument(BaseModel):
    """Describes a dead letter with all that it says."""

    id: str
    type: str | None
    run_id: str | None
    by: str | None
    exchange: str | None
    routing_key: str
    reason: str
    message_id: str | None
    content_encoding: str | None
    headers: dict[str, Any]
    bytes: int
    body: str
