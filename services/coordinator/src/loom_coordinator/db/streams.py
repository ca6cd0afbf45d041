"""Reads, locks and changes rows of `streams`, and finds the windows of a stream."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, Select, bindparam, not_, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.values.ids import content_hash, stream_id_for
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.tables.streams import streams
from loom_coordinator.db.tables.work import partitions
from loom_coordinator.db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from loom_common.domain.definition.pipeline import Pipeline

RUNNING = "running"
DRAINING = "draining"
DRAINED = "drained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Holds one row of `streams`, as it was read at one moment. Every field is the column of the same name."""

    stream_id: str
    pipeline_name: str
    source: str
    state: str
    opened_at: dt.datetime
    number: int
    closed: bool
    cursor: Any
    plan: str
    template: Mapping[str, Any]
    every: float
    records: int
    canary: Mapping[str, Any] | None
    """Says which version is on trial, as `streams.canaries.Canary` holds it; None where none is."""
    decided: Mapping[str, Any] | None
    """Says what became of the last version on trial by its rule, as `streams.canaries.Decided` holds it."""
    moving: Mapping[str, Any] | None
    """Says where somebody has its next window begin, as `streams.moves.Move` holds it; None where nobody has."""
    begins: Mapping[str, Any] | None
    """Says of the next window that it begins at such a place, as `BeganAt`; None for the place where the last one
    ended."""
    heard_at: dt.datetime | None
    counted: int
    """Windows up to this one can neither go on nor be resumed. What they came to stands in the next three."""
    counted_records: int
    counted_passed: int
    counted_cost: float
    scores_removed: int
    """Windows up to this one have no scores of single records any more."""

    @property
    def keeps_order(self) -> bool:
        """Tell whether records of one key stay in sequence in its next window."""
        return bool(self.template["definition"].get("order_by"))


_FOUND = select(*(streams.c[each.name] for each in fields(Stream))).where(streams.c.stream_id == bindparam("stream_id"))
_LOCKED = _FOUND.with_for_update()


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """Describes a window that can go on: it has not ended, or was cut short."""

    run_id: str
    number: int
    status: str
    owner: str | None
    resumes_at: dt.datetime | None

    @property
    def is_at_work(self) -> bool:
        """Tell whether it goes on without anybody's doing, now or when the next day begins."""
        return self.status == run_rows.RUNNING or self.resumes_at is not None


def id_of(pipeline: Pipeline) -> str:
    """Return the id of the stream of a pipeline, which another version of it over the same source has, too."""
    extract = pipeline.extract
    column = "" if extract.incremental is None else extract.incremental.column
    return stream_id_for(
        pipeline.state_name, content_hash("\n".join((extract.source, extract.query or "", column)).encode())
    )


async def find(connection: AsyncConnection, stream_id: str) -> Stream | None:
    """Return the stream as it stands now, without a lock; None where there is none."""
    row = (await connection.execute(_FOUND, {"stream_id": stream_id})).mappings().one_or_none()
    return None if row is None else Stream(**row)


async def of_pipeline(connection: AsyncConnection, pipeline: str) -> list[str]:
    """Return the ids of the streams of a pipeline, the one that was opened last first: one for each of its sources."""
    mine = select(streams.c.stream_id).where(streams.c.pipeline_name == pipeline).order_by(streams.c.opened_at.desc())
    return list((await connection.execute(mine)).scalars())


async def first_pages(connection: AsyncConnection) -> dict[str, int]:
    """Return for each stream the number of the first page of what it received that a window may still read."""
    pages: dict[str, int] = {}
    for stream_id, cursor in await connection.execute(select(streams.c.stream_id, streams.c.cursor)):
        starts = [] if cursor is None else [_page(cursor)]
        waiting = [each.run_id for each in await open_windows(connection, stream_id)]
        pieces = await connection.execute(select(partitions.c.piece).where(partitions.c.run_id.in_(waiting)))
        starts += [_page(piece["start"]) for piece in pieces.scalars()]
        pages[stream_id] = min(starts, default=0)
    return pages


def _page(place: Any) -> int:
    """Return the number of the page of a place; 0 where all of it is sealed, as earlier versions did."""
    return int(place["page"]) if isinstance(place, Mapping) else 0


async def lock(unit: UnitOfWork, stream_id: str) -> Stream | None:
    """Lock the row of a stream until the unit ends, and return it. Whoever locks runs, too, locks them before."""
    row = (await unit.connection.execute(_LOCKED, {"stream_id": stream_id})).mappings().one_or_none()
    return None if row is None else Stream(**row)


async def lock_windows(unit: UnitOfWork, stream_id: str) -> dict[str, Run]:
    """Lock the windows of a stream that are not over until the unit ends, and return them. Facts lock runs before their
    stream, and whoever does the same waits for them instead of against them."""
    return await run_rows.lock(unit, [each.run_id for each in await open_windows(unit.connection, stream_id)])


async def enter(unit: UnitOfWork, values: Mapping[str, Any]) -> bool:
    """Enter a stream. Return whether there was none of its id."""
    statement = unit.insert(streams).on_conflict_do_nothing().returning(streams.c.stream_id)
    return (await unit.connection.execute(statement, values)).scalar_one_or_none() is not None


async def change(unit: UnitOfWork, stream_id: str, **values: Any) -> None:
    """Set columns of a stream."""
    await unit.change(streams, stream_id, values)


async def changed(unit: UnitOfWork, stream: Stream, **values: Any) -> Stream:
    """Set columns of a stream that is locked, and return it as it stands then."""
    await change(unit, stream.stream_id, **values)
    return replace(stream, **values)


async def open_windows(connection: AsyncConnection, stream_id: str) -> list[OpenWindow]:
    """Return the windows of a stream that are not over, in their order. Those that are counted are not looked at, so
    that their number does not matter."""
    return [OpenWindow(*row) for row in await connection.execute(_OPEN, {"stream_id": stream_id})]


def _open() -> Select[tuple[Any, ...]]:
    runs = pipeline_runs.c
    stream: BindParameter[str] = bindparam("stream_id")
    counted = select(streams.c.counted).where(streams.c.stream_id == stream).scalar_subquery()
    return (
        select(runs.run_id, runs.stream_window, runs.status, runs.owner, runs.resumes_at)
        .where(runs.stream == stream, runs.stream_window > counted)
        .where(runs.replay_of.is_(None), not_(run_rows.OVER))
        .where(runs.status != run_rows.CANCELLED)
        .order_by(runs.stream_window, runs.run_id)
    )


_OPEN = _open()
