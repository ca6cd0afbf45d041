"""Defines the settings of incremental extraction."""

from __future__ import annotations

from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.quality.bounds import Bound
from loom_common.domain.section import Section
from loom_common.domain.values.durations import Duration


class IncrementalConfig(Section):
    """Says by which column a run tells new records from those that earlier runs have read. The short form is the
    column's name."""

    column: str = Field(min_length=1, description="A field that grows: a number, or a date or time in ISO 8601.")
    start: Bound | None = Field(None, description="The least value that the first run takes. Default: every value.")
    lag: Duration | float = Field(
        0, description="How far below the mark a run looks again, for records that came late: `2h`, or a number."
    )
    on_late: Literal["load", "quarantine", "ignore"] = Field(
        "load", description="What becomes of a record that is found below the mark, and that no run has read."
    )
    zone: str | None = Field(
        None, description="The time zone of times that name none. Without it such a record is quarantined."
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"column": written} if isinstance(written, str) else written

    @field_validator("zone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError) as error:
                raise PydanticCustomError("time_zone", "a time zone, e.g. UTC or Europe/Berlin") from error
        return value
