"""Adds the records that were given to streams over HTTP, until they are taken, and the keys by which they are known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import UtcDateTime

revision = "0069"
down_revision = "0071"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "inbox_records",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("inbox", sa.String(400), nullable=False, comment="pipeline/name"),
        sa.Column("record_id", sa.String(36), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("added_at", UtcDateTime, nullable=False),
    )
    op.create_index("idx_inbox_records_inbox", "inbox_records", ["inbox", "number"])
    op.create_index("idx_inbox_records_record", "inbox_records", ["inbox", "record_id"], unique=True)
    op.create_table(
        "inbox_keys",
        sa.Column("inbox", sa.String(400), primary_key=True),
        sa.Column("digest", sa.String(32), primary_key=True, comment="of the key of a record"),
        sa.Column("record_id", sa.String(36), nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_inbox_keys_expires_at", "inbox_keys", ["expires_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("inbox_keys")
    op.drop_table("inbox_records")
