"""Describes what became of a batch's records in one stage: the result of a handler, in terms of records.

The router makes the messages of a result, with the batch's header and the model calls that were made for it. The
results of a stage that has nothing to do are made here, too: the stage's handler gives them where a batch visits it,
the router where no batch does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from loom_common.contracts.records import EncodedRecords, UnchangedRecords
from loom_common.contracts.v1 import (
    BatchExtracted,
    BatchInSteps,
    CheckCount,
    Derived,
    EvaluatedRecord,
    Evaluation,
    ExtractedRecord,
    KeptRecord,
    RecordInSteps,
    RecordOutput,
    RecordsAnswered,
    StepCount,
    StepsSoFar,
    TransformedRecord,
)
from loom_common.domain.definition.failures.recovery import OnFailure
from loom_common.domain.run.calls import Calls
from loom_common.domain.schema.columns import Columns
from loom_common.domain.values.latency import merge
from loom_common.errors import CheckFailed, PermanentError, RecordError
from loom_common.flow import Stage

Made = TypeVar("Made", bound=TransformedRecord)
EVERY_STAGE = tuple(Stage)
NO_OUTPUT = b'"output":null'
"""The field that makes the JSON of an extracted record that of one whose output is its input."""


class Entering(Protocol):
    """Describes a record that enters the transform, of a slice or of a message."""

    @property
    def id(self) -> str: ...

    @property
    def input(self) -> dict[str, Any]: ...

    @property
    def derived(self) -> Derived | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """Describes what every stage says of a batch."""

    seconds: float = 0.0
    """Says how long the stage worked on the batch."""
    kept: Sequence[KeptRecord] = ()
    """Holds the records that do not go on."""
    checks: tuple[CheckCount, ...] = ()
    """Holds what the stage's quality checks counted. A cascade is counted likewise: the records that it decided about,
    and those of them that its dear model was asked about."""
    idle: bool = False
    """Tells whether the plan gives the stage nothing to do. Its counts go on in the header of the batch, and the next
    fact about the batch tells them."""

    @property
    def counts(self) -> dict[str, int]:
        """Return what the stage achieved, by the field of the tally that counts it."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted(StageResult):
    """Holds the records of a replayed batch whose keys were looked up in the source."""

    records: Sequence[ExtractedRecord]
    stages: tuple[Stage, ...] = EVERY_STAGE
    """Lists the stages that the batch visits, by its plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformed(StageResult):
    """Holds the records that got an output."""

    records: Sequence[TransformedRecord]
    latency: dict[int, int] = field(default_factory=dict)
    """Histogram (`domain.values.latency`) of what a record took, or its model to answer."""
    waited: dict[int, int] = field(default_factory=dict)
    """Holds the same of what records waited besides."""
    columns: Columns | None = None
    """Holds the schema of the outputs, where a contract looks at it."""
    stages: tuple[Stage, ...] = EVERY_STAGE
    """Lists the stages that the batch visits, by its plan."""
    filtered: int = 0
    """Says how many records a filter dropped."""
    derived: int = 0
    """Says how many records steps made of others that left the transform."""
    unnested: int = 0
    """Says how many records steps made others of, in whose place these went on."""
    grouped: int = 0
    """Says how many records steps made one of, with others of their group."""
    steps: tuple[StepCount, ...] = ()
    """Holds what each step counted, of a transform that consists of steps."""
    answered: tuple[RecordsAnswered, ...] = ()
    """Says what gave the outputs of which records, where there is a choice: the tier of a cascade, or a fallback."""

    @property
    def counts(self) -> dict[str, int]:
        return {
            "transformed": len(self.records),
            "filtered": self.filtered,
            **({"derived": self.derived, "unnested": self.unnested} if self.derived or self.unnested else {}),
            **({"grouped": self.grouped} if self.grouped else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOn(StageResult):
    """Holds the records that go on in steps which this process does not take."""

    records: tuple[RecordInSteps, ...]
    step: str | None
    """Names the step whose own queue they go to; None for the queue of the transformers."""
    taken: tuple[str, ...]
    """Names the steps that the batch has been through."""
    others: Transformed
    """Says what became of the others of the batch, and what the steps counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated(StageResult):
    """Holds the records that passed their gate."""

    records: Sequence[EvaluatedRecord]
    unscored: int = 0
    """Says how many of the batch's records the sample left out."""
    evaluations: Sequence[Evaluation] = ()

    @property
    def counts(self) -> dict[str, int]:
        return {"passed": len(self.records), "unscored": self.unscored}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(StageResult):
    """Says how many rows lie in the destination. Nothing goes on from here."""

    loaded: int
    staged: int = 0
    """How many of these a reader sees only once the load is finalized."""
    second: int = 0
    """Says how many of these lie in the second destination."""
    rows: Sequence[dict[str, Any]] = ()
    """Holds the first rows that were loaded, of a sample, whose report shows them."""
    outputs: Sequence[RecordOutput] = ()
    """Holds what the loaded records came to, of a run that keeps it."""
    columns: Columns | None = None
    """Holds the schema of the rows, where a contract looks at it."""
    resolved: tuple[str, ...] = ()
    """Holds the ids of loaded records that the quarantine may hold, because an earlier run kept them back."""

    @property
    def counts(self) -> dict[str, int]:
        return {"loaded": self.loaded, "staged": self.staged, "second": self.second}


