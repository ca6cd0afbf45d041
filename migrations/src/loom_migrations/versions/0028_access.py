"""Adds the tokens of the API, the sessions of its console, and the log of who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json, UtcDateTime

revision = "0028"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "api_tokens",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("user", sa.String(255), nullable=False),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.String(255), nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("revoked_at", UtcDateTime),
    )
    op.create_table(
        "api_sessions",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("token_name", sa.String(255), sa.ForeignKey("api_tokens.name"), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    op.create_index("idx_api_sessions_expires_at", "api_sessions", ["expires_at"])
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("user", sa.String(255), nullable=False),
        sa.Column("token_name", sa.String(255)),
        sa.Column("action", sa.String(50), nullable=False),
        sa.Column("resource", sa.String(600), nullable=False),
        sa.Column("details", Json),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("run_id", sa.String(255)),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("audit_log")
    op.drop_table("api_sessions")
    op.drop_table("api_tokens")
