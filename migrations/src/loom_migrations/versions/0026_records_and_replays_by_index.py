"""Adds indexes by which the model calls of one record of a run, and the replays of a run, are found without reading the
others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    replays = sa.text("replay_of IS NOT NULL")
    op.create_index(
        "idx_pipeline_runs_replays", "pipeline_runs", ["replay_of"], sqlite_where=replays, postgresql_where=replays
    )
    op.create_index("idx_journal_record", "journal", ["run_id", "record_id"])
    op.drop_index("ix_journal_run_id", table_name="journal")  # the new one begins with the same column


def downgrade() -> None:
    """Take back."""
    op.create_index("ix_journal_run_id", "journal", ["run_id"])
    op.drop_index("idx_journal_record", table_name="journal")
    op.drop_index("idx_pipeline_runs_replays", table_name="pipeline_runs")
