"""Defines the table of requests over HTTP that may come twice."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from loom_coordinator.db.tables.columns import metadata
from loom_migrations.types import Json, UtcDateTime

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("client", String(255), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("taken_at", UtcDateTime, nullable=False),
    # These columns hold the answer, once there is one.
    Column("status", Integer),
    Column("headers", Json),
    Column("body", Text),
    Index("idx_idempotency_keys_first_at", "first_at"),
)
