"""Adds up to where each pipeline has read its sources, and what its runs have read since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "incremental_marks",
        sa.Column("pipeline_name", sa.String(255), primary_key=True),
        sa.Column("source", sa.String(64), primary_key=True, comment="SHA-256 of source, query and column"),
        sa.Column("shown", sa.Text, nullable=False, comment="the source, without credentials"),
        sa.Column("column_name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, comment="rises with each change"),
        sa.Column("newest", sa.Text, nullable=False),
        sa.Column("held", Json, nullable=False, comment="the newest value, and the records within the lag below it"),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.String(255), nullable=False, comment="a run, or who set it"),
    )
    op.create_table(
        "incremental_progress",
        sa.Column("run_id", sa.String(255), sa.ForeignKey("pipeline_runs.run_id"), primary_key=True),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False, comment="of the mark when the run began; 0 for none"),
        sa.Column("full", sa.Boolean, nullable=False, comment="whether the run reads all of the source"),
        sa.Column("seen", Json, comment="what it has read; null before the first record"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("incremental_progress")
    op.drop_table("incremental_marks")
