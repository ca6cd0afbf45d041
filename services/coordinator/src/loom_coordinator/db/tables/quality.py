"""Defines the tables of what quality checks and the steps of a transform counted, and of what each check came to over
a run."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, String, Table, Text

from loom_coordinator.db.tables.columns import metadata, run_key
from loom_migrations.types import UtcDateTime

quality_counts = Table(
    "quality_counts",
    metadata,
    run_key(),
    Column("stage", String(20), primary_key=True),
    Column("check_name", String(100), primary_key=True),
    Column("part", String(40), primary_key=True, comment="a slice, or a batch"),
    Column("seen", Integer, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("newest", Double, comment="seconds since 1970"),
)

quality_results = Table(
    "quality_results",
    metadata,
    run_key(),
    Column("stage", String(20), primary_key=True),
    Column("check_name", String(100), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("check_kind", String(20), nullable=False),
    Column("column_name", Text),
    Column("action", String(20), nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("missed", BigInteger, nullable=False),
    Column("outcome", String(20), nullable=False, comment="passed, warned, quarantined or failed"),
    Column("reason", Text),
    Column("judged_at", UtcDateTime, nullable=False),
)

step_counts = Table(
    "step_counts",
    metadata,
    run_key(),
    Column("step", String(130), primary_key=True, comment="its name; of a branch that of the router and its own"),
    Column("part", String(40), primary_key=True, comment="a batch"),
    Column("seen", Integer, nullable=False),
    Column("passed", Integer, nullable=False),
    Column("filtered", Integer, nullable=False),
    Column("derived", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("calls_made", Integer, nullable=False),
    Column("calls_from_cache", Integer, nullable=False),
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
    Column("cost", Double, nullable=False),
)
