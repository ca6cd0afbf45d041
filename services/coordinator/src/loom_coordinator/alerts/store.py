"""Records alerts with the run in one transaction; `webhook.py` sends them later."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import RowMapping, bindparam, select, update

from loom_common.async_engine import AsyncConnection
from loom_common.console.numbers import money
from loom_common.contracts import v1
from loom_common.contracts.v1 import Alert
from loom_common.logs.logger import log
from loom_coordinator.alerts.rules import BUDGET, BUDGET_OF_DAY, ERROR, EVENTS, RESOLVED, Finding, subject_of
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.monitoring import monitoring_alerts
from loom_coordinator.db.unit_of_work import UnitOfWork


def budget_exhausted(spent: v1.BudgetSpent) -> Finding:
    """Return the alert of a run that paused for want of money. A larger budget that is spent too is another one, and so
    is that of another day."""
    if spent.until is not None:
        words = f"the stream paused: {money(spent.gone)} of its budget of {money(spent.limit)} for the day is spent"
        return Finding(BUDGET_OF_DAY, f"{spent.until:%Y-%m-%d %H:%M}", words, spent.limit, spent.gone, ERROR)
    words = f"the run paused: {money(spent.gone)} of its budget of {money(spent.limit)} is spent"
    return Finding(BUDGET, f"{spent.limit:.6f}", words, spent.limit, spent.gone, ERROR)


async def raise_one(unit: UnitOfWork, run: Run, finding: Finding) -> None:
    """Record an alert, unless the run has it already. It is sent where the pipeline says so, unless an earlier run's
    alert of the same matter was sent there and is not over."""
    row = _row(unit, run, finding.type, finding.subject) | {
        "severity": finding.severity,
        "message": finding.message,
        "details": dict(finding.details) or None,
        "threshold_value": finding.threshold,
        "actual_value": finding.actual,
    }
    before = (await _open(unit.connection, run.pipeline_name)).get(_matter(finding.type, finding.subject))
    if before is not None and before["run_id"] != run.run_id and _was_told(before, row):
        row |= _NOBODY
    if await _enter(unit, row):
        log.warning("alert", run_id=run.run_id, pipeline=run.pipeline_name, alert=finding.message, reported=True)


async def resolve(unit: UnitOfWork, run: Run, found: Iterable[Finding]) -> None:
    """Record that alerts of the pipeline's earlier runs are over, those of matters that this run has not raised. Who
    was told of an alert is told of its end."""
    still = {_matter(each.type, each.subject) for each in found}
    for matter, before in (await _open(unit.connection, run.pipeline_name)).items():
        if matter in still or before["run_id"] == run.run_id or before["alert_type"] in EVENTS:
            continue
        row = _row(unit, run, before["alert_type"], before["subject"]) | {
            "severity": RESOLVED,
            "message": f"over, as this run shows: {before['message']}",
            "details": {"run_id": before["run_id"]},
            "acknowledged": True,
            "acknowledged_at": unit.now,
            "acknowledged_by": "loom",
        }
        await _enter(unit, row if before["notification_channel"] is not None else row | _NOBODY)


_NOBODY = {"notification_channel": None, "notification_url": None, "notification_due": None}
_MOST_ALERTS = 500
"""The newest alerts of a pipeline among which those that are open are looked for."""
_NEWEST = (
    select(monitoring_alerts)
    .where(monitoring_alerts.c.pipeline_name == bindparam("pipeline"))
    .order_by(monitoring_alerts.c.id.desc())
    .limit(_MOST_ALERTS)
)
_OF_RUN = (
    select(monitoring_alerts).where(monitoring_alerts.c.run_id == bindparam("run_id")).order_by(monitoring_alerts.c.id)
)


def _row(unit: UnitOfWork, run: Run, alert_type: str, subject: str) -> dict[str, Any]:
    from loom_common.domain.definition.monitoring import MonitoringConfig  # commands that show alerts raise none

    alert = MonitoringConfig.model_validate(run.definition.get("monitoring") or {}).alerts
    return {
        "pipeline_name": run.pipeline_name,
        "run_id": run.run_id,
        "alert_type": alert_type,
        "subject": subject,
        "triggered_at": unit.now,
        "notification_channel": alert.format if alert else None,
        "notification_url": alert.address if alert else None,
        "notification_due": unit.now if alert else None,
    }


async def _enter(unit: UnitOfWork, row: dict[str, Any]) -> bool:
    """Insert a row, unless the run has one of the same type and subject. Return whether it had none."""
    statement = (
        unit.insert(monitoring_alerts)
        .values(**row)
        .on_conflict_do_nothing(index_elements=["run_id", "alert_type", "subject"])
        .returning(monitoring_alerts.c.id)
    )
    return (await unit.connection.execute(statement)).scalar_one_or_none() is not None


async def _open(connection: AsyncConnection, pipeline: str) -> dict[tuple[str, str], RowMapping]:
    """Return the alerts of a pipeline that are not over, by matter: the newest that somebody was told of, or else the
    newest."""
    rows = await connection.execute(_NEWEST, {"pipeline": pipeline})
    found: dict[tuple[str, str], RowMapping] = {}
    over: set[tuple[str, str]] = set()
    for row in rows.mappings():
        matter = _matter(row["alert_type"], row["subject"])
        if row["severity"] == RESOLVED:
            over.add(matter)
        elif matter not in over and (matter not in found or found[matter]["notification_channel"] is None):
            found[matter] = row
    return found


def _matter(alert_type: str, subject: str) -> tuple[str, str]:
    return alert_type, subject_of(alert_type, subject)


def _was_told(before: RowMapping, row: Mapping[str, Any]) -> bool:
    """Tell whether those who would be told of `row` were told of `before`, or will be."""
    same = all(before[name] == row[name] for name in ("notification_channel", "notification_url"))
    return same and (before["notified_at"] is not None or before["notification_due"] is not None)


async def acknowledge(connection: AsyncConnection, alert_id: int, by: str, now: dt.datetime) -> None:
    """Note who has seen an alert first, and when."""
    new = (monitoring_alerts.c.id == alert_id, monitoring_alerts.c.acknowledged.is_(False))
    values = {"acknowledged": True, "acknowledged_at": now, "acknowledged_by": by}
    await connection.execute(update(monitoring_alerts).where(*new).values(**values))


async def of_run(connection: AsyncConnection, run_id: str) -> list[Alert]:
    """Return a run's alerts, oldest first."""
    rows = await connection.execute(_OF_RUN, {"run_id": run_id})
    return [told(row) for row in rows.mappings()]


def told(row: RowMapping) -> Alert:
    """Return one row of `monitoring_alerts`."""
    return Alert(
        type=row["alert_type"],
        severity=row["severity"],
        message=row["message"],
        threshold=row["threshold_value"],
        actual=row["actual_value"],
        triggered_at=row["triggered_at"].isoformat(),
        sent=None if row["notification_channel"] is None else row["notified_at"] is not None,
        error=row["notification_error"],
    )
