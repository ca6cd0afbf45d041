"""Keeps at which place somebody has a window of a stream begin, and which messages came again there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0079"
down_revision = "0078"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("streams", sa.Column("moving", Json, comment="the place that its next window is to begin at"))
    op.add_column("streams", sa.Column("begins", Json, comment="what the next window says of where it begins"))
    op.add_column("pipeline_runs", sa.Column("began_at", Json))
    op.add_column("pipeline_runs", sa.Column("known", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("received_pages", sa.Column("known", sa.Integer, nullable=False, server_default="0"))
    op.add_column("received_messages", sa.Column("again", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """Take back."""
    op.drop_column("received_messages", "again")
    op.drop_column("received_pages", "known")
    op.drop_column("pipeline_runs", "known")
    op.drop_column("pipeline_runs", "began_at")
    op.drop_column("streams", "begins")
    op.drop_column("streams", "moving")
