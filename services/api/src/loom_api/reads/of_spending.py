"""Asks what runs cost, which alerts they raised, and who did what."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from loom_api.reads.seen import SeenReads
from loom_common.domain.access import Action, Kind
from loom_common.errors import NotFound
from loom_coordinator.alerts import store
from loom_coordinator.db import audit_log
from loom_coordinator.db.audit_log import Act, AuditLine
from loom_coordinator.queries import (
    alerts,
)
from loom_coordinator.queries.alerts import AlertFilter, AlertLine
from loom_coordinator.queries.costs import paid
from loom_coordinator.queries.costs.spans import CostSpan


class SpendingReads(SeenReads):
    """Asks for costs, alerts and the audit log."""

    async def costs(self, pipeline: str | None, span: str) -> list[CostSpan]:
        """Return what the runs of a pipeline, or of all whose costs may be seen, cost, the newest first."""
        among = await self.visible(Kind.COSTS)
        async with self._engine.connect() as connection:
            return await paid.by_span(connection, pipeline, span, among)

    async def costs_by_pipeline(self) -> list[tuple[str, float]]:
        """Return what the runs of each pipeline cost in USD, the most first."""
        async with self._engine.connect() as connection:
            found = await paid.by_pipeline(connection)
        return [each for each in found if self._viewer.may(Kind.COSTS, Action.READ, each[0])]

    async def pipeline_of_alert(self, alert_id: int) -> str:
        """Return the pipeline of an alert. Raises `NotFound`, also where it may not be seen."""
        async with self._engine.connect() as connection:
            pipeline = (await alerts.find(connection, alert_id)).pipeline_name
        if not self._viewer.may(Kind.ALERTS, Action.READ, pipeline):
            raise NotFound(f"There is no alert {alert_id}.")
        return pipeline

    async def acknowledge(self, alert_id: int, by: str) -> AlertLine:
        """Note that somebody has seen an alert, and that they said so, in one transaction. Raises `NotFound`."""
        pipeline = await self.pipeline_of_alert(alert_id)
        now = _now()
        async with self._engine.begin() as connection:
            await store.acknowledge(connection, alert_id, by, now)
            line = await alerts.find(connection, alert_id)
            act = Act(by, self._viewer.token_name, "acknowledge", f"alerts/{pipeline}", {"alert": alert_id})
            await audit_log.note(connection, act, now, audit_log.DONE, line.run_id)
            return line

    async def alert_page(self, chosen: AlertFilter, limit: int, before: int | None) -> list[AlertLine]:
        """Return a page of the alerts that match, the newest first."""
        chosen = replace(chosen, among=await self.visible(Kind.ALERTS))
        async with self._engine.connect() as connection:
            return await alerts.page(connection, chosen, limit, before)

    async def audit_page(self, user: str | None, limit: int, before: int | None) -> list[AuditLine]:
        """Return a page of what was done, the newest first."""
        async with self._engine.connect() as connection:
            return await audit_log.page(connection, user, limit, before)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
