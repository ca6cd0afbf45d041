"""Adds the rows of the other sources that steps join with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0068"
down_revision = "0073"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "joined_tables",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("version", sa.String(64), nullable=False, comment="SHA-256 of the rows"),
        sa.Column("layout", sa.String(64), nullable=False, comment="SHA-256 of what says by what rows are found"),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False, comment="UTC, when a run last read it"),
    )
    op.create_index("ix_joined_tables_version", "joined_tables", ["version", "layout"])
    op.create_table(
        "joined_runs",
        sa.Column("scope", sa.String(255), primary_key=True, comment="the run that first read the records"),
        sa.Column("step", sa.String(60), primary_key=True),
        sa.Column("table_name", sa.String(32), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False, comment="UTC, when it was last asked for"),
    )
    op.create_index("ix_joined_runs_used_at", "joined_runs", ["used_at"])
    op.create_table(
        "joined_rows",
        sa.Column("table_name", sa.String(32), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, comment="in the order of the source, from 1"),
        sa.Column("key_hash", sa.String(32), comment="of the values by which the row is found"),
        sa.Column("content", sa.Text, nullable=False, comment="JSON: the row"),
    )
    op.create_index("ix_joined_rows_key", "joined_rows", ["table_name", "key_hash", "number"])
    op.create_table(
        "joined_words",
        sa.Column("table_name", sa.String(32), primary_key=True),
        sa.Column("word", sa.String(40), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("size", sa.Integer, nullable=False, comment="how many words the row has"),
    )
    op.create_table(
        "joined_counts",
        sa.Column("table_name", sa.String(32), primary_key=True),
        sa.Column("word", sa.String(40), primary_key=True),
        sa.Column("row_count", sa.BigInteger, nullable=False, comment="how many rows have the word"),
    )


def downgrade() -> None:
    """Take back."""
    for table in ("joined_counts", "joined_words", "joined_rows", "joined_runs", "joined_tables"):
        op.drop_table(table)
