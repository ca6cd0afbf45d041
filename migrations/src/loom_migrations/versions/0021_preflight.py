"""Adds what was found before a run began."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("pipeline_runs", sa.Column("preflight", Json))


def downgrade() -> None:
    """Take back."""
    op.drop_column("pipeline_runs", "preflight")
