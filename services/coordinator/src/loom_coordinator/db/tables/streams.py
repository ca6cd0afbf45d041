"""Defines the table of streams. The windows of a stream are runs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, String, Table, Text

from loom_coordinator.db.tables.columns import metadata
from loom_migrations.types import Json, UtcDateTime

streams = Table(
    "streams",
    metadata,
    Column("stream_id", String(40), primary_key=True),
    Column("pipeline_name", String(255), nullable=False),
    Column("source", Text, nullable=False, comment="the source, without credentials"),
    Column("state", String(20), nullable=False, comment="running, draining or drained"),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("number", Integer, nullable=False, comment="of the newest window"),
    Column("closed", Boolean, nullable=False, comment="whether the newest window reads no more"),
    Column("cursor", Json, comment="where the next window begins"),
    Column("plan", String(64), nullable=False, comment="of the next window"),
    Column("template", Json, nullable=False, comment="what the row of each window's run says"),
    Column("every", Double, nullable=False, comment="seconds from its first record to a window's end"),
    Column("records", Integer, nullable=False, comment="the most records of a window"),
    Column("canary", Json, comment="the version on trial, and its share"),
    Column("decided", Json, comment="what its rule decided on the last version on trial"),
    Column("moving", Json, comment="the place that its next window is to begin at"),
    Column("begins", Json, comment="what the next window says of where it begins"),
    Column("heard_at", UtcDateTime, comment="when the last record came"),
    Column("counted", Integer, nullable=False, server_default="0", comment="the last window added up"),
    Column("counted_records", BigInteger, nullable=False, server_default="0"),
    Column("counted_passed", BigInteger, nullable=False, server_default="0"),
    Column("counted_cost", Double, nullable=False, server_default="0"),
    Column("scores_removed", Integer, nullable=False, server_default="0", comment="the last window without its scores"),
    Index("idx_streams_pipeline", "pipeline_name"),
)
