"""Queries quarantined records: which there are, how many, and everything about one.

Every function raises `DependencyUnavailable` where the database cannot be reached."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Dialect, and_, case, exists, func, or_, select

from loom_common.async_engine import AsyncEngine
from loom_common.domain.json_values.shown import Shown, as_json
from loom_common.errors import ConfigurationError
from loom_common.flow import Stage
from loom_quarantine.db.errors import transaction
from loom_quarantine.db.tables import id_is_among
from loom_quarantine.db.tables import quarantined_records as table
from loom_quarantine.db.threads import holder


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Filters records. A field that is None does not restrict them. Raises `ConfigurationError` for a score without an
    evaluator."""

    pipeline: str | None = None
    run_id: str | None = None
    record_ids: tuple[str, ...] | None = None
    stage: Stage | None = None
    reason: str | None = None
    """A part of the reason, or its code. Case is ignored."""
    evaluator: str | None = None
    """An evaluator that scored the record or failed on it."""
    min_score: float | None = None
    max_score: float | None = None
    """The highest score of that evaluator, inclusive."""
    unresolved: bool = False
    """Only records that are not resolved."""
    among: frozenset[str] | None = None
    """The pipelines whose records may be seen."""
    worded: frozenset[str] | None = None
    """The pipelines whose reasons may be searched for words, because what they say may be seen; None for all."""

    def __post_init__(self) -> None:
        if self.evaluator is None and (self.min_score, self.max_score) != (None, None):
            raise ConfigurationError("A score needs an evaluator: name the evaluator, too.")

    def conditions(self, dialect: Dialect) -> list[ColumnElement[bool]]:
        """Return the conditions in SQL, with all values bound."""
        chosen: list[ColumnElement[bool]] = []
        if self.pipeline is not None:
            chosen.append(table.c.pipeline_name == self.pipeline)
        if self.among is not None:
            chosen.append(table.c.pipeline_name.in_(sorted(self.among)))
        if self.run_id is not None:
            chosen.append(table.c.run_id == self.run_id)
        if self.record_ids is not None:
            chosen.append(id_is_among(dialect, self.record_ids))
        if self.stage is not None:
            chosen.append(table.c.failure_stage == self.stage.value)
        if self.reason is not None:
            has_words = table.c.failure_reason.icontains(self.reason, autoescape=True)
            if self.worded is not None:
                has_words = and_(has_words, table.c.pipeline_name.in_(sorted(self.worded)))
            chosen.append(or_(has_words, table.c.code == self.reason))
        if self.evaluator is not None:
            chosen += self._scored(self.evaluator)
        if self.unresolved:
            chosen.append(table.c.resolved.is_(False))
        return chosen

    def _scored(self, evaluator: str) -> list[ColumnElement[bool]]:
        score = table.c.evaluation_scores[evaluator].as_float()
        bounds = [
            *([] if self.min_score is None else [score >= self.min_score]),
            *([] if self.max_score is None else [score <= self.max_score]),
        ]
        if bounds:
            return bounds
        failed = table.c.failure_reason.startswith(f"Evaluator {evaluator}: ", autoescape=True)
        return [or_(score.is_not(None), failed)]


@dataclass(frozen=True, slots=True)
class ListedRecord(Shown):
    """Holds a record as it is listed: the row of one time that it was kept back, as JSON values."""

    id: int
    """Rises with every record that is kept back."""
    run_id: str
    record_id: str
    record_data: dict[str, Any]
    """The record as its source gave it."""
    failure_stage: str
    failure_reason: str
    error_details: dict[str, Any] | None
    """The details that the stage gave; `prompt` is the question that was asked."""
    evaluation_scores: dict[str, float] | None
    """The scores by the name of their evaluator."""
    quarantined_at: str
    """A time in ISO 8601, in UTC."""
    resolved: bool
    resolved_at: str | None
    """A time in ISO 8601, in UTC."""
    resolution_action: str | None
    """`reprocessed`, `rescored`, `manual_fix` or `discarded`."""


@dataclass(frozen=True, slots=True)
class WholeRecord(ListedRecord):
    """Holds a record with every column that describes it, as it is exported."""

    pipeline_name: str
    batch_id: str | None
    outcome: str
    """`quarantined`, `rejected` or `skipped`."""
    code: str
    output: Any
    """The output that the transform made of it, as JSON; None where it came to none."""
    attempts: int | None
    """The number of times that its stage tried."""
    replay_run_id: str | None
    """The run that took it up last."""
    derived: dict[str, Any] | None = None
    """Holds the `parent` that a step of the transform made it of, and the `step`; None for a record of the source."""


Row = TypeVar("Row", bound=ListedRecord)


@dataclass(frozen=True, slots=True)
class CauseCount(Shown):
    """Counts records that were kept back for one cause, and what became of them."""

    pipeline_name: str
    failure_stage: str
    code: str
    outcome: str
    records: int
    unresolved: int
    reprocessed: int
    manual_fix: int
    discarded: int
    newest: str
    """Says when the last of them was kept back: ISO 8601, UTC."""


async def listing(engine: AsyncEngine, chosen: RecordFilter, limit: int | None = 100) -> list[ListedRecord]:
    """Return the newest `limit` records, or all."""
    return await _rows(engine, chosen, limit, ListedRecord)


async def whole(engine: AsyncEngine, chosen: RecordFilter, limit: int, before: int | None = None) -> list[WholeRecord]:
    """Return the newest `limit` records with all that is kept of them.

    `before` is the `id` of the last row of an earlier listing, which is continued."""
    return await _rows(engine, chosen, limit, WholeRecord, before)


