"""Adds the messages that runs have taken from queues."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "received_pages",
        sa.Column("run_id", sa.String(255), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("bodies", sa.LargeBinary, nullable=False, comment="each after its length in four bytes"),
        sa.Column("state", sa.Text, nullable=False, comment="JSON: what the source needs to go on"),
        sa.Column("ends", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "received_messages",
        sa.Column("source", sa.String(32), primary_key=True, comment="a hash of where it was taken from"),
        sa.Column("identity", sa.String(32), primary_key=True, comment="a hash of what tells it from others"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("received_messages")
    op.drop_table("received_pages")
