"""Reads and writes the versions of the schemas of a pipeline's records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, bindparam, func, insert, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.schema.columns import Column, Columns
from loom_common.domain.schema.drift import SchemaChange, drift
from loom_common.flow import Stage
from loom_coordinator.db.tables.schemas import schema_versions

_TABLE = schema_versions.c
_MINE = _TABLE.pipeline_name == bindparam("pipeline")
_NEWEST = select(_TABLE.stage, func.max(_TABLE.version).label("version")).where(_MINE).group_by(_TABLE.stage).subquery()
_CURRENT = (
    select(schema_versions)
    .join(_NEWEST, (_TABLE.stage == _NEWEST.c.stage) & (_TABLE.version == _NEWEST.c.version))
    .where(_MINE)
)
"""A statement that every run asks for at its beginning, made once."""


@dataclass(frozen=True, slots=True)
class SchemaVersion(Shown):
    """Holds a stored version of the schema of the records of one stage."""

    pipeline: str
    stage: Stage
    version: int
    columns: Mapping[str, Column]
    changes: tuple[SchemaChange, ...]
    """Holds the changes against the version before."""
    created_at: dt.datetime
    created_by: str
    """Names a run, or the person who applied it."""


async def current(connection: AsyncConnection, pipeline: str) -> dict[Stage, SchemaVersion]:
    """Return the newest version of each stage of a pipeline that has one."""
    rows = await connection.execute(_CURRENT, {"pipeline": pipeline})
    return {found.stage: found for found in map(_version, rows.mappings())}


async def history(connection: AsyncConnection, pipeline: str) -> list[SchemaVersion]:
    """Return all versions of a pipeline, the newest of each stage first."""
    query = select(schema_versions).where(_TABLE.pipeline_name == pipeline)
    rows = await connection.execute(query.order_by(_TABLE.stage, _TABLE.version.desc()))
    return [_version(row) for row in rows.mappings()]


async def store(
    connection: AsyncConnection, pipeline: str, stage: Stage, columns: Columns, now: dt.datetime, by: str
) -> SchemaVersion:
    """Store a version after the newest one. Columns that are those of the newest one already are not stored again."""
    before = (await current(connection, pipeline)).get(stage)
    if before is not None and dict(before.columns) == dict(columns):
        return before
    made = SchemaVersion(
        pipeline=pipeline,
        stage=stage,
        version=1 if before is None else before.version + 1,
        columns=columns,
        changes=() if before is None else tuple(drift(before.columns, columns)),
        created_at=now,
        created_by=by,
    )
    row = {
        "pipeline_name": pipeline,
        "stage": stage,
        "version": made.version,
        "columns": as_row(columns),
        "changes": [each.model_dump() for each in made.changes],
        "created_at": now,
        "created_by": by,
    }
    await connection.execute(insert(schema_versions), row)
    return made


def as_row(columns: Columns) -> list[dict[str, Any]]:
    """Return columns as a table holds them: a list, because their order matters."""
    return [{"name": name, **column.model_dump(exclude_defaults=True)} for name, column in columns.items()]


def from_row(written: list[Mapping[str, Any]]) -> dict[str, Column]:
    """Return the columns that `as_row` wrote."""
    return {each["name"]: Column(**{key: value for key, value in each.items() if key != "name"}) for each in written}


def _version(row: RowMapping) -> SchemaVersion:
    return SchemaVersion(
        pipeline=row["pipeline_name"],
        stage=Stage(row["stage"]),
        version=row["version"],
        columns=from_row(row["columns"]),
        changes=tuple(SchemaChange(**each) for each in row["changes"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
