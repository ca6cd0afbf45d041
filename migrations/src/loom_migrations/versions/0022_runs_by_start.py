"""Adds the index by which runs are listed in pages."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("idx_pipeline_runs_started", "pipeline_runs", ["started_at", "run_id"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("idx_pipeline_runs_started", "pipeline_runs")
