"""Adds what quality checks count, and the values that unique checks compare."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "quality_counts",
        sa.Column("run_id", sa.String(255), sa.ForeignKey("pipeline_runs.run_id"), primary_key=True),
        sa.Column("stage", sa.String(20), primary_key=True),
        sa.Column("check_name", sa.String(100), primary_key=True),
        sa.Column("part", sa.String(40), primary_key=True, comment="a slice, or a batch"),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.Column("missed", sa.Integer, nullable=False),
        sa.Column("newest", sa.Double, comment="seconds since 1970"),
    )
    op.create_table(
        "quality_results",
        sa.Column("run_id", sa.String(255), sa.ForeignKey("pipeline_runs.run_id"), primary_key=True),
        sa.Column("stage", sa.String(20), primary_key=True),
        sa.Column("check_name", sa.String(100), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("check_kind", sa.String(20), nullable=False),
        sa.Column("column_name", sa.Text),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("missed", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False, comment="passed, warned, quarantined or failed"),
        sa.Column("reason", sa.Text),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "seen_values",
        sa.Column("scope", sa.String(255), primary_key=True, comment="the run that first read the record"),
        sa.Column("check_name", sa.String(150), primary_key=True),
        sa.Column("digest", sa.String(32), primary_key=True),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_seen_values_created_at", "seen_values", ["created_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("seen_values")
    op.drop_table("quality_results")
    op.drop_table("quality_counts")
