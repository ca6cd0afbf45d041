"""Defines the tables of the versions of schemas, and of what each run has seen."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from loom_coordinator.db.tables.columns import metadata, run_key
from loom_migrations.types import Json, UtcDateTime

schema_versions = Table(
    "schema_versions",
    metadata,
    Column("pipeline_name", String(255), primary_key=True),
    Column("stage", String(20), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("columns", Json, nullable=False),
    Column("changes", Json, nullable=False, comment="against the version before"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(255), nullable=False, comment="a run, or who applied it"),
)

schema_observations = Table(
    "schema_observations",
    metadata,
    run_key(),
    Column("stage", String(20), primary_key=True),
    Column("version", Integer, comment="that the run was held to; null for none"),
    Column("columns", Json, comment="what its records say; null before the first"),
)
