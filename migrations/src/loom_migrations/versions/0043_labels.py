"""Adds the samples of records that people judge, and their verdicts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json, UtcDateTime

revision = "0043"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "label_samples",
        sa.Column("run_id", sa.String(255), sa.ForeignKey("pipeline_runs.run_id"), primary_key=True),
        sa.Column("subject", sa.String(100), primary_key=True),
        sa.Column("population", sa.BigInteger, nullable=False),
        sa.Column("borderline", sa.Integer, nullable=False),
        sa.Column("random", sa.Integer, nullable=False),
        sa.Column("drawn_at", UtcDateTime, nullable=False),
        sa.Column("drawn_by", sa.String(255)),
    )
    op.create_table(
        "sampled_records",
        sa.Column("run_id", sa.String(255), primary_key=True),
        sa.Column("subject", sa.String(100), primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("stratum", sa.String(20), nullable=False),
        sa.Column("nearness", sa.Integer),
        sa.Column("draw", sa.Integer),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("margin", sa.Float, nullable=False),
        sa.Column("record_data", Json),
        sa.Column("output", Json),
        sa.Column("gone", sa.Text),
    )
    op.create_table(
        "labels",
        sa.Column("run_id", sa.String(255), sa.ForeignKey("pipeline_runs.run_id"), primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("person", sa.String(255), primary_key=True),
        sa.Column("verdict", sa.String(10), nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("expected", sa.Text),
        sa.Column("stratum", sa.String(20)),
        sa.Column("probability", sa.Float),
        sa.Column("via", sa.String(20), nullable=False),
        sa.Column("labelled_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("labels")
    op.drop_table("sampled_records")
    op.drop_table("label_samples")
