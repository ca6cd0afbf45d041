"""Defines what a pipeline file may say of a Redis stream."""

from typing import Literal

from pydantic import Field

from loom_common.domain.values.durations import Duration, Limit
from loom_connectors.options import Options


class RedisStreamOptions(Options):
    """Says how the entries of a stream are read."""

    field: str | None = Field(
        None,
        min_length=1,
        description="The field of an entry that holds the record as a JSON object. Default: the fields of an entry are "
        "those of the record, each a text.",
    )
    properties: list[Literal["entry_id", "timestamp"]] = Field(
        [],
        description="Properties of entries that records get as fields, after an underscore: `[entry_id, timestamp]` "
        "gives `_entry_id` and `_timestamp`.",
    )
    id_field: str | None = Field(
        None,
        min_length=1,
        description="The field of a record that identifies it, so that one which was added twice is taken once. "
        "Default: the id of the entry.",
    )
    start: Literal["beginning", "end"] = Field(
        "beginning",
        description="Where a consumer group begins that is not there yet: at the first entry of the stream, or after "
        "its last.",
    )
    prefetch: int = Field(
        200, ge=1, le=10_000, description="The most entries that are taken before they are kept and acknowledged."
    )
    claim_after: Limit = Field(
        "1m",
        description="An entry that another consumer of the group took so long ago, and has not acknowledged, is taken "
        "over.",
    )
    dedup_window: Duration = Field(
        "7d", description="How long entries are known, so that one that comes again is left out."
    )
