"""Adds the sessions of the console that were opened at an OpenID provider."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json, UtcDateTime

revision = "0032"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "oidc_sessions",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("login", sa.String(64), nullable=False, unique=True),
        sa.Column("user", sa.String(255), nullable=False),
        sa.Column("groups", Json, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("idx_oidc_sessions_expires_at", "oidc_sessions", ["expires_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("oidc_sessions")
