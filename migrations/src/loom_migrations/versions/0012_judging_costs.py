"""Adds what judging records has cost in a run so far, from which its budget reserves for the next ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("run_budgets", sa.Column("judged", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("run_budgets", sa.Column("judging", sa.Float(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Take back."""
    op.drop_column("run_budgets", "judging")
    op.drop_column("run_budgets", "judged")
