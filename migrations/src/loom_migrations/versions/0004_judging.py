"""Adds questions to models, the basis of gates, records outside a sample, and how replays resolve."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("record_evaluations", sa.Column("interactions", Json, comment="each question to a model, answered"))
    op.add_column("evaluation_results", sa.Column("weight", sa.Float()))
    op.add_column("evaluation_results", sa.Column("quality_gate", sa.Text(), comment="the run's gate"))
    op.add_column("evaluation_results", sa.Column("gate_threshold", sa.Float(), comment="of a weighted gate"))
    op.add_column(
        "batches", sa.Column("unscored", sa.Integer(), nullable=False, server_default="0", comment="of those passed")
    )
    op.create_index("idx_quarantined_records_record", "quarantined_records", ["record_id"])
    op.add_column("quarantined_records", sa.Column("attempts", sa.Integer(), comment="how often its stage tried"))
    op.add_column(
        "quarantined_records",
        sa.Column("replay_action", sa.String(length=100), comment="what resolves it if that run gets it through"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_column("quarantined_records", "replay_action")
    op.drop_column("quarantined_records", "attempts")
    op.drop_index("idx_quarantined_records_record", table_name="quarantined_records")
    op.drop_column("batches", "unscored")
    op.drop_column("evaluation_results", "gate_threshold")
    op.drop_column("evaluation_results", "quality_gate")
    op.drop_column("evaluation_results", "weight")
    op.drop_column("record_evaluations", "interactions")
