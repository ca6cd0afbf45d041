"""Creates the tables of run state, quarantine and journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "context_versions",
        sa.Column("context_name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=80), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("format", sa.String(length=50), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("context_name", "version", "content_hash"),
    )
    op.create_table(
        "inbox",
        sa.Column("message_id", sa.String(length=100), nullable=False),
        sa.Column("run_id", sa.String(length=255), nullable=True),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index("idx_inbox_run", "inbox", ["run_id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=True),
        sa.Column("exchange", sa.String(length=100), nullable=False),
        sa.Column("routing_key", sa.String(length=255), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("properties", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "payloads",
        sa.Column("name", sa.String(length=330), nullable=False),
        sa.Column("run_id", sa.String(length=255), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime(), server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("ix_payloads_run_id", "payloads", ["run_id"], unique=False)
    op.create_table(
        "pipelines",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("definition", Json, nullable=False),
        sa.Column("files", Json, nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "prompt_versions",
        sa.Column("prompt_name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=80), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("template_engine", sa.String(length=50), nullable=True),
        sa.Column("required_context", Json, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("prompt_name", "version", "content_hash"),
    )
    op.create_table(
        "record_evaluations",
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("evaluator_name", sa.String(length=100), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("evaluated_at", UtcDateTime(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "record_id", "evaluator_name"),
    )
    op.create_table(
        "rejected_requests",
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("pipeline_name", sa.String(length=255), nullable=True),
        sa.Column("requested_by", sa.String(length=255), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("mistakes", Json, nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "pipeline_costs",
        sa.Column("pipeline_name", sa.String(length=255), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("total_runs", sa.Integer(), nullable=True),
        sa.Column("total_records_processed", sa.Integer(), nullable=True),
        sa.Column("total_cost", sa.Numeric(precision=14, scale=8, asdecimal=False), nullable=True),
        sa.Column("cost_by_stage", Json, nullable=True),
        sa.Column("avg_cost_per_run", sa.Numeric(precision=14, scale=8, asdecimal=False), nullable=True),
        sa.Column("avg_cost_per_record", sa.Numeric(precision=14, scale=8, asdecimal=False), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pipeline_name"],
            ["pipelines.name"],
        ),
        sa.PrimaryKeyConstraint("pipeline_name", "date"),
    )
    op.create_table(
        "pipeline_runs",
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("pipeline_name", sa.String(length=255), nullable=False),
        sa.Column("pipeline_version", sa.String(length=50), nullable=False),
        sa.Column("execution_date", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.Column("status", sa.String(length=50), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("prompt_version", sa.String(length=80), nullable=True),
        sa.Column("model", sa.String(length=100), nullable=True),
        sa.Column("context_versions", Json, nullable=True),
        sa.Column("plan", sa.String(length=64), nullable=False),
        sa.Column("definition", Json, nullable=False),
        sa.Column("params", Json, nullable=False),
        sa.Column("requested_by", sa.String(length=255), nullable=True),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("replay_of", sa.String(length=255), nullable=True),
        sa.Column("records_processed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("records_validated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("records_rejected", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rejection_rate", sa.Float(), nullable=True),
        sa.Column("tally", Json, nullable=True),
        sa.Column("cost_total", sa.Numeric(precision=14, scale=8, asdecimal=False), nullable=True),
        sa.Column("cost_breakdown", Json, nullable=True),
        sa.Column("duration_seconds", sa.Float(), nullable=True),
        sa.Column("latency_p50", sa.Float(), nullable=True),
        sa.Column("latency_p95", sa.Float(), nullable=True),
        sa.Column("latency_p99", sa.Float(), nullable=True),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=True),
        sa.Column("wanted", sa.String(length=20), nullable=True),
        sa.Column("notice", sa.Text(), nullable=True),
        sa.Column("slice_batches", sa.Integer(), nullable=False),
        sa.Column("credit_window", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), server_default="5", nullable=False),
        sa.Column("finalizing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["pipeline_name"],
            ["pipelines.name"],
        ),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("idx_pipeline_runs_execution_date", "pipeline_runs", ["execution_date"], unique=False)
    op.create_index("idx_pipeline_runs_pipeline", "pipeline_runs", ["pipeline_name"], unique=False)
    op.create_index("idx_pipeline_runs_status", "pipeline_runs", ["status"], unique=False)
    op.create_table(
        "batches",
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("batch_id", sa.String(length=36), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("slice", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("extracted", sa.Integer(), nullable=False),
        sa.Column("transformed", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("quarantined", sa.Integer(), nullable=False),
        sa.Column("loaded", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("calls_made", sa.Integer(), nullable=False),
        sa.Column("calls_from_cache", sa.Integer(), nullable=False),
        sa.Column("tokens_in", sa.Integer(), nullable=False),
        sa.Column("tokens_out", sa.Integer(), nullable=False),
        sa.Column("cost_transform", sa.Float(), nullable=False),
        sa.Column("cost_evaluate", sa.Float(), nullable=False),
        sa.Column("kept", sa.Integer(), nullable=False),
        sa.Column("seconds", Json, nullable=False),
        sa.Column("latency", Json, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["pipeline_runs.run_id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "batch_id"),
    )
    op.create_index(
        "idx_batches_underway",
        "batches",
        ["run_id"],
        unique=False,
        sqlite_where=sa.text("state = 'underway'"),
        postgresql_where=sa.text("state = 'underway'"),
    )
    op.create_table(
        "evaluation_results",
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("evaluator_name", sa.String(length=100), nullable=False),
        sa.Column("evaluator_type", sa.String(length=50), nullable=False),
        sa.Column("mean_score", sa.Float(), nullable=True),
        sa.Column("std_score", sa.Float(), nullable=True),
        sa.Column("min_score", sa.Float(), nullable=True),
        sa.Column("max_score", sa.Float(), nullable=True),
        sa.Column("threshold", sa.Float(), nullable=True),
        sa.Column("pass_rate", sa.Float(), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.Column("sample_size", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["pipeline_runs.run_id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "evaluator_name"),
    )
    op.create_index("idx_evaluation_results_evaluator", "evaluation_results", ["evaluator_name"], unique=False)
    op.create_table(
        "partitions",
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("next_slice", sa.Integer(), nullable=False),
        sa.Column("cursor", Json, nullable=True),
        sa.Column("remaining", sa.Integer(), nullable=True),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["pipeline_runs.run_id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "partition"),
    )
    op.create_table(
        "pipeline_lineage",
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("input_source", sa.Text(), nullable=True),
        sa.Column("input_query", sa.Text(), nullable=True),
        sa.Column("input_record_count", sa.Integer(), nullable=True),
        sa.Column("output_destination", sa.Text(), nullable=True),
        sa.Column("output_record_count", sa.Integer(), nullable=True),
        sa.Column("stages", Json, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["pipeline_runs.run_id"],
        ),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_table(
        "slices",
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("slice", sa.Integer(), nullable=False),
        sa.Column("cursor", Json, nullable=True),
        sa.Column("record_limit", sa.Integer(), nullable=True),
        sa.Column("max_batches", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["pipeline_runs.run_id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "partition", "slice"),
    )
    op.create_table(
        "quarantined_records",
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("record_data", Json, nullable=False),
        sa.Column("failure_stage", sa.String(length=50), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("error_details", Json, nullable=True),
        sa.Column("evaluation_scores", Json, nullable=True),
        sa.Column("quarantined_at", UtcDateTime(), server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.Column("resolved", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.Column(
            "resolution_action", sa.String(length=100), nullable=True, comment="reprocessed, discarded, manual_fix"
        ),
        sa.Column("pipeline_name", sa.String(length=255), nullable=False),
        sa.Column("batch_id", sa.String(length=36), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False, comment="quarantined, rejected, skipped"),
        sa.Column(
            "code", sa.String(length=100), nullable=False, comment="gate, ragged_row, invalid_output, constraint ..."
        ),
        sa.Column("output", Json, nullable=True),
        sa.Column(
            "replay_run_id", sa.String(length=255), nullable=True, comment="the run that last took this record up again"
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "record_id", name="uq_quarantined_records_run_record"),
    )
    op.create_index("idx_quarantined_records_batch", "quarantined_records", ["batch_id"], unique=False)
    op.create_index("idx_quarantined_records_pipeline", "quarantined_records", ["pipeline_name"], unique=False)
    op.create_index("idx_quarantined_records_resolved", "quarantined_records", ["resolved"], unique=False)
    op.create_index("idx_quarantined_records_run", "quarantined_records", ["run_id"], unique=False)
    op.create_table(
        "journal",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("tokens_in", sa.Integer(), nullable=False),
        sa.Column("tokens_cached", sa.Integer(), nullable=False),
        sa.Column("tokens_out", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=False),
        sa.Column("latency_seconds", sa.Float(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(op.f("ix_journal_run_id"), "journal", ["run_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_journal_run_id"), table_name="journal")
    op.drop_table("journal")
    op.drop_index("idx_quarantined_records_run", table_name="quarantined_records")
    op.drop_index("idx_quarantined_records_resolved", table_name="quarantined_records")
    op.drop_index("idx_quarantined_records_pipeline", table_name="quarantined_records")
    op.drop_index("idx_quarantined_records_batch", table_name="quarantined_records")
    op.drop_table("quarantined_records")
    op.drop_table("slices")
    op.drop_table("pipeline_lineage")
    op.drop_table("partitions")
    op.drop_index("idx_evaluation_results_evaluator", table_name="evaluation_results")
    op.drop_table("evaluation_results")
    op.drop_index(
        "idx_batches_underway",
        table_name="batches",
        sqlite_where=sa.text("state = 'underway'"),
        postgresql_where=sa.text("state = 'underway'"),
    )
    op.drop_table("batches")
    op.drop_index("idx_pipeline_runs_status", table_name="pipeline_runs")
    op.drop_index("idx_pipeline_runs_pipeline", table_name="pipeline_runs")
    op.drop_index("idx_pipeline_runs_execution_date", table_name="pipeline_runs")
    op.drop_table("pipeline_runs")
    op.drop_table("pipeline_costs")
    op.drop_table("rejected_requests")
    op.drop_table("record_evaluations")
    op.drop_table("prompt_versions")
    op.drop_table("pipelines")
    op.drop_index("ix_payloads_run_id", table_name="payloads")
    op.drop_table("payloads")
    op.drop_table("outbox")
    op.drop_index("idx_inbox_run", table_name="inbox")
    op.drop_table("inbox")
    op.drop_table("context_versions")
