"""Adds what the batches of each run come to, so that they are not added up again and again. Facts need no inbox any
more, because the totals follow the rows of the batches; requests still do."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import sqlalchemy as sa
from alembic import op

from loom_migrations.types import Json, UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_COUNTS = (
    *("extracted", "transformed", "passed", "unscored", "rejected", "skipped", "quarantined", "loaded", "staged"),
    *("second", "cancelled", "calls_made", "calls_from_cache", "tokens_in", "tokens_out"),
)
_COSTS = ("cost_transform", "cost_evaluate")


def upgrade() -> None:
    """Apply."""
    totals = op.create_table(
        "run_totals",
        sa.Column("run_id", sa.String(255), sa.ForeignKey("pipeline_runs.run_id"), primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
        *(sa.Column(name, sa.Float, nullable=False) for name in _COSTS),
        sa.Column("underway", sa.Integer, nullable=False, comment="batches that have not ended"),
        sa.Column("done", sa.Integer, nullable=False, comment="batches that have ended"),
        sa.Column("ended", sa.BigInteger, nullable=False, comment="records of ended batches"),
        sa.Column("seconds", Json, nullable=False, comment="how long each stage has worked"),
        sa.Column("latency", Json, nullable=False, comment="histogram over all batches"),
        sa.Column("waited", Json, nullable=False, comment="histogram over all batches"),
        sa.Column("heard", Json, nullable=False, comment="by stage: when a batch was heard of that it finished last"),
        sa.Column("heard_at", UtcDateTime, nullable=False),
        sa.Column("lately", Json, nullable=False, comment="what `ended` was at moments of the last minute"),
    )
    _add_up(totals)
    issued = sa.text("state = 'issued'")
    op.create_index(
        "idx_slices_issued", "slices", ["run_id", "partition"], sqlite_where=issued, postgresql_where=issued
    )
    op.add_column(
        "partitions",
        sa.Column("released", sa.Integer, nullable=False, server_default="0", comment="batches asked for so far"),
    )
    op.execute(
        "UPDATE partitions SET released = (SELECT coalesce(sum(max_batches), 0) FROM slices"
        " WHERE slices.run_id = partitions.run_id AND slices.partition = partitions.partition)"
    )
    op.drop_index("idx_inbox_run", table_name="inbox")
    op.execute("DELETE FROM inbox WHERE run_id <> ''")
    op.drop_column("inbox", "run_id")


def _add_up(totals: sa.Table) -> None:
    batches = sa.table(
        "batches",
        *map(sa.column, ("run_id", "stage", "state", *_COUNTS, *_COSTS)),
        *(sa.column(name, Json) for name in ("seconds", "latency", "waited")),
        sa.column("updated_at", UtcDateTime),
    )
    connection = op.get_bind()
    runs = connection.execute(sa.select(batches.c.run_id).distinct()).scalars().all()
    for run_id in runs:
        rows = connection.execute(sa.select(batches).where(batches.c.run_id == run_id)).mappings()
        connection.execute(totals.insert().values(run_id=run_id, **_sums(rows)))


def _sums(rows: sa.MappingResult) -> dict[str, Any]:
    amounts: Counter[str] = Counter(dict.fromkeys((*_COUNTS, "underway", "done", "ended"), 0))
    costs = dict.fromkeys(_COSTS, 0.0)
    merged: dict[str, Counter[str]] = {name: Counter() for name in ("seconds", "latency", "waited")}
    heard: dict[str, dt.datetime] = {}
    for row in rows:
        done = row["state"] == "done"
        amounts.update({name: row[name] for name in _COUNTS})
        amounts.update(done=done, underway=not done, ended=row["extracted"] if done else 0)
        for name in _COSTS:
            costs[name] += row[name]
        for name, sums in merged.items():
            sums.update(row[name] or {})
        heard[row["stage"]] = max(row["updated_at"], heard.get(row["stage"], row["updated_at"]))
    return {
        **amounts,
        **costs,
        **{name: dict(sums) for name, sums in merged.items()},
        "heard": {stage: at.isoformat() for stage, at in heard.items()},
        "heard_at": max(heard.values()),
        "lately": [],
    }


def downgrade() -> None:
    """Take back."""
    op.add_column("inbox", sa.Column("run_id", sa.String(255)))
    op.create_index("idx_inbox_run", "inbox", ["run_id"], unique=False)
    op.drop_column("partitions", "released")
    op.drop_index("idx_slices_issued", table_name="slices")
    op.drop_table("run_totals")
