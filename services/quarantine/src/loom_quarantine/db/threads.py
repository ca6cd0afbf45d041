"""Defines a record's thread: its copies that a run and that run's replays have quarantined, in order.

A thread is named by the run that first quarantined the record (the origin) and the record's id."""

from __future__ import annotations

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, bindparam, exists, func, or_, select

from loom_common.async_engine import AsyncConnection
from loom_quarantine.db.tables import quarantined_records, replayed_records, runs

_ORIGIN = select(replayed_records.c.origin_run_id).where(replayed_records.c.run_id == bindparam("run_id")).limit(1)
_ENDED = ("succeeded", "partial", "failed", "cancelled")


async def origin_of(connection: AsyncConnection, run_id: str) -> str:
    """Return the origin of the records that a run quarantines: the run itself, unless it is a replay."""
    return (await connection.execute(_ORIGIN, {"run_id": run_id})).scalar_one_or_none() or run_id


def taken_by_another(run_id: str | None = None) -> ColumnElement[bool]:
    """Tell whether a replay other than `run_id` is processing the thread of a row of `quarantined_records`."""
    return _holders(run_id).exists()


def holder() -> ScalarSelect[str]:
    """Return the replay that is processing the thread of a row of `quarantined_records`; null where none is."""
    return _holders(None).limit(1).scalar_subquery()


def _holders(but: str | None) -> Select[tuple[str]]:
    """Select the replays that took a record and have not ended, or that ended and loaded it.

    A replay that failed, was cancelled or exceeded a failure limit is not selected."""
    claim, again = replayed_records.alias(), quarantined_records.alias()
    kept_again = exists().where(again.c.run_id == claim.c.run_id, again.c.record_id == claim.c.record_id)
    loaded = and_(
        runs.c.status.in_(("succeeded", "partial")),
        func.coalesce(runs.c.reason, "") != "failure_limit",
        ~kept_again,
    )
    return (
        select(claim.c.run_id)
        .join(runs, runs.c.run_id == claim.c.run_id)
        .where(
            claim.c.origin_run_id == quarantined_records.c.origin_run_id,
            claim.c.record_id == quarantined_records.c.record_id,
            *([] if but is None else [claim.c.run_id != but]),
            or_(runs.c.status.not_in(_ENDED), loaded),
        )
        .correlate(quarantined_records)
    )
