"""Adds what is counted and known of records that steps of a transform make of others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for table, kind in (("batches", sa.Integer()), ("run_totals", sa.BigInteger())):
        for name in ("derived", "unnested"):
            op.add_column(table, sa.Column(name, kind, nullable=False, server_default="0"))
    op.add_column("step_counts", sa.Column("derived", sa.Integer, nullable=False, server_default="0"))
    op.add_column(
        "quarantined_records",
        sa.Column("derived", Json, comment="of which record a step made it, and the step"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_column("quarantined_records", "derived")
    op.drop_column("step_counts", "derived")
    for table in ("run_totals", "batches"):
        for name in ("unnested", "derived"):
            op.drop_column(table, name)
