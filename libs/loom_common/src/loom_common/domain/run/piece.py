"""Describes what one partition of a run reads: a piece of its source, or the groups that a step has made of records."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Share(BaseModel):
    """Describes the records that one of two versions takes. Each record is in exactly one of the shares of the two."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    canary: float = Field(gt=0, lt=1, description="The share of the version on trial.")
    keys: tuple[str, ...] = Field((), description="The fields that identify a record; none where its place does.")
    on_trial: bool = Field(description="Whether these are the records of the version on trial, or all others.")


class Piece(BaseModel):
    """Describes a part of a source, between two cursors of that source. Without both it is the whole source."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    start: Any = Field(None, description="The cursor of its first record; null for the source's first.")
    until: Any = Field(None, description="The cursor of the first record after it; null for the source's end.")
    whole_keys: bool = Field(
        False, description="Whether a record with the key of one of its records is always in it, too."
    )
    group: str | None = Field(
        None, description="The step whose groups are read, which the run itself has made; null for a source."
    )
    share: Share | None = Field(
        None, description="The records of it that are read, while two versions share them; null for all."
    )
