"""Adds what the steps of a transform count, and the records that filters among them dropped."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for table, kind in (("batches", sa.Integer()), ("run_totals", sa.BigInteger())):
        op.add_column(table, sa.Column("filtered", kind, nullable=False, server_default="0"))
    op.create_table(
        "step_counts",
        sa.Column("run_id", sa.String(255), sa.ForeignKey("pipeline_runs.run_id"), primary_key=True),
        sa.Column(
            "step",
            sa.String(130),
            primary_key=True,
            comment="its name; of a branch that of the router and its own",
        ),
        sa.Column("part", sa.String(40), primary_key=True, comment="a batch"),
        *(
            sa.Column(name, sa.Integer, nullable=False)
            for name in ("seen", "passed", "filtered", "failed", "calls_made", "calls_from_cache")
        ),
        sa.Column("tokens_in", sa.BigInteger, nullable=False),
        sa.Column("tokens_out", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("cost", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("step_counts")
    for table in ("run_totals", "batches"):
        op.drop_column(table, "filtered")
