"""Defines the tables of up to where sources have been read."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, String, Table, Text

from loom_coordinator.db.tables.columns import metadata, run_key
from loom_migrations.types import Json, UtcDateTime

incremental_marks = Table(
    "incremental_marks",
    metadata,
    Column("pipeline_name", String(255), primary_key=True),
    Column("source", String(64), primary_key=True, comment="SHA-256 of source, query and column"),
    Column("shown", Text, nullable=False, comment="the source, without credentials"),
    Column("column_name", Text, nullable=False),
    Column("version", Integer, nullable=False, comment="rises with each change"),
    Column("newest", Text, nullable=False),
    Column("held", Json, nullable=False, comment="the newest value, and the records within the lag below it"),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("updated_by", String(255), nullable=False, comment="a run, or who set it"),
)

incremental_progress = Table(
    "incremental_progress",
    metadata,
    run_key(),
    Column("source", String(64), nullable=False),
    Column("version", Integer, nullable=False, comment="of the mark when the run began; 0 for none"),
    Column("full", Boolean, nullable=False, comment="whether the run reads all of the source"),
    Column("seen", Json, comment="what it has read; null before the first record"),
)
