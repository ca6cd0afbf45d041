"""Defines the tables of what has come of the records of each run: scores, costs, and the records that were kept
back."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    column,
    table,
)

from loom_common.domain.run.calls import AMOUNTS
from loom_coordinator.db.tables.columns import Usd, metadata, row_id, run_key
from loom_migrations.types import Json, UtcDateTime

evaluation_results = Table(
    "evaluation_results",
    metadata,
    row_id(),
    Column("run_id", String(255), ForeignKey("pipeline_runs.run_id"), nullable=False),
    Column("evaluator_name", String(100), nullable=False),
    Column("evaluator_type", String(50), nullable=False),
    Column("mean_score", Float),
    Column("std_score", Float),
    Column("min_score", Float),
    Column("max_score", Float),
    Column("threshold", Float),
    Column("pass_rate", Float),
    Column("passed", Boolean),
    Column("sample_size", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("weight", Float),
    Column("quality_gate", Text, comment="the run's gate"),
    Column("gate_threshold", Float, comment="of a weighted gate"),
    UniqueConstraint("run_id", "evaluator_name"),
    Index("idx_evaluation_results_evaluator", "evaluator_name"),
)

record_evaluations = Table(
    "record_evaluations",
    metadata,
    Column("run_id", String(255), primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("evaluator_name", String(100), primary_key=True),
    Column("score", Float),
    Column("passed", Boolean),
    Column("confidence", Float),
    Column("explanation", Text),
    Column("evaluated_at", UtcDateTime, nullable=False),
    Column("latency_ms", Float),
    Column("interactions", Json, comment="each question to a model, answered"),
    Column("tier", String(10), comment="of a cascade: whose score it is"),
    Column("answered_by", Text, comment="the name of that tier"),
)

record_answers = Table(
    "record_answers",
    metadata,
    Column("run_id", String(255), primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("tier", String(10), comment="`cheap` or `dear`; null for a fallback without a cascade"),
    Column("answered_by", Text, nullable=False, comment="the model, or what stood in for it"),
)

record_outputs = Table(
    "record_outputs",
    metadata,
    Column("run_id", String(255), primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("output", Json, comment="what the transform made of a loaded record; null where it is too large"),
    Column("kept_until", UtcDateTime, nullable=False),
    Index("idx_record_outputs_kept_until", "kept_until"),
)

run_calls = Table(
    "run_calls",
    metadata,
    run_key(),
    Column("date", Date, primary_key=True),
    Column("stage", String(20), primary_key=True),
    *(Column(name, String(200), primary_key=True) for name in ("purpose", "provider", "model")),
    *(Column(name, Float if name in ("cost", "seconds") else BigInteger, nullable=False) for name in AMOUNTS),
)

pipeline_costs = Table(
    "pipeline_costs",
    metadata,
    Column("pipeline_name", String(255), ForeignKey("pipelines.name"), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("total_runs", Integer),
    Column("total_records_processed", Integer),
    Column("total_cost", Usd),
    Column("cost_by_stage", Json),
    Column("cost_by_model", Json),
    Column("cost_by_purpose", Json),
    Column("calls", BigInteger),
    Column("tokens_in", BigInteger),
    Column("tokens_out", BigInteger),
    Column("avg_cost_per_run", Usd),
    Column("avg_cost_per_record", Usd),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("settled", Json, comment="what those runs came to that nothing changes any more"),
    Index("idx_pipeline_costs_date", "date"),
)

cost_estimates = Table(
    "cost_estimates",
    metadata,
    row_id(),
    Column("pipeline_name", String(255), nullable=False),
    Column("records", Integer, nullable=False),
    Column("cost", Float, nullable=False),
    Column("cost_by_stage", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("idx_cost_estimates_pipeline", "pipeline_name"),
)

quarantined = table(
    "quarantined_records",
    column("record_id", Text),
    *map(column, ("run_id", "batch_id", "pipeline_name", "failure_stage", "failure_reason")),
    *map(column, ("outcome", "code", "resolved")),
    column("output", Json),
    column("quarantined_at", UtcDateTime),
)
"""The quarantine's own table, as far as it is read here."""
