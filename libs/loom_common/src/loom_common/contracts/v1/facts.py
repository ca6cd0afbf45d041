"""Defines facts about what happened, for the coordinator and for any other subscriber."""

import datetime as dt
from typing import Any, ClassVar

from pydantic import Field

from loom_common.contracts.envelope import Message, Part
from loom_common.contracts.v1.batches import BatchHeader
from loom_common.contracts.v1.step_counts import StepCount
from loom_common.domain.incremental.window import Window
from loom_common.domain.json_values.exactly_json import is_exactly_json
from loom_common.domain.run.calls import Calls, Tier
from loom_common.domain.run.tally import Tally
from loom_common.domain.schema.columns import Column
from loom_common.domain.values.ids import message_id
from loom_common.flow import Stage


class CheckCount(Part):
    """Counts the records that a quality check has seen in a slice or a batch."""

    name: str
    seen: int
    missed: int
    newest: float | None = Field(None, description="`freshness`: the newest time seen, in seconds since 1970.")


class SlicedBatch(Part):
    """Describes a batch of a slice, as the extractor made it."""

    batch_id: str
    position: int
    tally: Tally


class SliceExtracted(Message):
    """A slice was read, and its batches are published after this. `cursor` is the start of the next slice."""

    type: ClassVar[str] = "loom.slice.extracted.v1"

    run_id: str
    pipeline: str
    epoch: int
    partition: int
    slice: int
    batches: tuple[SlicedBatch, ...]
    cursor: Any = None
    end: bool = Field(description="Whether that was all of the partition.")
    checks: tuple[CheckCount, ...] = Field((), description="What the quality checks counted, of all its batches.")
    columns: dict[str, Column] | None = Field(None, description="The schema of the records that went on, if looked at.")
    window: Window | None = Field(None, description="The newest records of an incremental extraction, with values.")
    closed: bool = Field(
        False, description="Whether nothing was taken from the source, because the window of a stream closes."
    )
    others: int = Field(0, description="How many records of the slice are another version's, while a canary is on.")
    known: int = Field(0, description="How many messages were left out, because the stream has taken them before.")

    @property
    def message_id(self) -> str:
        return message_id("slice-extracted", self.run_id, self.partition, self.slice, self.epoch)

    @property
    def equals_its_encoding(self) -> bool:
        return not self.checks and self.columns is None and self.window is None and is_exactly_json(self.cursor)


class Interaction(Part):
    """Describes a question of an evaluator to a model, and the answer that it used."""

    model: str
    prompt: str = Field(description="Without the evaluator's standing instructions; cut after 4,000 characters.")
    answer: dict[str, Any] | None = Field(description="Null where none could be used.")
    calls: int = Field(description="Calls the run paid for it: 0 where the answer was known, 2 where it was repaired.")
    tokens_in: int
    tokens_out: int
    cost: float = Field(description="USD.")
    seconds: float


class Evaluation(Part):
    """Describes the score that one evaluator gave a record."""

    record_id: str
    name: str
    score: float | None = Field(description="Null where the evaluator failed; `explanation` says why.")
    passed: bool | None = Field(description="Null where the evaluator failed, which never counts as a pass.")
    explanation: str | None = None
    seconds: float = 0.0
    confidence: float | None = Field(None, description="How sure the judging model said it was, from 0 to 1.")
    interactions: tuple[Interaction, ...] = ()
    tier: Tier | None = Field(None, description="Of a cascade: the tier whose score it is; null without a score.")
    answered_by: str | None = Field(None, description="Of a cascade: that tier's model, or its type of evaluator.")


class RecordsAnswered(Part):
    """Names records of a batch whose output one tier of a cascade gave, or one fallback."""

    tier: Tier | None = Field(
        description="Of a cascade: the tier that was asked last; null for a fallback without one."
    )
    answered_by: str = Field(description="The model, scorer or function; or the fallback in the place of the model.")
    record_ids: tuple[str, ...]


class RecordOutput(Part):
    """Holds what became of a record that was loaded."""

    record_id: str
    output: dict[str, Any] | None = Field(description="What the transform made of it; null where it is too large.")


