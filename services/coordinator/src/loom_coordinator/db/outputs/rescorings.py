"""Stores what came of scoring the outputs of runs again: one row for each time, and one for each record."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import delete, func, insert, literal, select, update

from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.db.tables.outcomes import quarantined, record_evaluations
from loom_coordinator.db.tables.rescoring import rescored_records, rescorings

JUDGED, APPLYING, APPLIED, GIVEN_UP = "judged", "applying", "applied", "given_up"
PASSED, REJECTED, ERROR, GONE = "passed", "rejected", "error", "gone"
"""The verdicts on a record: `gone` where its output is no longer to be had."""
WITHDRAWN = "withdrawn"
"""The code of a record in quarantine that its run loaded, and that was withdrawn after it was scored again."""


@dataclass(frozen=True, slots=True)
class Rescoring:
    """Describes one time that the outputs of a run were scored again."""

    rescoring_id: str
    run_id: str
    changes: Mapping[str, Any]
    state: str
    report: Mapping[str, Any] | None
    requested_by: str | None
    created_at: dt.datetime
    applied_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class RescoredRecord(Shown):
    """Describes what is said of a record now, beside what its run said."""

    record_id: str
    before: str
    """`passed`, `rejected` or `error`."""
    after: str
    """Holds what it is now, of the values of `before`, or `gone`."""
    loaded: bool
    """Tells whether its row lies in the destination."""
    reason: str | None
    """Says why it does not pass now, or why its output is gone."""
    scores_before: Mapping[str, float] | None
    scores: Mapping[str, float] | None


@dataclass(frozen=True, slots=True)
class WithdrawnRecord:
    """Holds a loaded record that no longer passes."""

    record_id: str
    reason: str | None
    scores: Mapping[str, float] | None
    record_data: dict[str, Any]
    output: dict[str, Any] | None
    applied: bool


_SHOWN = tuple(rescored_records.c[each.name] for each in fields(RescoredRecord))
_WITHDRAWN = tuple(rescored_records.c[each.name] for each in fields(WithdrawnRecord))
_LEAVES = (rescored_records.c.loaded.is_(True), rescored_records.c.after.in_((REJECTED, ERROR)))
_ENTERS = (
    rescored_records.c.loaded.is_(False),
    rescored_records.c.before.in_((REJECTED, ERROR)),
    rescored_records.c.after == PASSED,
)
_CHANGED = (rescored_records.c.before != rescored_records.c.after, rescored_records.c.after != GONE)


async def begin(
    connection: AsyncConnection,
    rescoring_id: str,
    run_id: str,
    changes: Mapping[str, Any],
    requested_by: str | None,
    now: dt.datetime,
) -> None:
    """Enter a new one, in the place of those of the run that were only looked at."""
    looked_at = select(rescorings.c.rescoring_id).where(rescorings.c.run_id == run_id, rescorings.c.state == JUDGED)
    await connection.execute(delete(rescored_records).where(rescored_records.c.rescoring_id.in_(looked_at)))
    await connection.execute(delete(rescorings).where(rescorings.c.run_id == run_id, rescorings.c.state == JUDGED))
    row = {"rescoring_id": rescoring_id, "run_id": run_id, "changes": dict(changes), "requested_by": requested_by}
    await connection.execute(insert(rescorings).values(**row, state=JUDGED, created_at=now))


async def find(connection: AsyncConnection, rescoring_id: str) -> Rescoring | None:
    """Return the one with that id; None where there is none."""
    return await _one(connection, rescorings.c.rescoring_id == rescoring_id)


async def underway(connection: AsyncConnection, run_id: str) -> Rescoring | None:
    """Return the one of the run whose effect has begun and not ended; None where there is none."""
    return await _one(connection, rescorings.c.run_id == run_id, rescorings.c.state == APPLYING)


async def _one(connection: AsyncConnection, *conditions: Any) -> Rescoring | None:
    row = (await connection.execute(select(rescorings).where(*conditions).limit(1))).mappings().one_or_none()
    return None if row is None else Rescoring(**row)


async def change(connection: AsyncConnection, rescoring_id: str, **values: Any) -> None:
    """Set columns of one."""
    await connection.execute(update(rescorings).where(rescorings.c.rescoring_id == rescoring_id).values(**values))


async def enter(connection: AsyncConnection, rescoring_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Enter records, by the names of their columns."""
    if rows:
        await connection.execute(insert(rescored_records), [{"rescoring_id": rescoring_id, **row} for row in rows])


