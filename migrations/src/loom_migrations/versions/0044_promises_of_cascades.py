"""Adds what is promised of the cascades of a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("pipeline_runs", sa.Column("promises", Json))


def downgrade() -> None:
    """Take back."""
    op.drop_column("pipeline_runs", "promises")
