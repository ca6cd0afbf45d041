"""Defines the tables of what came of scoring the outputs of a run again."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text, false

from loom_coordinator.db.tables.columns import metadata
from loom_migrations.types import Json, UtcDateTime

rescorings = Table(
    "rescorings",
    metadata,
    Column("rescoring_id", String(255), primary_key=True),
    Column("run_id", String(255), ForeignKey("pipeline_runs.run_id"), nullable=False),
    Column("changes", Json, nullable=False, comment="the `evaluate` section, and `providers` and `prices` beside it"),
    Column("state", String(20), nullable=False, comment="judged, applying, applied, given_up"),
    Column("report", Json, comment="verdicts counted, scores by evaluator, calls and cost"),
    Column("requested_by", String(255)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("applied_at", UtcDateTime),
    Index("idx_rescorings_run", "run_id"),
)

rescored_records = Table(
    "rescored_records",
    metadata,
    Column("rescoring_id", String(255), primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("before", String(20), nullable=False, comment="passed, rejected, error"),
    Column("after", String(20), nullable=False, comment="passed, rejected, error, gone"),
    Column("loaded", Boolean, nullable=False, comment="whether its row lies in the destination"),
    Column("reason", Text, comment="why it does not pass now, or why its output is gone"),
    Column("scores_before", Json),
    Column("scores", Json),
    Column("record_data", Json, comment="of a record that no longer passes: its input"),
    Column("output", Json, comment="of a record that no longer passes: its output"),
    Column("applied", Boolean, nullable=False, server_default=false()),
)