async def enter_gone(engine: AsyncEngine, rescoring_id: str, run_id: str, reason: str) -> int:
    """Enter the records that the run evaluated, and that are neither entered nor in quarantine. Return how many."""
    entered = select(rescored_records.c.record_id).where(rescored_records.c.rescoring_id == rescoring_id)
    kept = select(quarantined.c.record_id).where(quarantined.c.run_id == run_id)
    said = record_evaluations.c
    missing = (
        select(
            literal(rescoring_id), said.record_id, literal(PASSED), literal(GONE), literal(value=True), literal(reason)
        )
        .where(said.run_id == run_id, said.record_id.not_in(entered), said.record_id.not_in(kept))
        .distinct()
    )
    names = ["rescoring_id", "record_id", "before", "after", "loaded", "reason"]
    async with engine.begin() as connection:
        return (await connection.execute(insert(rescored_records).from_select(names, missing))).rowcount


async def verdicts(connection: AsyncConnection, rescoring_id: str) -> dict[tuple[str, str], int]:
    """Return how many records have each pair of verdicts: before, and now."""
    kind = (rescored_records.c.before, rescored_records.c.after)
    counted = select(*kind, func.count()).where(rescored_records.c.rescoring_id == rescoring_id).group_by(*kind)
    return {(before, after): number for before, after, number in await connection.execute(counted)}


async def entering(connection: AsyncConnection, rescoring_id: str) -> tuple[str, ...]:
    """Return the ids of the records that are not loaded and pass now."""
    chosen = select(rescored_records.c.record_id).where(rescored_records.c.rescoring_id == rescoring_id, *_ENTERS)
    return tuple((await connection.execute(chosen.order_by(rescored_records.c.record_id))).scalars())


async def number_leaving(connection: AsyncConnection, rescoring_id: str) -> int:
    """Return how many loaded records no longer pass."""
    counted = select(func.count()).where(rescored_records.c.rescoring_id == rescoring_id, *_LEAVES)
    number: int = (await connection.execute(counted)).scalar_one()
    return number


async def leaving(engine: AsyncEngine, rescoring_id: str, size: int) -> AsyncIterator[list[WithdrawnRecord]]:
    """Yield the loaded records that no longer pass, always the same ones together."""
    after = ""
    while True:
        chosen = select(*_WITHDRAWN).where(
            rescored_records.c.rescoring_id == rescoring_id, *_LEAVES, rescored_records.c.record_id > after
        )
        async with engine.connect() as connection:
            rows = await connection.execute(chosen.order_by(rescored_records.c.record_id).limit(size))
            page = [WithdrawnRecord(*row) for row in rows]
        if not page:
            return
        yield page
        after = page[-1].record_id


async def set_applied(connection: AsyncConnection, rescoring_id: str, record_ids: Sequence[str]) -> None:
    """Note that what follows for these records is done."""
    chosen = rescored_records.c.rescoring_id == rescoring_id, rescored_records.c.record_id.in_(record_ids)
    await connection.execute(update(rescored_records).where(*chosen).values(applied=True))


async def changed(connection: AsyncConnection, rescoring_id: str, limit: int | None = None) -> list[RescoredRecord]:
    """Return the records whose verdict is another one now, in the order of their ids."""
    chosen = select(*_SHOWN).where(rescored_records.c.rescoring_id == rescoring_id, *_CHANGED)
    rows = await connection.execute(chosen.order_by(rescored_records.c.record_id).limit(limit))
    return [RescoredRecord(*row) for row in rows]


async def gone(connection: AsyncConnection, rescoring_id: str, limit: int) -> list[RescoredRecord]:
    """Return records whose output is gone, in the order of their ids."""
    here = rescored_records.c.rescoring_id == rescoring_id, rescored_records.c.after == GONE
    rows = await connection.execute(select(*_SHOWN).where(*here).order_by(rescored_records.c.record_id).limit(limit))
    return [RescoredRecord(*row) for row in rows]
