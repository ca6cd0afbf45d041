"""Adds which loaded rows can be read, which runs were samples, and what has failed so far."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("batches", sa.Column("staged", sa.Integer, nullable=False, server_default="0"))
    op.add_column("batches", sa.Column("second", sa.Integer, nullable=False, server_default="0"))
    op.add_column("pipeline_runs", sa.Column("placed", Json))
    op.add_column("pipeline_runs", sa.Column("counted", Json))
    op.add_column("pipeline_runs", sa.Column("sample", sa.Integer))
    op.add_column("pipeline_runs", sa.Column("sampled", Json))


def downgrade() -> None:
    """Take back."""
    for name in ("sampled", "sample", "counted", "placed"):
        op.drop_column("pipeline_runs", name)
    for name in ("second", "staged"):
        op.drop_column("batches", name)
