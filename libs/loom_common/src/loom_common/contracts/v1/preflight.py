"""Defines facts about what was found of a source and a destination before a run, and their parts."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from loom_common.contracts.envelope import Message, Part
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.ids import message_id
from loom_common.text import storable, storable_value

if TYPE_CHECKING:
    from loom_common.domain.checks.check import Check
    from loom_common.domain.checks.columns import ColumnRow


class PreflightCheck(Part):
    """Describes what was checked before a run."""

    what: str = Field(description="`credentials`, `source`, `fields`, `models`, `destination` and so on.")
    ok: bool
    detail: str
    doubtful: bool = Field(False, description="Whether it may be a mistake that does not stand in the way of a run.")

    @classmethod
    def of(cls, check: "Check") -> Self:
        """Return a check with all there is to say where it stands in the way of a run."""
        detail = check.detail if check.ok else "\n".join(check.words)
        return cls(what=check.what, ok=check.ok, detail=storable(detail), doubtful=check.doubtful)


class PreflightColumn(Part):
    """Describes one column on its way from the source to the destination, as it was compared before a run."""

    column: str
    origin: str | None = Field(description="`source`, `output` or both; null for a column that is not written.")
    in_prompt: bool
    written: str | None = Field(description="The type of what is written, where it is known.")
    there: str | None = Field(description="The type of the destination's column, where it has one.")
    done: str = Field(description="What the run does about it.")
    fits: bool

    @classmethod
    def of(cls, row: "ColumnRow") -> Self:
        """Return a row of the comparison of columns as a message holds it."""
        return cls(**storable_value(asdict(row)))


class Preflight(Part):
    """Holds what was found before a run."""

    checks: tuple[PreflightCheck, ...] = ()
    columns: tuple[PreflightColumn, ...] = ()


class SourceSplit(Message):
    """The source of a run is split into these pieces, in its order: `source.split.<pipeline>`."""

    type: ClassVar[str] = "loom.source.split.v1"

    run_id: str
    pipeline: str
    epoch: int
    pieces: tuple[Piece, ...] = Field(min_length=1)

    @property
    def message_id(self) -> str:
        return message_id("source-split", self.run_id, self.epoch)


class SourceChecked(Message):
    """Says what an extractor found of a run's source before the first slice: `source.checked.<pipeline>`."""

    type: ClassVar[str] = "loom.source.checked.v1"

    run_id: str
    pipeline: str
    epoch: int
    checks: tuple[PreflightCheck, ...]
    columns: tuple[PreflightColumn, ...] = Field((), description="Of the source and of the output.")
    same_fields: bool = Field(
        False, description="Whether every record has the fields of the source and no other, as far as can be told."
    )

    @property
    def message_id(self) -> str:
        return message_id("source-checked", self.run_id, self.epoch)


class PlaceFound(Message):
    """Says what an extractor found where somebody has named a place in the source of a stream:
    `source.placed.<pipeline>`."""

    type: ClassVar[str] = "loom.place.found.v1"

    question: str
    stream: str
    pipeline: str
    begin_at: str
    asked: dict[str, Any] | None = None
    known_state: Any = Field(None, description="How far the stream had come when it was asked.")
    state: Any = Field(None, description="The place in the source's own terms.")
    words: str = Field("", description="The place for people.")
    was: str | None = Field(None, description="Where the stream was, for people; null for one that had read nothing.")
    back: bool = Field(False, description="Whether something comes again from there that the stream has read.")
    told_apart: float | None = Field(
        None, description="For how many seconds the source's records are known again; null where they are not."
    )
    recent: bool = Field(False, description="Whether all that comes again is not older than that.")
    error: str | None = Field(None, description="Why there is no such place; null where there is.")

    @property
    def correlation_id(self) -> str:
        return self.stream

    @property
    def message_id(self) -> str:
        return message_id("place-found", self.question)


class DestinationChecked(Message):
    """Says what a loader found of a run's destination before the first slice: `load.checked.<pipeline>`."""

    type: ClassVar[str] = "loom.destination.checked.v1"

    run_id: str
    pipeline: str
    epoch: int
    checks: tuple[PreflightCheck, ...]
    columns: tuple[PreflightColumn, ...] = Field((), description="Those there, and those known before there are rows.")

    @property
    def message_id(self) -> str:
        return message_id("destination-checked", self.run_id, self.epoch)
