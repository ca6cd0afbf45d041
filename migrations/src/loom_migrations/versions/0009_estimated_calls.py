"""Adds the number of a run's calls that are charged by an estimate, because the provider's token counts could not be
used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("run_calls", sa.Column("estimated", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Take back."""
    op.drop_column("run_calls", "estimated")
