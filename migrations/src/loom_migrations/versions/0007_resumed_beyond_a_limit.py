"""Adds the counts of failures at the time a run was resumed, from which its limits count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("pipeline_runs", sa.Column("counted_before", Json))


def downgrade() -> None:
    """Take back."""
    op.drop_column("pipeline_runs", "counted_before")
