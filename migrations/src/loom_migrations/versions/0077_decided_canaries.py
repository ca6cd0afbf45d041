"""Keeps what was decided on the version of a pipeline that a stream has tried."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json

revision = "0077"
down_revision = "0070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    comment = "what its rule decided on the last version on trial"
    op.add_column("streams", sa.Column("decided", Json, comment=comment))


def downgrade() -> None:
    """Take back."""
    op.drop_column("streams", "decided")
