"""Adds a record's thread: the run that first quarantined it, and the replays that took it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Earlier replays are entered from what the rows and the runs say of them."""
    op.add_column(
        "quarantined_records",
        sa.Column(
            "origin_run_id",
            sa.String(length=255),
            nullable=False,
            server_default="",
            comment="the run that first kept this record back, through all replays",
        ),
    )
    op.create_table(
        "replayed_records",
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("origin_run_id", sa.String(length=255), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False, comment="its row in quarantined_records"),
        sa.Column("action", sa.String(length=100), nullable=False, comment="what resolves it if this run loads it"),
        sa.PrimaryKeyConstraint("run_id", "record_id"),
    )
    op.create_index("idx_replayed_records_thread", "replayed_records", ["origin_run_id", "record_id"])
    _enter_earlier_replays()
    op.drop_column("quarantined_records", "replay_action")


def downgrade() -> None:
    """Take back."""
    op.add_column("quarantined_records", sa.Column("replay_action", sa.String(length=100)))
    op.drop_index("idx_replayed_records_thread", table_name="replayed_records")
    op.drop_table("replayed_records")
    op.drop_column("quarantined_records", "origin_run_id")


def _enter_earlier_replays() -> None:
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT run_id, replay_of FROM pipeline_runs WHERE replay_of IS NOT NULL"))
    parents: dict[str, str] = {row[0]: row[1] for row in rows}
    connection.execute(sa.text("UPDATE quarantined_records SET origin_run_id = run_id"))
    for run_id in parents:
        origin = run_id
        while origin in parents:
            origin = parents[origin]
        values = {"run": run_id, "origin": origin}
        connection.execute(
            sa.text("UPDATE quarantined_records SET origin_run_id = :origin WHERE run_id = :run"), values
        )
        connection.execute(
            sa.text(
                "INSERT INTO replayed_records (run_id, record_id, origin_run_id, source_id, action) "
                "SELECT replay_run_id, record_id, :origin, id, COALESCE(replay_action, 'reprocessed') "
                "FROM quarantined_records WHERE replay_run_id = :run ON CONFLICT DO NOTHING"
            ),
            values,
        )
