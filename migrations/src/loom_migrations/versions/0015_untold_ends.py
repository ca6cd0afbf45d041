"""Adds by when the end of a run is told: at once, or when what it kept back is stored and its load is finalized."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    untold = sa.text("tell_by IS NOT NULL")
    op.add_column("pipeline_runs", sa.Column("tell_by", UtcDateTime))
    op.create_index(
        "idx_pipeline_runs_untold", "pipeline_runs", ["tell_by"], sqlite_where=untold, postgresql_where=untold
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("idx_pipeline_runs_untold", table_name="pipeline_runs")
    op.drop_column("pipeline_runs", "tell_by")
