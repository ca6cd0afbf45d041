"""Run state. The names and columns that users query are those of docs/architecture.md; the migrations build them.

`pipeline_runs` tells of runs, `partitions`, `slices` and `batches` where each stands; `inbox` and `outbox` make
a message's effect and its consequences one transaction with the state; `replicas` and `prefetch_limits` tell of the
fleet."""

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
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    column,
    table,
    text,
)

from loom_common.domain.run.calls import AMOUNTS
from loom_common.domain.run.tally import Tally
from loom_migrations.types import Json, UtcDateTime

metadata = MetaData()

_Id = BigInteger().with_variant(Integer, "sqlite")
_Usd = Numeric(14, 8, asdecimal=False)

pipelines = Table(
    "pipelines",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("version", String(50), nullable=False),
    Column("description", Text),
    Column("definition", Json, nullable=False),
    Column("files", Json, nullable=False),
    Column("base", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

pipeline_runs = Table(
    "pipeline_runs",
    metadata,
    Column("run_id", String(255), primary_key=True),
    Column("pipeline_name", String(255), ForeignKey("pipelines.name"), nullable=False),
    Column("pipeline_version", String(50), nullable=False),
    Column("execution_date", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    Column("status", String(50), nullable=False),
    Column("error_message", Text),
    # what ran
    Column("prompt_version", String(80)),
    Column("model", String(100)),
    Column("context_versions", Json),
    Column("plan", String(64), nullable=False),
    Column("definition", Json, nullable=False),
    Column("params", Json, nullable=False),
    Column("requested_by", String(255)),
    Column("idempotency_key", String(255)),
    Column("replay_of", String(255)),
    # what came of it
    Column("records_processed", Integer, nullable=False, server_default="0"),
    Column("records_validated", Integer, nullable=False, server_default="0"),
    Column("records_rejected", Integer, nullable=False, server_default="0"),
    Column("rejection_rate", Float),
    Column("tally", Json),
    Column("cost_total", _Usd),
    Column("cost_breakdown", Json),
    Column("duration_seconds", Float),
    Column("latency_p50", Float),
    Column("latency_p95", Float),
    Column("latency_p99", Float),
    Column("waited", Json),
    # how it is being run
    Column("destination", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("budget", Float),
    Column("reason", String(50)),
    Column("estimate", Json),
    Column("owner", String(100)),
    Column("wanted", String(20)),
    Column("notice", Text),
    Column("slice_batches", Integer, nullable=False),
    Column("credit_window", Integer, nullable=False),
    Column("priority", Integer, nullable=False, server_default="5"),
    Column("deadline", UtcDateTime),
    Column("counted_before", Json),
    Column("counted", Json),
    Column("placed", Json),
    Column("sample", Integer),
    Column("sampled", Json),
    Column("finalizing", Boolean, nullable=False, server_default=text("false")),
    Index("idx_pipeline_runs_pipeline", "pipeline_name"),
    Index("idx_pipeline_runs_status", "status"),
    Index("idx_pipeline_runs_execution_date", "execution_date"),
)

partitions = Table(
    "partitions",
    metadata,
    Column("run_id", String(255), ForeignKey("pipeline_runs.run_id"), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_slice", Integer, nullable=False),
    Column("cursor", Json),
    Column("remaining", Integer),
    Column("sealed", Boolean, nullable=False),
)

slices = Table(
    "slices",
    metadata,
    Column("run_id", String(255), ForeignKey("pipeline_runs.run_id"), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("slice", Integer, primary_key=True),
    Column("cursor", Json),
    Column("record_limit", Integer),
    Column("max_batches", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
)

_TALLY = [Column(name, Float if name.startswith("cost") else Integer, nullable=False) for name in Tally.model_fields]

batches = Table(
    "batches",
    metadata,
    Column("run_id", String(255), ForeignKey("pipeline_runs.run_id"), primary_key=True),
    Column("batch_id", String(36), primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("slice", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("stage", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    *_TALLY,
    Column("kept", Integer, nullable=False),
    Column("unread", Integer, nullable=False, server_default="0"),
    Column("seconds", Json, nullable=False),
    Column("latency", Json, nullable=False),
    Column("waited", Json),
    Column("calls", Json),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(
        "idx_batches_underway",
        "run_id",
        sqlite_where=text("state = 'underway'"),
        postgresql_where=text("state = 'underway'"),
    ),
)

evaluation_results = Table(
    "evaluation_results",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
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
)

pipeline_lineage = Table(
    "pipeline_lineage",
    metadata,
    Column("run_id", String(255), ForeignKey("pipeline_runs.run_id"), primary_key=True),
    Column("input_source", Text),
    Column("input_query", Text),
    Column("input_record_count", Integer),
    Column("output_destination", Text),
    Column("output_record_count", Integer),
    Column("stages", Json),
    Column("created_at", UtcDateTime, nullable=False),
)

run_calls = Table(
    "run_calls",
    metadata,
    Column("run_id", String(255), ForeignKey("pipeline_runs.run_id"), primary_key=True),
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
    Column("total_cost", _Usd),
    Column("cost_by_stage", Json),
    Column("cost_by_model", Json),
    Column("cost_by_purpose", Json),
    Column("calls", BigInteger),
    Column("tokens_in", BigInteger),
    Column("tokens_out", BigInteger),
    Column("avg_cost_per_run", _Usd),
    Column("avg_cost_per_record", _Usd),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("idx_pipeline_costs_date", "date"),
)

cost_estimates = Table(
    "cost_estimates",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("pipeline_name", String(255), nullable=False),
    Column("records", Integer, nullable=False),
    Column("cost", Float, nullable=False),
    Column("cost_by_stage", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("idx_cost_estimates_pipeline", "pipeline_name"),
)

monitoring_alerts = Table(
    "monitoring_alerts",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("pipeline_name", String(255), ForeignKey("pipelines.name"), nullable=False),
    Column("run_id", String(255), ForeignKey("pipeline_runs.run_id"), nullable=False),
    Column("alert_type", String(100), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("severity", String(50), nullable=False),
    Column("message", Text, nullable=False),
    Column("details", Json),
    Column("threshold_value", Float),
    Column("actual_value", Float),
    Column("triggered_at", UtcDateTime, nullable=False),
    Column("acknowledged", Boolean, nullable=False, server_default=text("false")),
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", String(255)),
    Column("notification_channel", String(100)),
    Column("notification_url", Text),
    Column("notification_attempts", Integer, nullable=False, server_default="0"),
    Column("notification_due", UtcDateTime),
    Column("notification_error", Text),
    Column("notified_at", UtcDateTime),
    UniqueConstraint("run_id", "alert_type", "subject"),
    Index("idx_monitoring_alerts_pipeline", "pipeline_name"),
    Index("idx_monitoring_alerts_triggered", "triggered_at"),
    Index("idx_monitoring_alerts_acknowledged", "acknowledged"),
)


def _versions(name: str, subject: str, *more: Column[object]) -> Table:
    return Table(
        name,
        metadata,
        Column(subject, String(255), primary_key=True),
        Column("version", String(80), primary_key=True),
        Column("content_hash", String(64), primary_key=True),
        Column("content", Text, nullable=False),
        *more,
        Column("created_at", UtcDateTime, nullable=False),
        Column("created_by", String(255)),
    )


prompt_versions = _versions(
    "prompt_versions", "prompt_name", Column("template_engine", String(50)), Column("required_context", Json)
)
context_versions = _versions("context_versions", "context_name", Column("format", String(50)))

rejected_requests = Table(
    "rejected_requests",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("pipeline_name", String(255)),
    Column("requested_by", String(255)),
    Column("error", Text, nullable=False),
    Column("mistakes", Json, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    Column("message_id", String(100), primary_key=True),
    Column("run_id", String(255)),
    Column("received_at", UtcDateTime, nullable=False),
    Index("idx_inbox_run", "run_id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("owner", String(100)),
    Column("exchange", String(100), nullable=False),
    Column("routing_key", String(255), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("properties", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

replicas = Table(
    "replicas",
    metadata,
    Column("replica", String(255), primary_key=True),
    Column("service", String(50), nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("beat", Json, nullable=False, comment="the newest WorkerBeat"),
    Column("before", Json, comment="one of some seconds earlier: what changed between the two is a rate"),
)

prefetch_limits = Table(
    "prefetch_limits",
    metadata,
    Column("queue", String(100), primary_key=True),
    Column("service", String(50), nullable=False),
    Column("prefetch", Integer, nullable=False),
    Column("by_hand", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("streak", Integer, nullable=False),
    Column("hold", Integer, nullable=False),
    Column("unhindered", Float, comment="seconds a message takes where it waits for no other"),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

payloads = Table(
    "payloads",
    metadata,
    Column("name", String(330), primary_key=True),
    Column("run_id", String(255), index=True),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, server_default=text("CURRENT_TIMESTAMP")),
)

quarantined = table(
    "quarantined_records",
    column("record_id", Text),
    *map(column, ("run_id", "batch_id", "pipeline_name", "failure_stage", "failure_reason")),
    *map(column, ("outcome", "code", "resolved", "quarantined_at")),
)
"""The quarantine's own table, as far as it is read here."""
