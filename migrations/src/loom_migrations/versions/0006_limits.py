"""Adds the rate limits of model calls that all workers share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "model_buckets",
        sa.Column("bucket", sa.String(length=64), nullable=False),
        sa.Column("requests_until", sa.Double(), nullable=False),
        sa.Column("tokens_until", sa.Double(), nullable=False),
        sa.Column("paused_until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("bucket"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("model_buckets")
