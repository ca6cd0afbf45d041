"""Defines batches on their way from stage to stage, and their records."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from loom_common.contracts.envelope import Message, Part
from loom_common.contracts.records import OrEncoded
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import message_id
from loom_common.domain.values.per_record import per_record


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
