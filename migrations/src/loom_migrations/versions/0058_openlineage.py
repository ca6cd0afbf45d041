"""Adds which event of each run an OpenLineage collector was told last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import UtcDateTime

revision = "0058"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "openlineage_told",
        sa.Column("run_id", sa.String(255), sa.ForeignKey("pipeline_runs.run_id"), primary_key=True),
        sa.Column("event", sa.String(20), comment="START, RUNNING, COMPLETE, FAIL or ABORT; null before the first"),
        sa.Column("told_at", UtcDateTime, nullable=False),
        sa.Column("due", UtcDateTime, nullable=False, comment="when the next event may be told"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
    )
    op.create_index("idx_openlineage_told_event", "openlineage_told", ["event"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("openlineage_told")
