"""Adds to runs which stored records they read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("pipeline_runs", sa.Column("records", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("pipeline_runs", "records")
