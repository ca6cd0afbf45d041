"""Defines the tables of what has been asked for and what runs: pipelines, their runs, the versions of their prompts and
context files, and the requests that were refused."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, text

from loom_coordinator.db.tables.columns import Usd, metadata, row_id, run_key
from loom_migrations.types import Json, UtcDateTime

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
    # These columns say what ran.
    Column("prompt_version", String(80)),
    Column("model", String(100)),
    Column("context_versions", Json),
    Column("plan", String(64), nullable=False),
    Column("definition", Json, nullable=False),
    Column("params", Json, nullable=False),
    Column("requested_by", String(255)),
    Column("idempotency_key", String(255)),
    Column("replay_of", String(255)),
    # These columns say what came of it.
    Column("records_processed", Integer, nullable=False, server_default="0"),
    Column("records_validated", Integer, nullable=False, server_default="0"),
    Column("records_rejected", Integer, nullable=False, server_default="0"),
    Column("rejection_rate", Float),
    Column("tally", Json),
    Column("cost_total", Usd),
    Column("cost_breakdown", Json),
    Column("duration_seconds", Float),
    Column("latency_p50", Float),
    Column("latency_p95", Float),
    Column("latency_p99", Float),
    Column("waited", Json),
    # These columns say how it is being run.
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
    Column("least_window", Integer),
    Column("priority", Integer, nullable=False, server_default="5"),
    Column("deadline", UtcDateTime),
    Column("counted_before", Json),
    Column("counted", Json),
    Column("placed", Json),
    Column("sample", Integer),
    Column("sampled", Json),
    Column("finalizing", Boolean, nullable=False, server_default=text("false")),
    Column("tell_by", UtcDateTime),
    Column("preflight", Json),
    Column("records", String(64)),
    Column("keeps_outputs", Boolean, nullable=False, server_default=text("false")),
    Column("promises", Json),
    Column("target", String(40)),
    Column("stream", String(40)),
    Column("stream_window", Integer),
    Column("lineage_parent", JSON(none_as_null=True)),
    Column("canary_of", String(40)),
    Column("day_budget", Json),
    Column("resumes_at", UtcDateTime),
    Column("began_at", Json),
    Column("known", BigInteger, nullable=False, server_default=text("0")),
    Column("settled", Boolean, nullable=False, server_default=text("false")),
    Index("idx_pipeline_runs_pipeline", "pipeline_name"),
    Index("idx_pipeline_runs_status", "status"),
    Index("idx_pipeline_runs_execution_date", "execution_date"),
    Index("idx_pipeline_runs_started", "started_at", "run_id"),
    Index("idx_pipeline_runs_newest", "pipeline_name", "started_at", "run_id"),
    Index("idx_pipeline_runs_unsettled", "pipeline_name", "settled", "completed_at"),
    # The migrations limit these on Postgres, too. Said here, that would import Postgres's dialect into embedded runs.
    Index("idx_pipeline_runs_replays", "replay_of", sqlite_where=text("replay_of IS NOT NULL")),
    Index("idx_pipeline_runs_untold", "tell_by", sqlite_where=text("tell_by IS NOT NULL")),
    Index("idx_pipeline_runs_stream", "stream", "stream_window", sqlite_where=text("stream IS NOT NULL")),
)

pipeline_lineage = Table(
    "pipeline_lineage",
    metadata,
    run_key(),
    Column("input_source", Text),
    Column("input_query", Text),
    Column("input_record_count", Integer),
    Column("output_destination", Text),
    Column("output_record_count", Integer),
    Column("stages", Json),
    Column("created_at", UtcDateTime, nullable=False),
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
    row_id(),
    Column("pipeline_name", String(255)),
    Column("requested_by", String(255)),
    Column("error", Text, nullable=False),
    Column("mistakes", Json, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
)