async def ids(engine: AsyncEngine, chosen: RecordFilter) -> tuple[str, ...]:
    """Return the ids of all records that match, the newest first."""
    async with transaction(engine) as connection:
        query = select(table.c.record_id).where(*chosen.conditions(connection.dialect)).order_by(table.c.id.desc())
        return tuple((await connection.execute(query)).scalars())


async def _rows(
    engine: AsyncEngine, chosen: RecordFilter, limit: int | None, kind: type[Row], before: int | None = None
) -> list[Row]:
    async with transaction(engine) as connection:
        query = (
            select(*(table.c[field.name] for field in dataclasses.fields(kind)))
            .where(*chosen.conditions(connection.dialect), *([] if before is None else [table.c.id < before]))
            .order_by(table.c.id.desc())
            .limit(limit)
        )
        found = (await connection.execute(query)).mappings().all()
    return [kind(**{name: as_json(value) for name, value in row.items()}) for row in found]


async def number_of(engine: AsyncEngine, chosen: RecordFilter) -> int:
    """Return the number of records that match."""
    async with transaction(engine) as connection:
        query = select(func.count()).select_from(table).where(*chosen.conditions(connection.dialect))
        return int((await connection.execute(query)).scalar_one())


async def history(
    engine: AsyncEngine, record_id: str, run_id: str | None = None, show: Callable[[Any], Any] = as_json
) -> list[WholeRecord]:
    """Every time the record was kept back, newest first: by the run that first did and by the replays of it, among
    which `run_id` is one. Without a run, the thread of the record that was kept back last is meant. Sealed values are
    masked, unless `show` leaves them as they are."""
    newest = select(table.c.origin_run_id).where(
        table.c.record_id == record_id, *([] if run_id is None else [table.c.run_id == run_id])
    )
    thread = newest.order_by(table.c.id.desc()).limit(1).scalar_subquery()
    query = (
        select(*(table.c[field.name] for field in dataclasses.fields(WholeRecord)))
        .where(table.c.record_id == record_id, table.c.origin_run_id == thread)
        .order_by(table.c.id.desc())
    )
    async with transaction(engine) as connection:
        found = (await connection.execute(query)).mappings().all()
    return [WholeRecord(**{name: show(value) for name, value in row.items()}) for row in found]


@dataclass(frozen=True, slots=True)
class Standing:
    """Says how many of the records that somebody wants to retry can be taken."""

    waiting: tuple[str, ...]
    """Holds the ids of records that can be taken."""
    resolved: dict[str, int]
    """The number of resolved records, by `resolution_action`."""
    held: dict[str, int]
    """Holds the number of records that a replay is processing, by its run id."""

    @property
    def records(self) -> int:
        """Return the number of all records."""
        return len(self.waiting) + sum(self.resolved.values()) + sum(self.held.values())


async def standing(engine: AsyncEngine, chosen: RecordFilter) -> Standing:
    """Return which of the matching records a replay would take, and why it would not take the others."""
    async with transaction(engine) as connection:
        columns = (table.c.record_id, table.c.resolved, table.c.resolution_action, holder().label("holder"))
        query = select(*columns).where(*chosen.conditions(connection.dialect)).order_by(table.c.id.desc())
        rows = (await connection.execute(query)).mappings().all()
    resolved = Counter(row["resolution_action"] or "resolved" for row in rows if row["resolved"])
    held = Counter(row["holder"] for row in rows if not row["resolved"] and row["holder"])
    waiting = tuple(row["record_id"] for row in rows if not row["resolved"] and not row["holder"])
    return Standing(waiting, dict(resolved), dict(held))


_ENDS = {
    "reprocessed": ("reprocessed", "rescored"),
    "manual_fix": ("manual_fix",),
    "discarded": ("discarded",),
}
"""Holds the resolutions that are counted together: a record that was loaded after it was scored again went through a
replay."""


async def stats(engine: AsyncEngine, chosen: RecordFilter, newest: int | None = None) -> list[CauseCount]:
    """Count how many were kept back for what, and what became of them; the most that wait first.

    A record counts once, by its last entry, however many replays have quarantined it again; with a run in the filter,
    by that run's entry. With `newest` only so many entries are counted, those that were made last."""
    keys = (table.c.pipeline_name, table.c.failure_stage, table.c.code, table.c.outcome)
    counts = {
        "records": func.count(),
        "unresolved": _count(table.c.resolved.is_(False)),
        **{
            action: _count(and_(table.c.resolved, table.c.resolution_action.in_(meant)))
            for action, meant in _ENDS.items()
        },
    }
    columns = [counted.label(name) for name, counted in counts.items()]
    last = func.max(table.c.quarantined_at).label("newest")
    async with transaction(engine) as connection:
        meant = [*chosen.conditions(connection.dialect), *([] if chosen.run_id else [_last_of_its_thread()])]
        if newest is not None:
            recent = select(table.c.id).where(*meant).order_by(table.c.id.desc()).limit(newest).subquery()
            meant = [table.c.id.in_(select(recent.c.id))]
        query = select(*keys, *columns, last).where(*meant).group_by(*keys)
        found = await connection.execute(query.order_by(counts["unresolved"].desc(), counts["records"].desc(), *keys))
        return [CauseCount(**{name: as_json(value) for name, value in row.items()}) for row in found.mappings()]


def _last_of_its_thread() -> ColumnElement[bool]:
    later = table.alias()
    return ~exists().where(
        later.c.record_id == table.c.record_id,
        later.c.origin_run_id == table.c.origin_run_id,
        later.c.id > table.c.id,
    )


def _count(condition: ColumnElement[bool]) -> Any:
    return func.sum(case((condition, 1), else_=0))
