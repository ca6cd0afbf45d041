"""Work messages from stage to stage, and the records that a stage sends to the quarantine."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from loom_common.contracts.envelope import Message, Part
from loom_common.contracts.records import OrEncoded
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import message_id
from loom_common.domain.values.per_record import per_record
from loom_common.flow import Stage


class SplitSource(Message):
    """Asks into which pieces the source is split. Each becomes a partition of the run. Asked once, before the first
    slice."""

    type: ClassVar[str] = "loom.split.requested.v1"

    run_id: str
    pipeline: str
    plan: str = Field(description="Hash of the run's plan in the payload store.")
    epoch: int
    parts: int | None = Field(None, description="How many pieces at most; null for as many as its size is worth.")

    @property
    def message_id(self) -> str:
        return message_id("split", self.run_id, self.epoch)


class CheckSource(Message):
    """Asks an extractor, before the first slice, whether the source can be read, and whether it has the fields that the
    plan names. Where it asks for `split` too, and nothing is in the way, the fact that answers it follows the one of
    `loom.split.requested.v1`."""

    type: ClassVar[str] = "loom.source.check.v1"

    run_id: str
    pipeline: str
    plan: str = Field(description="Hash of the run's plan in the payload store.")
    epoch: int
    split: bool = Field(False, description="Whether it also asks into which pieces the source is split.")
    parts: int | None = Field(None, description="How many pieces at most; null for as many as its size is worth.")

    @property
    def message_id(self) -> str:
        return message_id("check-source", self.run_id, self.epoch)


class FindPlace(Message):
    """Asks an extractor for the place in the source of a stream that somebody has named, so that a window may begin
    there. Nothing is received or changed by it."""

    type: ClassVar[str] = "loom.place.requested.v1"

    question: str = Field(description="The id of the question, which its answer names.")
    stream: str
    pipeline: str
    plan: str = Field(description="Hash of the plan in the payload store.")
    begin_at: str = Field(description="The place as somebody has named it.")
    asked_at: dt.datetime = Field(description="How long ago is counted from here.")
    state: Any = Field(None, description="How far the stream has come, in the source's own terms; null for the start.")
    asked: dict[str, Any] | None = Field(
        None, description="The request that waits for the answer, and how to answer it; null for a stream that waits."
    )

    @property
    def correlation_id(self) -> str:
        return self.stream

    @property
    def message_id(self) -> str:
        return message_id("find-place", self.question)


class CheckDestination(Message):
    """Asks a loader, before the first slice, whether the destination can be written, and how its columns fit."""

    type: ClassVar[str] = "loom.destination.check.v1"

    run_id: str
    pipeline: str
    plan: str = Field(description="Hash of the run's plan in the payload store.")
    epoch: int

    @property
    def message_id(self) -> str:
        return message_id("check-destination", self.run_id, self.epoch)


class ExtractSlice(Message):
    """Asks for a bounded part of the source: from `cursor`, at most `max_batches` batches."""

    type: ClassVar[str] = "loom.slice.requested.v1"

    run_id: str
    pipeline: str
    plan: str = Field(description="Hash of the run's plan in the payload store.")
    epoch: int
    partition: int
    slice: int
    piece: Piece | None = Field(None, description="The piece of the source that the partition is; null for all of it.")
    cursor: Any = Field(None, description="Where to begin, in the source's own terms; null for the start.")
    max_batches: int
    limit: int | None = Field(None, description="Stop after so many records.")
    positions: tuple[int, ...] | None = Field(None, description="Publish only these batches; null for all.")
    budget: Budget | None = Field(None, description="What the run may spend; null for no limit.")
    closing: bool = Field(
        False, description="Whether nothing more is taken from the source, because the window of a stream closes."
    )

    @property
    def message_id(self) -> str:
        return message_id("slice", self.run_id, self.partition, self.slice, self.epoch)


class BatchHeader(Part):
    """Holds the fields of a batch that every stage passes on."""

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


@per_record
class Derived:
    """Says of which record a step of the transform made a record, and what was known of it then: the steps up to there
    are not taken again."""

    __pydantic_config__ = _EXACT

    parent: Annotated[str, Field(description="The id of the record that it was made of.")]
    step: Annotated[str, Field(description="The step that made it.")]
    made: Annotated[tuple[str, ...], Field(description="The fields of its input that steps made.")] = ()
    branches: Annotated[dict[str, str], Field(description="The branches that it was on, by their routers.")] = (
        dataclasses.field(default_factory=dict)
    )
    off: Annotated[tuple[str, ...], Field(description="The steps before that were on other branches.")] = ()
    members: Annotated[
        int, Field(description="How many records it was made of; of several, `parent` is the first in the source.")
    ] = 1

    def as_json(self) -> dict[str, Any]:
        """Return the derived record as a table holds it."""
        return {
            "parent": self.parent,
            "step": self.step,
            "made": list(self.made),
            "branches": self.branches,
            "off": list(self.off),
            **({"members": self.members} if self.members > 1 else {}),
        }

    @staticmethod
    def of_json(said: Mapping[str, Any] | None) -> "Derived | None":
        """Return what a table holds as JSON; None for a record of the source."""
        if said is None:
            return None
        return Derived(
            said["parent"],
            said["step"],
            tuple(said["made"]),
            dict(said["branches"]),
            tuple(said["off"]),
            said.get("members", 1),
        )


@per_record
class ExtractedRecord:
    """Holds a record as the source has it, or as it was made of one and kept back."""

    __pydantic_config__ = _EXACT

    id: str
    input: dict[str, Any]
    derived: Annotated[
        Derived | None, Field(description="Of which record it was made; null for one of the source.")
    ] = None


@per_record
class TransformedRecord:
    """Describes a record with its output."""

    __pydantic_config__ = _EXACT

    id: str
    input: dict[str, Any]
    output: Annotated[dict[str, Any] | None, Field(description="Null: the output is the input (passthrough).")]
    answered_by: Annotated[
        str | None, Field(description="What gave the output: of a cascade the tier, or a fallback.")
    ] = None
    derived: Annotated[
        Derived | None, Field(description="Of which record it was made; null for one of the source.")
    ] = None

    @property
    def result(self) -> dict[str, Any]:
        """Return the output; the input where the transform passes it on."""
        return self.input if self.output is None else self.output


@per_record
class EvaluatedRecord(TransformedRecord):
    """Describes a record that its gate let through."""

    scores: dict[str, float] = dataclasses.field(default_factory=dict)


class Batch(Message):
    """Serves as the base of the batches on their way from stage to stage: a header, and last the records."""

    record: ClassVar[type[Any]]
    """Names the kind of the records that a batch carries."""

    header: BatchHeader
    records: Annotated[Sequence[Any], OrEncoded()]

    @property
    def correlation_id(self) -> str:
        return self.header.run_id

    @property
    def message_id(self) -> str:
        return message_id(self.type, self.header.batch_id)


class BatchExtracted(Batch):
    """Carries a batch to the transformer."""

    type: ClassVar[str] = "loom.batch.extracted.v1"
    record = ExtractedRecord
    records: Annotated[Sequence[ExtractedRecord], OrEncoded()]


class BatchTransformed(Batch):
    """Carries a batch to the evaluator."""

    type: ClassVar[str] = "loom.batch.transformed.v1"
    record = TransformedRecord
    records: Annotated[Sequence[TransformedRecord], OrEncoded()]


class BatchEvaluated(Batch):
    """Carries a batch to the loader."""

    type: ClassVar[str] = "loom.batch.evaluated.v1"
    record = EvaluatedRecord
    records: Annotated[Sequence[EvaluatedRecord], OrEncoded()]


class FinalizeLoad(Message):
    """Asks the loader to publish a run's result as a whole, after all batches are loaded: to join a file's parts or
    swap a table."""

    type: ClassVar[str] = "loom.load.finalize.v1"

    run_id: str
    pipeline: str
    plan: str
    epoch: int
    complete: bool = Field(description="False where the run was cancelled or failed: show what was loaded.")
    keep: bool = Field(False, description="True where nothing was loaded: a result that is there stays.")
    drop: bool = Field(False, description="True where nobody will resume the run: remove what it staged.")
    batches: int | None = Field(
        None, description="The batches of which rows were loaded into the destination; null where that is not known."
    )

    @property
    def message_id(self) -> str:
        return message_id("finalize", self.run_id, self.epoch, *(("drop",) if self.drop else ()))


class KeptRecord(Part):
    """Describes a record that was not let through, with all that is known about it."""

    record_id: str
    outcome: Literal["quarantined", "rejected", "skipped"]
    code: str = Field(description="A stable word for programs: `gate`, `ragged_row`, `invalid_output`, `constraint`.")
    reason: str
    input: dict[str, Any]
    output: dict[str, Any] | None = None
    scores: dict[str, float] = Field(default_factory=dict)
    details: dict[str, Any] = Field(default_factory=dict)
    attempts: int | None = Field(None, description="How often its stage tried it; null where nobody counted.")
    derived: Derived | None = Field(None, description="Of which record it was made; null for one of the source.")


class RecordsQuarantined(Message):
    """Sends the quarantine service the records of one batch that one stage did not let through."""

    type: ClassVar[str] = "loom.records.quarantined.v1"

    run_id: str
    pipeline: str
    batch_id: str
    stage: Stage
    records: tuple[KeptRecord, ...]

    @property
    def message_id(self) -> str:
        return message_id("quarantined", self.batch_id, self.stage)


class RecordsLoaded(Message):
    """Tells the quarantine service of loaded records that it may hold. A replay sends all that it loads, and a resumed
    run what it loads from then on. The records are resolved in every copy."""

    type: ClassVar[str] = "loom.records.loaded.v1"

    run_id: str
    batch_id: str
    record_ids: tuple[str, ...]

    @property
    def message_id(self) -> str:
        return message_id("records-loaded", self.batch_id)
