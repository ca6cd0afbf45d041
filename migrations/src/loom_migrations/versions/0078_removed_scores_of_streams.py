"""Keeps up to which window of a stream the scores of single records are removed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0078"
down_revision = "0076"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column `scores_removed` to `streams`."""
    comment = "the last window without its scores"
    op.add_column(
        "streams", sa.Column("scores_removed", sa.Integer, nullable=False, server_default="0", comment=comment)
    )


def downgrade() -> None:
    """Remove the column `scores_removed` from `streams`."""
    op.drop_column("streams", "scores_removed")
