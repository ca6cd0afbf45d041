"""Adds the last heartbeats of replicas, and the prefetch limits of queues."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "replicas",
        sa.Column("replica", sa.String(length=255), nullable=False),
        sa.Column("service", sa.String(length=50), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("beat", Json, nullable=False, comment="the newest WorkerBeat"),
        sa.Column("before", Json, comment="one of some seconds earlier: what changed between the two is a rate"),
        sa.PrimaryKeyConstraint("replica"),
    )
    op.create_table(
        "prefetch_limits",
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("service", sa.String(length=50), nullable=False),
        sa.Column("prefetch", sa.Integer(), nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("streak", sa.Integer(), nullable=False),
        sa.Column("hold", sa.Integer(), nullable=False),
        sa.Column("unhindered", sa.Float(), comment="seconds a message takes where it waits for no other"),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("queue"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("prefetch_limits")
    op.drop_table("replicas")
