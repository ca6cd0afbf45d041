"""Keeps the version of a pipeline that a stream tries on a share of its records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0071"
down_revision = "0068"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("streams", sa.Column("canary", Json, comment="the version on trial, and its share"))
    op.add_column("pipeline_runs", sa.Column("canary_of", sa.String(40)))


def downgrade() -> None:
    """Take back."""
    op.drop_column("pipeline_runs", "canary_of")
    op.drop_column("streams", "canary")
