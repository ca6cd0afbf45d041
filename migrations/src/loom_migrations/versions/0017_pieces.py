"""Adds the piece of the source that each partition reads. Those of runs that have begun read all of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("partitions", sa.Column("piece", Json))


def downgrade() -> None:
    """Take back."""
    op.drop_column("partitions", "piece")
