"""Adds an index by which the newest runs of a pipeline are found without reading the others."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("idx_pipeline_runs_newest", "pipeline_runs", ["pipeline_name", "started_at", "run_id"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("idx_pipeline_runs_newest", table_name="pipeline_runs")
