"""Adds the versions of schemas of records, and what each run has seen of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "schema_versions",
        sa.Column("pipeline_name", sa.String(255), primary_key=True),
        sa.Column("stage", sa.String(20), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("columns", Json, nullable=False),
        sa.Column("changes", Json, nullable=False, comment="against the version before"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(255), nullable=False, comment="a run, or who applied it"),
    )
    op.create_table(
        "schema_observations",
        sa.Column("run_id", sa.String(255), sa.ForeignKey("pipeline_runs.run_id"), primary_key=True),
        sa.Column("stage", sa.String(20), primary_key=True),
        sa.Column("version", sa.Integer, comment="that the run was held to; null for none"),
        sa.Column("columns", Json, comment="what its records say; null before the first"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("schema_observations")
    op.drop_table("schema_versions")
