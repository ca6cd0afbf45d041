"""Adds up in its stream what the old windows of a stream came to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision = "0063"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for column in (
        sa.Column("counted", sa.Integer, nullable=False, server_default="0", comment="the last window added up"),
        sa.Column("counted_records", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("counted_passed", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("counted_cost", sa.Double, nullable=False, server_default="0"),
    ):
        op.add_column("streams", column)


def downgrade() -> None:
    """Take back."""
    for name in ("counted_cost", "counted_passed", "counted_records", "counted"):
        op.drop_column("streams", name)
