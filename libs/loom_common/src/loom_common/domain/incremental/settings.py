"""Defines the settings of incremental extraction."""

from typing import Any, Literal

from pydantic import Field

from loom_common.domain.quality.bounds import Bound
from loom_common.domain.section import Section
from loom_common.domain.values.durations import Duration
from loom_common.domain.values.zones import ZoneName


class IncrementalConfig(Section):
    """Says by which column a run tells new records from those that earlier runs have read. The short form is the
    column's name."""

    column: str = Field(min_length=1, description="A field that grows: a number, or a date or time in ISO 8601.")
    start: Bound | None = Field(None, description="The least value that the first run takes. Default: every value.")
    lag: Duration | float = Field(
        0.0, description="How far below the mark a run looks again, for records that came late: `2h`, or a number."
    )
    on_late: Literal["load", "quarantine", "ignore"] = Field(
        "load", description="What becomes of a record that is found below the mark, and that no run has read."
    )
    zone: ZoneName | None = Field(
        None, description="The time zone of times that name none. Without it such a record is quarantined."
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"column": written} if isinstance(written, str) else written
