"""Adds how long records waited for their answers, apart from how long the answers took."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("batches", sa.Column("waited", Json))
    op.add_column("pipeline_runs", sa.Column("waited", Json))


def downgrade() -> None:
    """Take back."""
    op.drop_column("pipeline_runs", "waited")
    op.drop_column("batches", "waited")
