"""Adds what runs paid by stage, purpose and model, their budgets, and alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COUNTS = ("made", "reused", "unpriced", "tokens_in", "tokens_cached", "tokens_out")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "run_calls",
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("provider", sa.String(length=200), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.Column("cost", sa.Float(), nullable=False, comment="USD"),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["pipeline_runs.run_id"]),
        sa.PrimaryKeyConstraint("run_id", "date", "stage", "purpose", "provider", "model"),
    )
    op.create_table(
        "run_budgets",
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("spent", sa.Float(), nullable=False, comment="USD"),
        sa.Column("lost", sa.Float(), nullable=False, comment="USD"),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_table(
        "budget_reservations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("worst", sa.Float(), nullable=False, comment="USD"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_budget_reservations_run_id"), "budget_reservations", ["run_id"])
    op.create_index(op.f("ix_budget_reservations_holder"), "budget_reservations", ["holder"])
    op.create_table(
        "cost_estimates",
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("pipeline_name", sa.String(length=255), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=False, comment="USD"),
        sa.Column("cost_by_stage", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("idx_cost_estimates_pipeline", "cost_estimates", ["pipeline_name"])
    op.create_table(
        "monitoring_alerts",
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("pipeline_name", sa.String(length=255), nullable=False),
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("alert_type", sa.String(length=100), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("severity", sa.String(length=50), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("details", Json),
        sa.Column("threshold_value", sa.Float()),
        sa.Column("actual_value", sa.Float()),
        sa.Column("triggered_at", UtcDateTime(), nullable=False),
        sa.Column("acknowledged", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("acknowledged_at", UtcDateTime()),
        sa.Column("acknowledged_by", sa.String(length=255)),
        sa.Column("notification_channel", sa.String(length=100)),
        sa.Column("notification_url", sa.Text(), comment="with references, never with secrets"),
        sa.Column("notification_attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("notification_due", UtcDateTime(), comment="when to send it next; null once sent or given up"),
        sa.Column("notification_error", sa.Text()),
        sa.Column("notified_at", UtcDateTime()),
        sa.ForeignKeyConstraint(["pipeline_name"], ["pipelines.name"]),
        sa.ForeignKeyConstraint(["run_id"], ["pipeline_runs.run_id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "alert_type", "subject"),
    )
    op.create_index("idx_monitoring_alerts_pipeline", "monitoring_alerts", ["pipeline_name"])
    op.create_index("idx_monitoring_alerts_triggered", "monitoring_alerts", ["triggered_at"])
    op.create_index("idx_monitoring_alerts_acknowledged", "monitoring_alerts", ["acknowledged"])
    op.add_column("batches", sa.Column("calls", Json, comment="stage -> its model calls, and whether that is all"))
    op.add_column("pipeline_runs", sa.Column("budget", sa.Float(), comment="USD"))
    op.add_column("pipeline_runs", sa.Column("reason", sa.String(length=50)))
    op.add_column("pipeline_runs", sa.Column("estimate", Json))
    op.add_column("pipeline_costs", sa.Column("cost_by_model", Json))
    op.add_column("pipeline_costs", sa.Column("cost_by_purpose", Json))
    op.add_column("pipeline_costs", sa.Column("calls", sa.BigInteger()))
    op.add_column("pipeline_costs", sa.Column("tokens_in", sa.BigInteger()))
    op.add_column("pipeline_costs", sa.Column("tokens_out", sa.BigInteger()))
    op.create_index("idx_pipeline_costs_date", "pipeline_costs", ["date"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("idx_pipeline_costs_date", table_name="pipeline_costs")
    for name in ("cost_by_model", "cost_by_purpose", "calls", "tokens_in", "tokens_out"):
        op.drop_column("pipeline_costs", name)
    for name in ("budget", "reason", "estimate"):
        op.drop_column("pipeline_runs", name)
    op.drop_column("batches", "calls")
    op.drop_table("monitoring_alerts")
    op.drop_table("cost_estimates")
    op.drop_table("budget_reservations")
    op.drop_table("run_budgets")
    op.drop_table("run_calls")
