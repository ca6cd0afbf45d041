"""Notes with a run the task of another tool that has asked for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0073"
down_revision = "0065"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("pipeline_runs", sa.Column("lineage_parent", sa.JSON))


def downgrade() -> None:
    """Take back."""
    op.drop_column("pipeline_runs", "lineage_parent")
