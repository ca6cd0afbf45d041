"""Adds which tier of a cascade, or which fallback, answered a record, and which tier gave a score."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "record_answers",
        sa.Column("run_id", sa.String(255), primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("tier", sa.String(10), comment="`cheap` or `dear`; null for a fallback without a cascade"),
        sa.Column("answered_by", sa.Text, nullable=False, comment="the model, or what stood in for it"),
    )
    op.add_column("record_evaluations", sa.Column("tier", sa.String(10), comment="of a cascade: whose score it is"))
    op.add_column("record_evaluations", sa.Column("answered_by", sa.Text, comment="the name of that tier"))


def downgrade() -> None:
    """Take back."""
    op.drop_column("record_evaluations", "answered_by")
    op.drop_column("record_evaluations", "tier")
    op.drop_table("record_answers")
