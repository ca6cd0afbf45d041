"""Adds what waits for batches of model providers, and the window of runs whose records wait for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0044"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "batch_requests",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(255), nullable=False),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column("place", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("batch_id", sa.String(32)),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("problem", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("deadline_at", _TIME, nullable=False),
    )
    op.create_index("idx_batch_requests_place", "batch_requests", ["place", "state"])
    op.create_index("ix_batch_requests_run_id", "batch_requests", ["run_id"])
    op.create_index("ix_batch_requests_batch_id", "batch_requests", ["batch_id"])
    op.create_table(
        "provider_batches",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("run_id", sa.String(255), nullable=False),
        sa.Column("place", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("reads", sa.Integer, nullable=False),
        sa.Column("provider_id", sa.Text),
        sa.Column("problem", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("deadline_at", _TIME, nullable=False),
        sa.Column("attempted_at", _TIME),
    )
    op.create_index("ix_provider_batches_run_id", "provider_batches", ["run_id"])
    op.create_index("ix_provider_batches_place", "provider_batches", ["place"])
    op.create_table(
        "batch_owners",
        sa.Column("place", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("until", _TIME, nullable=False),
    )
    op.create_index("ix_batch_owners_holder", "batch_owners", ["holder"])
    op.create_table(
        "batch_runs",
        sa.Column("run_id", sa.String(255), primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
    )
    op.add_column("pipeline_runs", sa.Column("least_window", sa.Integer))


def downgrade() -> None:
    """Take back."""
    op.drop_column("pipeline_runs", "least_window")
    op.drop_table("batch_runs")
    op.drop_table("batch_owners")
    op.drop_table("provider_batches")
    op.drop_table("batch_requests")
