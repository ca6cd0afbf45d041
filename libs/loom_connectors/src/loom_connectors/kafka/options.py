"""Defines what a pipeline file may say of a topic of Kafka."""

import datetime as dt
from typing import Literal

from pydantic import Field, field_validator

from loom_common.domain.values.durations import Duration
from loom_connectors.formats.message_bodies import Body
from loom_connectors.options import Options

BEGINNING, END = "beginning", "end"


class KafkaOptions(Options):
    """Says how the messages of a topic are read."""

    format: Body = Field("json", description="What the value of a message is: `json`, `jsonl` or `text`.")
    text_field: str = Field("text", min_length=1, description="The field that holds the value of a `text` message.")
    properties: list[Literal["key", "topic", "partition", "offset", "timestamp", "headers"]] = Field(
        default_factory=list,
        description="Properties of messages that records get as fields, after an underscore: `[key, timestamp]` gives "
        "`_key` and `_timestamp`.",
    )
    id_field: str | None = Field(
        None,
        min_length=1,
        description="The field of a record that identifies it, so that one which was sent twice is taken once; `_key` "
        "is the key of the message. Default: partition and offset.",
    )
    start: str = Field(
        BEGINNING,
        description="Where a consumer group begins that has no offsets yet: `beginning`, `end`, or with the first "
        "message at or after a time, `2026-11-01T00:00:00Z`.",
    )
    tombstones: Literal["quarantine", "skip"] = Field(
        "quarantine",
        description="What becomes of messages without a value, which say that a key was deleted.",
    )
    prefetch: int = Field(500, ge=1, le=10_000, description="The most messages that are taken before they are kept.")
    dedup_window: Duration = Field(
        "7d", description="How long messages are known, so that one that comes again is left out."
    )

    @field_validator("start", mode="before")
    @classmethod
    def _is_a_place(cls, value: object) -> object:
        if isinstance(value, dt.datetime):
            value = value.isoformat()
        if value not in (BEGINNING, END) and (not isinstance(value, str) or _time_in(value) is None):
            raise ValueError("`beginning`, `end`, or a time with its offset: 2026-11-01T00:00:00Z")
        return value

    @property
    def start_ms(self) -> int | None:
        """Return the time of `start` in milliseconds since 1970; None where it is no time."""
        found = None if self.start in (BEGINNING, END) else _time_in(self.start)
        return None if found is None else round(found.timestamp() * 1000)


def _time_in(text: str) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo is None else found