class BatchFact(Message):
    """A stage has finished a batch: `batch.transformed.<pipeline>`, `batch.evaluated...`, `batch.loaded...`."""

    type: ClassVar[str] = "loom.batch.fact.v1"

    header: BatchHeader = Field(description="With the tally as it stands after this stage.")
    stage: Stage
    seconds: float = Field(description="How long the stage worked on the batch.")
    latency: dict[int, int] = Field(
        default_factory=dict, description="Histogram (domain.latency) of what a record took, or its model to answer."
    )
    waited: dict[int, int] = Field(
        default_factory=dict, description="The same of what records waited besides: their turn, limits, further tries."
    )
    evaluations: tuple[Evaluation, ...] = ()
    calls: tuple[Calls, ...] = Field((), description="The model calls this stage made for the batch.")
    rows: tuple[dict[str, Any], ...] = Field((), description="Of a sample: the first rows that were loaded.")
    checks: tuple[CheckCount, ...] = Field((), description="What the stage's quality checks counted.")
    columns: dict[str, Column] | None = Field(None, description="The schema of the outputs or the rows, if looked at.")
    outputs: tuple[RecordOutput, ...] = Field((), description="Of a run that keeps them: what was loaded.")
    answered: tuple[RecordsAnswered, ...] = Field(
        (), description="Of a transform with a cascade or a fallback: what gave the outputs of which records."
    )
    steps: tuple[StepCount, ...] = Field((), description="Of a transform that consists of steps: what each counted.")

    @property
    def correlation_id(self) -> str:
        return self.header.run_id

    @property
    def message_id(self) -> str:
        return message_id("fact", self.header.batch_id, self.stage)

    @property
    def counts_only(self) -> bool:
        """Tell whether it says nothing of its batch beside the tally and times."""
        said = self.evaluations or self.calls or self.rows or self.checks or self.outputs or self.answered or self.steps
        return not said and self.columns is None

    @property
    def equals_its_encoding(self) -> bool:
        return self.counts_only


class BatchFacts(Message):
    """A stage has finished several batches of a run at the same moment, on the route of their facts. Stages publish it
    only while all coordinators say that they read it (`adapters/wrapped/facts_together.py`)."""

    type: ClassVar[str] = "loom.batch.facts.v1"

    facts: tuple[BatchFact, ...] = Field(min_length=1)

    @property
    def correlation_id(self) -> str:
        return self.facts[0].correlation_id

    @property
    def message_id(self) -> str:
        return message_id(self.type, *(fact.message_id for fact in self.facts))


class CallsPaid(Message):
    """Tells what a stage has paid for a batch that it has not finished: `batch.paid.<pipeline>`. The batch's fact
    replaces it, and so does a later message of this kind with more calls."""

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
    """Tells that a stage stopped a batch because the run's budget, or that of its stream for the day, does not cover
    its next call: `stage.exhausted.<pipeline>`. The coordinator pauses the run."""

    type: ClassVar[str] = "loom.budget.spent.v1"

    run_id: str
    epoch: int
    stage: Stage
    limit: float = Field(description="The budget, in USD.")
    gone: float = Field(description="USD spent, or possibly spent.")
    lost: float = Field(0.0, description="Of these: for calls that died with their process, at their worst case.")
    needed: float = Field(description="USD that the next call may cost, with the judgement of its answer.")
    owed: float = Field(0.0, description="USD set apart to judge what was answered already.")
    until: dt.datetime | None = Field(
        None, description="When the budget of a day begins anew; null for the budget of the run."
    )

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
    """The load is finalized, and what can be read of it: `load.finalized.<pipeline>`."""

    type: ClassVar[str] = "loom.load.finalized.v1"

    run_id: str
    epoch: int
    location: str = Field(description="Where it lies, without credentials.")
    placed: bool = Field(True, description="Whether the run's rows are in the destination; else they are staged.")
    second_placed: bool = Field(True, description="The same for the second destination, `load.fallback`.")
    kept: bool = Field(False, description="Whether an older result was left there, because the run had none.")

    @property
    def message_id(self) -> str:
        said = () if self.placed and self.second_placed and not self.kept else (self.placed, self.second_placed)
        return message_id("finalized", self.run_id, self.epoch, *said)


class StageDelayed(Message):
    """Tells that a stage will try a message again later, because something that it needs cannot be reached:
    `stage.delayed.<pipeline>`."""

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
    """A stage cannot continue with this run: `stage.failed.<pipeline>`. The coordinator ends the run."""

    type: ClassVar[str] = "loom.stage.failed.v1"

    run_id: str
    epoch: int
    stage: Stage
    reason: str
    check: str | None = Field(None, description="The quality check that a record misses; null for other reasons.")
    rows_lost: bool = Field(False, description="Whether staged rows of the run are gone: it cannot be resumed.")

    @property
    def message_id(self) -> str:
        return message_id("failed", self.run_id, self.epoch, self.stage, self.reason)