def unchanged(records: Sequence[Entering], stages: tuple[Stage, ...]) -> Transformed:
    """Give every record its input as its output: the result of a transform that has nothing to do.

    Where the evaluation is not among `stages`, either, each is made once for both."""
    made: type[TransformedRecord] = TransformedRecord if Stage.EVALUATE in stages else EvaluatedRecord
    passed: Sequence[TransformedRecord]
    if isinstance(records, EncodedRecords):
        passed = records.completed(made, NO_OUTPUT)
    else:
        passed = UnchangedRecords(made, records, partial(_without_output, made))
    return Transformed(records=passed, stages=stages, idle=True)


def passed_unscored(records: Sequence[TransformedRecord]) -> Evaluated:
    """Let every record through without a score: the result of an evaluation without evaluators."""
    passed: Sequence[EvaluatedRecord]
    if isinstance(records, EncodedRecords):
        passed = records.completed(EvaluatedRecord)
    elif isinstance(records, UnchangedRecords) and records.kind is not EvaluatedRecord:
        passed = UnchangedRecords(EvaluatedRecord, records.sources, partial(_without_output, EvaluatedRecord))
    elif isinstance(records, UnchangedRecords) or {EvaluatedRecord}.issuperset(map(type, records)):
        passed = cast("Sequence[EvaluatedRecord]", records)
    else:
        passed = tuple(
            [
                each
                if isinstance(each, EvaluatedRecord)
                else EvaluatedRecord(each.id, each.input, each.output, each.answered_by, each.derived)
                for each in records
            ]
        )
    return Evaluated(records=passed, idle=True)


def extracted_records(records: Sequence[Entering]) -> UnchangedRecords[ExtractedRecord]:
    """Return records that have no error as those of a message."""
    return UnchangedRecords(ExtractedRecord, records, _extracted)


def _extracted(record: Entering) -> ExtractedRecord:
    return record if isinstance(record, ExtractedRecord) else ExtractedRecord(record.id, record.input, record.derived)


def _without_output(kind: type[Made], record: Entering) -> Made:
    return kind(record.id, record.input, None, None, record.derived)


def kept_for_error(
    record_id: str,
    error: RecordError,
    on_failure: OnFailure,
    *,
    input: dict[str, object],  # noqa: A002 - the field's own term
    output: dict[str, object] | None = None,
    tries: int = 1,
    derived: Derived | None = None,
) -> KeptRecord:
    """A record kept for an error, as its stage's `on_failure` says, after the worker tried it `tries` times. `abort`
    raises `PermanentError`. A record that misses a quality check is quarantined."""
    if isinstance(error, CheckFailed):
        on_failure = "quarantine"
    if on_failure == "abort":
        raise PermanentError(f"Record {record_id}: {error} (on_failure: abort)") from error
    return KeptRecord(
        record_id=record_id,
        outcome="skipped" if on_failure == "skip" else "quarantined",
        code=error.code,
        reason=str(error),
        input=input,
        output=output,
        details=error.details,
        attempts=tries if tries > 1 else None,
        derived=derived,
    )


def so_far_of(batch: BatchExtracted | BatchInSteps) -> StepsSoFar | None:
    """Return what came with a batch of the steps before; None for one that begins."""
    return batch.so_far if isinstance(batch, BatchInSteps) else None


def added(so_far: StepsSoFar | None, result: Transformed) -> Transformed:
    """Return the result of all steps, from what those before have counted and from what the last ones did."""
    if so_far is None:
        return result
    return replace(
        result,
        seconds=so_far.seconds + result.seconds,
        latency=merge(dict(so_far.latency), result.latency),
        waited=merge(dict(so_far.waited), result.waited),
        filtered=so_far.filtered + result.filtered,
        derived=so_far.derived + result.derived,
        unnested=so_far.unnested + result.unnested,
        grouped=so_far.grouped + result.grouped,
        kept=(*so_far.kept, *result.kept),
        steps=(*so_far.steps, *result.steps),
    )


def counted(result: Transformed, calls: tuple[Calls, ...], attempt: int) -> StepsSoFar:
    """Return what goes with a batch of the steps so far, whose records that are kept back were tried so often."""
    return StepsSoFar(
        seconds=result.seconds,
        latency=result.latency,
        waited=result.waited,
        filtered=result.filtered,
        derived=result.derived,
        unnested=result.unnested,
        grouped=result.grouped,
        kept=tuple(tried(result.kept, attempt)),
        steps=result.steps,
        calls=calls,
    )


def tried(kept: Sequence[KeptRecord], attempt: int) -> list[KeptRecord]:
    """Return the records with the number of attempts, where nobody has counted them."""
    return [each if each.attempts else each.model_copy(update={"attempts": attempt}) for each in kept]
