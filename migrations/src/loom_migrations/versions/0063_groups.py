"""Adds the records that steps of a transform have grouped, and how many of a batch and of a run they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0063"
down_revision = "0061"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for table, kind in (("batches", sa.Integer()), ("run_totals", sa.BigInteger())):
        op.add_column(table, sa.Column("grouped", kind, nullable=False, server_default="0"))
    op.create_table(
        "group_members",
        sa.Column("run_id", sa.String(255), primary_key=True),
        sa.Column("step", sa.String(60), primary_key=True, comment="the one that groups"),
        sa.Column(
            "place",
            sa.String(24),
            primary_key=True,
            comment="digits: partition, slice, batch, and number in the batch",
        ),
        sa.Column("group_hash", sa.String(32), nullable=False, comment="of the values that make the group"),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column(
            "content", sa.Text, nullable=False, comment="JSON: the values that make the group, and the fields it needs"
        ),
    )
    op.create_index("ix_group_members_group", "group_members", ["run_id", "step", "group_hash", "place"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("group_members")
    for table in ("run_totals", "batches"):
        op.drop_column(table, "grouped")
