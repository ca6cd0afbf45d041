"""The tables of the journal and of the marks beside it, as the migrations create them."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False, index=True),
    sa.Column("record_id", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # JSON: text, finish_reason, model
    sa.Column("tokens_in", sa.Integer, nullable=False),
    sa.Column("tokens_cached", sa.Integer, nullable=False),
    sa.Column("tokens_out", sa.Integer, nullable=False),
    sa.Column("cost", sa.Float, nullable=False),  # USD
    sa.Column("latency_seconds", sa.Float, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),  # UTC
)

batch_marks = sa.Table(
    "batch_marks",
    metadata,
    sa.Column("batch", sa.String(100), primary_key=True),  # stage:batch id
    sa.Column("mark", sa.Text, nullable=False),  # JSON: loom_common.domain.marks
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),  # UTC
)
