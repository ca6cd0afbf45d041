"""Defines the tables of requests over HTTP that may come twice, and of records that may."""

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

ingest_claims = Table(
    "ingest_claims",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("pipeline_name", String(255), nullable=False),
    Column("run_id", String(255), comment="the run that has taken the records; null until it has begun"),
    Column("claimed_until", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("idx_ingest_claims_expires_at", "expires_at"),
)
"""One row for each request whose records are known again."""

ingest_keys = Table(
    "ingest_keys",
    metadata,
    Column("pipeline_name", String(255), primary_key=True),
    Column("digest", String(32), primary_key=True),
    Column("claims", String(64), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("idx_ingest_keys_claims", "claims"),
    Index("idx_ingest_keys_expires_at", "expires_at"),
)
"""One row for each record that is known again, by a hash of its key."""
