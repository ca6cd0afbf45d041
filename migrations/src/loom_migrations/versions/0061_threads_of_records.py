"""Finds the other times that a record was kept back without reading those of every run over records of the same ids."""

from __future__ import annotations

from alembic import op

revision = "0061"
down_revision = "0059"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("idx_quarantined_records_thread", "quarantined_records", ["record_id", "origin_run_id"])
    op.drop_index("idx_quarantined_records_record", "quarantined_records")


def downgrade() -> None:
    """Take back."""
    op.create_index("idx_quarantined_records_record", "quarantined_records", ["record_id"])
    op.drop_index("idx_quarantined_records_thread", "quarantined_records")
