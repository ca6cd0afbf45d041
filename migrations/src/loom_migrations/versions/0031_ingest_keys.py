"""Adds the keys of records that came over HTTP, so that one that comes again is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import UtcDateTime

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "ingest_claims",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("pipeline_name", sa.String(255), nullable=False),
        sa.Column("run_id", sa.String(255)),
        sa.Column("claimed_until", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("idx_ingest_claims_expires_at", "ingest_claims", ["expires_at"])
    op.create_table(
        "ingest_keys",
        sa.Column("pipeline_name", sa.String(255), primary_key=True),
        sa.Column("digest", sa.String(32), primary_key=True),
        sa.Column("claims", sa.String(64), nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("idx_ingest_keys_claims", "ingest_keys", ["claims"])
    op.create_index("idx_ingest_keys_expires_at", "ingest_keys", ["expires_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("ingest_keys")
    op.drop_table("ingest_claims")
