"""Adds streams, whose windows are runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json, UtcDateTime

revision = "0060"
down_revision = "0057"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "streams",
        sa.Column("stream_id", sa.String(40), primary_key=True),
        sa.Column("pipeline_name", sa.String(255), nullable=False),
        sa.Column("source", sa.Text, nullable=False, comment="the source, without credentials"),
        sa.Column("state", sa.String(20), nullable=False, comment="running, draining or drained"),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, comment="of the newest window"),
        sa.Column("closed", sa.Boolean, nullable=False, comment="whether the newest window reads no more"),
        sa.Column("cursor", Json, comment="where the next window begins"),
        sa.Column("plan", sa.String(64), nullable=False, comment="of the next window"),
        sa.Column("template", Json, nullable=False, comment="what the row of each window's run says"),
        sa.Column("every", sa.Double, nullable=False, comment="seconds from its first record to a window's end"),
        sa.Column("records", sa.Integer, nullable=False, comment="the most records of a window"),
        sa.Column("heard_at", UtcDateTime, comment="when the last record came"),
    )
    op.create_index("idx_streams_pipeline", "streams", ["pipeline_name"])
    op.add_column("pipeline_runs", sa.Column("stream", sa.String(40)))
    op.add_column("pipeline_runs", sa.Column("stream_window", sa.Integer))
    op.create_index(
        "idx_pipeline_runs_stream",
        "pipeline_runs",
        ["stream", "stream_window"],
        sqlite_where=sa.text("stream IS NOT NULL"),
        postgresql_where=sa.text("stream IS NOT NULL"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("idx_pipeline_runs_stream", "pipeline_runs")
    for name in ("stream_window", "stream"):
        op.drop_column("pipeline_runs", name)
    op.drop_table("streams")
