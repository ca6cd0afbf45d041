"""Defines the tables of who may ask over HTTP, and of who did what."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from loom_coordinator.db.tables.columns import metadata, row_id
from loom_migrations.types import Json, UtcDateTime

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True, comment="SHA-256"),
    Column("user", String(255), nullable=False),
    Column("scopes", Json, nullable=False, comment="the actions that it may be used for"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
)

api_sessions = Table(
    "api_sessions",
    metadata,
    Column("hash", String(64), primary_key=True, comment="SHA-256"),
    Column("token_name", String(255), ForeignKey("api_tokens.name"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("idx_api_sessions_expires_at", "expires_at"),
)

oidc_sessions = Table(
    "oidc_sessions",
    metadata,
    Column("hash", String(64), primary_key=True, comment="SHA-256"),
    Column("login", String(64), nullable=False, unique=True, comment="SHA-256 of the attempt, which opens one session"),
    Column("user", String(255), nullable=False),
    Column("groups", Json, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", String(255), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("idx_oidc_sessions_expires_at", "expires_at"),
)

audit_log = Table(
    "audit_log",
    metadata,
    row_id(),
    Column("at", UtcDateTime, nullable=False),
    Column("user", String(255), nullable=False),
    Column("token_name", String(255)),
    Column("action", String(50), nullable=False),
    Column("resource", String(600), nullable=False),
    Column("details", Json),
    Column("outcome", String(20), nullable=False, comment="asked, done, failed, denied"),
    Column("reason", Text),
    Column("run_id", String(255)),
)
