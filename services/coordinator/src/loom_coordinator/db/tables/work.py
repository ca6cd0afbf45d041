"""Defines the tables of how far the work of each run is, by slice and batch.

`run_totals` holds what the rows of `batches` add up to, by run. `inbox` and `outbox` let one transaction hold a
request's effect and the messages that follow from it; `payloads` holds the parts of messages that are too large for the
bus."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, String, Table, text

from loom_common.domain.run.tally import Tally
from loom_coordinator.db.tables.columns import metadata, row_id, run_key
from loom_migrations.types import Json, UtcDateTime

partitions = Table(
    "partitions",
    metadata,
    run_key(),
    Column("partition", Integer, primary_key=True),
    Column("next_slice", Integer, nullable=False),
    Column("released", Integer, nullable=False, server_default="0", comment="batches asked for so far"),
    Column("piece", Json),
    Column("cursor", Json),
    Column("remaining", Integer),
    Column("sealed", Boolean, nullable=False),
)

slices = Table(
    "slices",
    metadata,
    run_key(),
    Column("partition", Integer, primary_key=True),
    Column("slice", Integer, primary_key=True),
    Column("cursor", Json),
    Column("record_limit", Integer),
    Column("max_batches", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    # The migration limits it on Postgres, too, as `idx_batches_underway`.
    Index("idx_slices_issued", "run_id", "partition", sqlite_where=text("state = 'issued'")),
)


def _tally(whole: type[Integer]) -> list[Column[object]]:
    """Return the columns of a tally, with `whole` as the type of its counts."""
    kinds = {name: Float if name.startswith("cost") else whole for name in Tally.model_fields}
    return [Column(name, kind, nullable=False) for name, kind in kinds.items()]


batches = Table(
    "batches",
    metadata,
    run_key(),
    Column("batch_id", String(36), primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("slice", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("stage", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    *_tally(Integer),
    Column("kept", Integer, nullable=False),
    Column("unread", Integer, nullable=False, server_default="0"),
    Column("seconds", Json, nullable=False),
    Column("latency", Json, nullable=False),
    Column("waited", Json),
    Column("calls", Json),
    Column("updated_at", UtcDateTime, nullable=False),
    # The migration limits it on Postgres, too. Said here, that would import Postgres's dialect into embedded runs.
    Index("idx_batches_underway", "run_id", sqlite_where=text("state = 'underway'")),
)

run_totals = Table(
    "run_totals",
    metadata,
    run_key(),
    *_tally(BigInteger),
    Column("underway", Integer, nullable=False, comment="batches that have not ended"),
    Column("done", Integer, nullable=False, comment="batches that have ended"),
    Column("ended", BigInteger, nullable=False, comment="records of ended batches"),
    Column("seconds", Json, nullable=False, comment="how long each stage has worked"),
    Column("latency", Json, nullable=False, comment="histogram over all batches"),
    Column("waited", Json, nullable=False, comment="histogram over all batches"),
    Column("heard", Json, nullable=False, comment="by stage: when a batch was heard of that it finished last"),
    Column("heard_at", UtcDateTime, nullable=False),
    Column("lately", Json, nullable=False, comment="what `ended` was at moments of the last minute"),
)

inbox = Table(
    "inbox",
    metadata,
    Column("message_id", String(100), primary_key=True),
    Column("received_at", UtcDateTime, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    row_id(),
    Column("owner", String(100)),
    Column("exchange", String(100), nullable=False),
    Column("routing_key", String(255), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("properties", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

payloads = Table(
    "payloads",
    metadata,
    Column("name", String(330), primary_key=True),
    Column("run_id", String(255), index=True),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, server_default=text("CURRENT_TIMESTAMP")),
)
