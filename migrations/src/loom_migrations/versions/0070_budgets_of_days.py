"""Lets windows of a stream keep to a budget of the day, and go on by themselves when the next one begins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json, UtcDateTime

revision = "0070"
down_revision = "0069"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("pipeline_runs", sa.Column("day_budget", Json))
    op.add_column("pipeline_runs", sa.Column("resumes_at", UtcDateTime))


def downgrade() -> None:
    """Take back."""
    op.drop_column("pipeline_runs", "resumes_at")
    op.drop_column("pipeline_runs", "day_budget")
