"""Records alerts with the run in one transaction; `webhook.py` sends them later."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import RowMapping, select, update

from loom_common.async_engine import AsyncConnection
from loom_common.contracts.v1 import Alert, BudgetSpent
from loom_coordinator.alerts.rules import ERROR, Finding
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.monitoring import monitoring_alerts
from loom_coordinator.db.unit_of_work import UnitOfWork


def budget_exhausted(spent: BudgetSpent) -> Finding:
    """Return the alert of a run that paused for want of money. A larger budget that is spent too is another one."""
    words = f"the run paused: ${spent.gone:.4f} of its budget of ${spent.limit:.4f} is spent"
    return Finding("budget_exhausted", f"{spent.limit:.6f}", words, spent.limit, spent.gone, ERROR)


async def raise_one(unit: UnitOfWork, run: Run, finding: Finding) -> None:
    """Record an alert, unless the run has it already; it is sent where the pipeline says so."""
    from loom_common.domain.definition.monitoring import MonitoringConfig  # commands that show alerts raise none

    alert = MonitoringConfig.model_validate(run.definition.get("monitoring") or {}).alerts
    row = {
        "pipeline_name": run.pipeline_name,
        "run_id": run.run_id,
        "alert_type": finding.type,
        "subject": finding.subject,
        "severity": finding.severity,
        "message": finding.message,
        "details": dict(finding.details) or None,
        "threshold_value": finding.threshold,
        "actual_value": finding.actual,
        "triggered_at": unit.now,
        "notification_channel": alert.format if alert else None,
        "notification_url": alert.webhook if alert else None,
        "notification_due": unit.now if alert else None,
    }
    statement = (
        unit.insert(monitoring_alerts)
        .values(**row)
        .on_conflict_do_nothing(index_elements=["run_id", "alert_type", "subject"])
        .returning(monitoring_alerts.c.id)
    )
    if (await unit.connection.execute(statement)).scalar_one_or_none() is not None:
        import structlog  # `loom status` reads alerts, and raises none

        structlog.get_logger().warning(
            "alert", run_id=run.run_id, pipeline=run.pipeline_name, alert=finding.message, reported=True
        )


async def acknowledge(connection: AsyncConnection, alert_id: int, by: str, now: dt.datetime) -> None:
    """Note who has seen an alert first, and when."""
    new = (monitoring_alerts.c.id == alert_id, monitoring_alerts.c.acknowledged.is_(False))
    values = {"acknowledged": True, "acknowledged_at": now, "acknowledged_by": by}
    await connection.execute(update(monitoring_alerts).where(*new).values(**values))


async def of_run(connection: AsyncConnection, run_id: str) -> list[Alert]:
    """Return a run's alerts, oldest first."""
    rows = await connection.execute(
        select(monitoring_alerts).where(monitoring_alerts.c.run_id == run_id).order_by(monitoring_alerts.c.id)
    )
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
