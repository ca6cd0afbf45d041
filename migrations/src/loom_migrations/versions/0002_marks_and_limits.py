"""Adds the marks of batches that are being processed, and the values that a run's limits are checked against."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "batch_marks",
        sa.Column("batch", sa.String(length=100), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("batch"),
    )
    op.add_column("batches", sa.Column("unread", sa.Integer(), server_default="0", nullable=False))
    op.add_column("pipeline_runs", sa.Column("deadline", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("pipeline_runs", "deadline")
    op.drop_column("batches", "unread")
    op.drop_table("batch_marks")
