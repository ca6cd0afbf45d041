"""Adds what loaded records came to, of runs over records that somebody gave and waits for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json, UtcDateTime

revision = "0030"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("pipeline_runs", sa.Column("keeps_outputs", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "record_outputs",
        sa.Column("run_id", sa.String(255), primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("output", Json),
        sa.Column("kept_until", UtcDateTime, nullable=False),
    )
    op.create_index("idx_record_outputs_kept_until", "record_outputs", ["kept_until"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("record_outputs")
    op.drop_column("pipeline_runs", "keeps_outputs")
