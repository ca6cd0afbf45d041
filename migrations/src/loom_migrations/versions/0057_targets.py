"""Adds the target of the project that a run is for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("pipeline_runs", sa.Column("target", sa.String(40)))


def downgrade() -> None:
    """Take back."""
    op.drop_column("pipeline_runs", "target")
