"""Defines what the coordinator asks the stages for beside their batches."""

import datetime as dt
from typing import Any, ClassVar

from pydantic import Field

from loom_common.contracts.envelope import Message
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.ids import message_id


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
