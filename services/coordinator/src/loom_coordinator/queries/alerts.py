"""Queries the alerts that runs have raised."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import NotFound
from loom_coordinator.db.tables.monitoring import monitoring_alerts as table


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Filters alerts. A field that is None does not restrict them."""

    pipeline: str | None = None
    run_id: str | None = None
    severity: str | None = None
    acknowledged: bool | None = None
    among: frozenset[str] | None = None
    """The pipelines whose alerts may be seen."""


@dataclass(frozen=True, slots=True)
class AlertLine(Shown):
    """Describes an alert. The address that it is sent to may hold a secret, and is no part of it."""

    id: int
    """Rises with every alert."""
    pipeline_name: str
    run_id: str
    alert_type: str
    subject: str
    """Says what of the run it is about, such as the name of an evaluator."""
    severity: str
    message: str
    details: Mapping[str, Any] | None
    threshold_value: float | None
    actual_value: float | None
    triggered_at: dt.datetime
    acknowledged: bool
    acknowledged_at: dt.datetime | None
    acknowledged_by: str | None
    notification_channel: str | None
    """The format in which it is sent; None where it is not sent."""
    notification_error: str | None
    notified_at: dt.datetime | None


_COLUMNS = tuple(table.c[field.name] for field in dataclasses.fields(AlertLine))


async def find(connection: AsyncConnection, alert_id: int) -> AlertLine:
    """Return an alert. Raises `NotFound`."""
    found = (await connection.execute(select(*_COLUMNS).where(table.c.id == alert_id))).mappings().one_or_none()
    if found is None:
        raise NotFound(f"There is no alert {alert_id}.")
    return AlertLine(**found)


async def page(
    connection: AsyncConnection, chosen: AlertFilter, limit: int, before: int | None = None
) -> list[AlertLine]:
    """Return the newest alerts that match, at most `limit`, the newest first. `before` is the id of the last alert of
    the page before, which is continued."""
    wanted = {
        table.c.pipeline_name: chosen.pipeline,
        table.c.run_id: chosen.run_id,
        table.c.severity: chosen.severity,
        table.c.acknowledged: chosen.acknowledged,
    }
    conditions = [column == value for column, value in wanted.items() if value is not None]
    if chosen.among is not None:
        conditions.append(table.c.pipeline_name.in_(sorted(chosen.among)))
    if before is not None:
        conditions.append(table.c.id < before)
    statement = select(*_COLUMNS).where(*conditions).order_by(table.c.id.desc()).limit(limit)
    return [AlertLine(**row) for row in (await connection.execute(statement)).mappings()]
