"""Reads and writes up to where pipelines have read their sources."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from loom_common.async_engine import AsyncConnection
from loom_common.domain.incremental.window import Window
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.values.ids import content_hash
from loom_common.domain.values.urls import redacted
from loom_coordinator.db.tables.incremental import incremental_marks

if TYPE_CHECKING:
    from loom_common.domain.definition.extract import ExtractConfig

_TABLE = incremental_marks.c


@dataclass(frozen=True, slots=True)
class Mark(Shown):
    """Says up to where a pipeline has read a source."""

    pipeline: str
    source: str
    """The source, without credentials."""
    column: str
    newest: str
    """The newest value of the column that was read."""
    version: int
    updated_at: dt.datetime
    updated_by: str
    """Names a run, or the person who set it."""


def source_id(extract: ExtractConfig) -> str:
    """Return what names a source among those of a pipeline: its address, its query and its column."""
    column = "" if extract.incremental is None else extract.incremental.column
    return content_hash("\n".join((extract.source, extract.query or "", column)).encode())


async def held(connection: AsyncConnection, pipeline: str, source: str) -> tuple[int, Window | None]:
    """Return the version of a mark, 0 for none, and its window."""
    query = select(_TABLE.version, _TABLE.held).where(_TABLE.pipeline_name == pipeline, _TABLE.source == source)
    row = (await connection.execute(query)).one_or_none()
    return (0, None) if row is None else (row[0], Window(**row[1]))


async def store(
    connection: AsyncConnection, pipeline: str, extract: ExtractConfig, window: Window, now: dt.datetime, by: str
) -> None:
    """Put a mark in the place of the one that is there."""
    assert extract.incremental is not None
    source = source_id(extract)
    version, _ = await held(connection, pipeline, source)
    changed = {
        "shown": redacted(extract.source),
        "column_name": extract.incremental.column,
        "version": version + 1,
        "newest": window.newest.text,
        "held": window.model_dump(mode="json"),
        "updated_at": now,
        "updated_by": by,
    }
    if version:
        here = (_TABLE.pipeline_name == pipeline, _TABLE.source == source)
        await connection.execute(update(incremental_marks).where(*here).values(**changed))
    else:
        await connection.execute(insert(incremental_marks), {"pipeline_name": pipeline, "source": source, **changed})


async def reset(connection: AsyncConnection, pipeline: str) -> int:
    """Remove the marks of a pipeline, and return how many there were."""
    return (await connection.execute(delete(incremental_marks).where(_TABLE.pipeline_name == pipeline))).rowcount


async def listed(connection: AsyncConnection, pipeline: str | None) -> list[Mark]:
    """Return the marks of a pipeline, or of all."""
    query = select(
        _TABLE.pipeline_name,
        _TABLE.shown,
        _TABLE.column_name,
        _TABLE.newest,
        _TABLE.version,
        _TABLE.updated_at,
        _TABLE.updated_by,
    ).order_by(_TABLE.pipeline_name, _TABLE.shown)
    rows = await connection.execute(query if pipeline is None else query.where(_TABLE.pipeline_name == pipeline))
    return [Mark(*row) for row in rows]
