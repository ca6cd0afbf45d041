"""Defines the tables of quarantined records and of the records that replays took. The migrations create them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    column,
    false,
    func,
    literal,
    select,
    table,
)

from loom_migrations.types import Json, UtcDateTime

metadata = MetaData()

quarantined_records = Table(
    "quarantined_records",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("run_id", String(255), nullable=False),
    Column("record_id", Text, nullable=False),
    Column("record_data", Json, nullable=False),
    Column("failure_stage", String(50)),
    Column("failure_reason", Text),
    Column("error_details", Json),
    Column("evaluation_scores", Json),
    Column("quarantined_at", UtcDateTime, nullable=False, server_default=func.current_timestamp()),
    Column("resolved", Boolean, nullable=False, server_default=false()),
    Column("resolved_at", UtcDateTime),
    Column("resolution_action", String(100), comment="reprocessed, rescored, discarded, manual_fix"),
    Column("pipeline_name", String(255), nullable=False),
    Column("batch_id", String(36), nullable=False),
    Column("outcome", String(20), nullable=False, comment="quarantined, rejected, skipped"),
    Column("code", String(100), nullable=False, comment="gate, ragged_row, invalid_output, constraint ..."),
    Column("output", Json),
    Column("replay_run_id", String(255), comment="the run that last took this record up again"),
    Column("attempts", Integer, comment="how often its stage tried"),
    Column("derived", Json, comment="of which record a step made it, and the step"),
    Column(
        "origin_run_id",
        String(255),
        nullable=False,
        server_default="",
        comment="the run that first kept this record back, through all replays",
    ),
    UniqueConstraint("run_id", "record_id", name="uq_quarantined_records_run_record"),
    Index("idx_quarantined_records_run", "run_id"),
    Index("idx_quarantined_records_resolved", "resolved"),
    Index("idx_quarantined_records_batch", "batch_id"),
    Index("idx_quarantined_records_pipeline", "pipeline_name"),
    Index("idx_quarantined_records_thread", "record_id", "origin_run_id"),
)

replayed_records = Table(
    "replayed_records",
    metadata,
    Column("run_id", String(255), primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("origin_run_id", String(255), nullable=False),
    Column("source_id", BigInteger, nullable=False, comment="its row in quarantined_records"),
    Column("action", String(100), nullable=False, comment="what resolves it if this run loads it"),
    Index("idx_replayed_records_thread", "origin_run_id", "record_id"),
)
"""Holds the records that each replay took. Rows are never removed, so that a replay reads the same pages again."""

runs = table("pipeline_runs", *map(column, ("run_id", "status", "reason")))
"""Holds the columns of the coordinator's table that say whether a replay has ended."""


def id_is_among(
    dialect: Dialect, record_ids: Sequence[str], names: ColumnElement[str] = quarantined_records.c.record_id
) -> ColumnElement[bool]:
    """Return the condition that a record's id is one of `record_ids`.

    They are bound as one value, because databases limit the parameters of a statement."""
    unfold = func.jsonb_array_elements_text if dialect.name == "postgresql" else func.json_each
    given = unfold(literal(list(record_ids), Json)).table_valued("value")
    return names.in_(select(given.c.value))
