"""Defines what a pipeline file may say of a queue and of an exchange."""

from typing import Literal

from pydantic import Field

from loom_common.domain.values.durations import Duration, Limit
from loom_connectors.formats.message_bodies import Body
from loom_connectors.options import Options

Property = Literal[
    "message_id", "routing_key", "exchange", "headers", "content_type", "correlation_id", "timestamp", "type", "app_id"
]


class QueueOptions(Options):
    """Says how the messages of a queue are read."""

    format: Body | None = Field(
        None,
        description="What a body is: `json`, `jsonl` or `text`. Default: by the content type of each message, `json` "
        "where that says nothing.",
    )
    text_field: str = Field("text", min_length=1, description="The field that holds the body of a `text` message.")
    properties: list[Property] = Field(
        [],
        description="Properties of messages that records get as fields, after an underscore: `[message_id, headers]` "
        "gives `_message_id` and `_headers`.",
    )
    message_id_field: str | None = Field(
        None, description="The field of a JSON body that identifies a message without the property `message_id`."
    )
    until: Literal["backlog", "idle"] = Field(
        "backlog",
        description="`backlog`: as many messages as stood in the queue when the run began; `idle`: until none has come "
        "for `idle_timeout`.",
    )
    idle_timeout: Limit = Field("5s", description="No message for so long: the run takes no more.")
    limit: int | None = Field(None, ge=1, description="The most messages that a run takes.")
    prefetch: int = Field(
        200, ge=1, le=10_000, description="The most messages that are taken before they are kept and acknowledged."
    )
    dedup_window: Duration = Field(
        "7d", description="How long the ids of messages are known, so that one that comes again is left out."
    )


class ExchangeOptions(Options):
    """Says how messages are published."""

    routing_key: str | None = Field(
        None, description="The routing key; `{{ field }}` is a value of the row. Default: that of the URL, else none."
    )
    message_id: str | None = Field(
        None,
        description="The id of a message, as `routing_key`. Default: one derived from the run and the record, the same "
        "whenever it is published again.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers: `{label: '{{ label }}'}`, as `routing_key`."
    )
    content_type: str = Field("application/json", description="The content type that messages say; they are JSON.")
    type: str | None = Field(None, description="The property `type`.")
    mandatory: bool = Field(
        True, description="Whether a message that reaches no queue quarantines its record. Else it is dropped."
    )
