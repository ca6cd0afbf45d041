"""Keeps what runs came to that nothing changes any more with the day of their pipeline, so that the sums of a day need
not look at them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0076"
down_revision = "0077"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("pipeline_costs", sa.Column("settled", Json))
    op.add_column("pipeline_runs", sa.Column("settled", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.create_index("idx_pipeline_runs_unsettled", "pipeline_runs", ["pipeline_name", "settled", "completed_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("idx_pipeline_runs_unsettled", table_name="pipeline_runs")
    op.drop_column("pipeline_runs", "settled")
    op.drop_column("pipeline_costs", "settled")
