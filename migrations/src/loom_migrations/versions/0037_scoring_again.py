"""Adds what came of scoring the outputs of runs again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json, UtcDateTime

revision = "0037"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "rescorings",
        sa.Column("rescoring_id", sa.String(255), primary_key=True),
        sa.Column("run_id", sa.String(255), sa.ForeignKey("pipeline_runs.run_id"), nullable=False),
        sa.Column("changes", Json, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("report", Json),
        sa.Column("requested_by", sa.String(255)),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("applied_at", UtcDateTime),
    )
    op.create_index("idx_rescorings_run", "rescorings", ["run_id"])
    op.create_table(
        "rescored_records",
        sa.Column("rescoring_id", sa.String(255), primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("before", sa.String(20), nullable=False),
        sa.Column("after", sa.String(20), nullable=False),
        sa.Column("loaded", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("scores_before", Json),
        sa.Column("scores", Json),
        sa.Column("record_data", Json),
        sa.Column("output", Json),
        sa.Column("applied", sa.Boolean, nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("rescored_records")
    op.drop_table("rescorings")
