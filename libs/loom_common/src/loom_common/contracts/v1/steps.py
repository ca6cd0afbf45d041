"""Defines the message that carries a batch amid the steps of a transform, between steps that have queues of their own
and those that have none."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from loom_common.contracts.envelope import Message, Part
from loom_common.contracts.v1.batches import BatchHeader, Derived
from loom_common.contracts.v1.kept import KeptRecord
from loom_common.contracts.v1.step_counts import StepCount
from loom_common.domain.definition.failures.recovery import OnFailure
from loom_common.domain.run.calls import Calls
from loom_common.domain.values.ids import message_id
from loom_common.domain.values.per_record import per_record

_EXACT = ConfigDict(extra="forbid")
Became = Literal["ran", "passed", "off", "ended", "unnested"]


@per_record
class TakenStep:
    """Says what one step made of a record."""

    __pydantic_config__ = _EXACT

    name: Annotated[str, Field(description="The step.")]
    became: Annotated[
        Became,
        Field(
            description="`ran`; `passed`, where its `when` is not true of the record; `off`, where it is on another "
            "branch; `ended`, where the record went no further; `unnested`, where others were made of it."
        ),
    ] = "ran"
    branch: Annotated[str | None, Field(description="Of a router: the branch that the record took.")] = None
    output: Annotated[dict[str, Any] | None, Field(description="The fields that the step made.")] = None
    answered_by: Annotated[str | None, Field(description="What gave the output, where there is a choice.")] = None
    seconds: Annotated[float, Field(description="How long it took.")] = 0.0
    waits: Annotated[bool, Field(description="Whether it waits for the answer of a model.")] = False
    calls: Annotated[int, Field(description="How many calls of a model it made.")] = 0
    answered: Annotated[float, Field(description="How many seconds models took to answer.")] = 0.0


@per_record
class EndInSteps:
    """Says how a record ended, which is carried on because a step beside the one where it ended is still to come."""

    __pydantic_config__ = _EXACT

    step: Annotated[str, Field(description="The step where it ended.")]
    filtered: Annotated[bool, Field(description="Whether the step dropped it; else it failed there.")] = False
    code: Annotated[str, Field(description="A stable word for programs.")] = ""
    reason: str = ""
    details: Annotated[dict[str, Any], Field(description="What is known of the failure besides.")] = dataclasses.field(
        default_factory=dict
    )
    on_failure: Annotated[
        OnFailure | None, Field(description="What becomes of it; null for what the transform says.")
    ] = None


@per_record
class PartInSteps:
    """Holds a record that a step made of another one, and that a later step gathers again."""

    __pydantic_config__ = _EXACT

    step: Annotated[str, Field(description="The step that made it.")]
    parent: Annotated[
        int, Field(description="Of which record: 0 for the one that holds the parts, 1 for its first part, and so on.")
    ]
    input: dict[str, Any]
    steps: Annotated[tuple[TakenStep, ...], Field(description="What the steps so far made of it.")] = ()
    end: Annotated[EndInSteps | None, Field(description="How it ended; null where it goes on.")] = None


@per_record
class RecordInSteps:
    """Holds a record with what the steps so far made of it."""

    __pydantic_config__ = _EXACT

    id: str
    input: Annotated[dict[str, Any], Field(description="As it came to the first step.")]
    derived: Annotated[
        Derived | None, Field(description="Of which record it was made; null for one of the source.")
    ] = None
    steps: Annotated[tuple[TakenStep, ...], Field(description="What the steps so far made of it.")] = ()
    end: Annotated[EndInSteps | None, Field(description="How it ended; null where it goes on.")] = None
    parts: Annotated[
        tuple[PartInSteps, ...], Field(description="The records made of it that a later step gathers again.")
    ] = ()


class StepsSoFar(Part):
    """Counts what became of a batch in the steps so far."""

    seconds: float = Field(0.0, description="How long these steps worked on the batch.")
    latency: dict[int, int] = Field(
        default_factory=dict, description="Histogram (domain.latency) of records that ended, as of a batch's fact."
    )
    waited: dict[int, int] = Field(default_factory=dict, description="The same of what these waited besides.")
    filtered: int = Field(0, description="How many records steps dropped.")
    derived: int = Field(0, description="How many records steps made of others.")
    unnested: int = Field(0, description="How many records steps made others of, in whose place these went on.")
    grouped: int = Field(0, description="How many records steps made one of, with others of their group.")
    kept: tuple[KeptRecord, ...] = Field((), description="The records that steps kept back.")
    steps: tuple[StepCount, ...] = Field((), description="What each step counted.")
    calls: tuple[Calls, ...] = Field((), description="The model calls that steps made for the batch.")


class BatchInSteps(Message):
    """Carries a batch amid the steps of its transform: to the own queue of a step, or back to the queue of the
    transformers."""

    type: ClassVar[str] = "loom.batch.instep.v1"

    header: BatchHeader = Field(description="With the tally as it stood before the transform.")
    step: str | None = Field(description="The step whose own queue it goes to; null for the queue of the transformers.")
    taken: tuple[str, ...] = Field(description="The steps that the batch has been through.")
    records: tuple[RecordInSteps, ...]
    so_far: StepsSoFar = Field(description="What became of the others of the batch, and of the steps.")

    @property
    def correlation_id(self) -> str:
        return self.header.run_id

    @property
    def message_id(self) -> str:
        return message_id(self.type, self.header.batch_id, len(self.taken), self.step or "")
