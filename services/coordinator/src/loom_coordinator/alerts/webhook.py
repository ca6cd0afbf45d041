"""Sends alerts to the address their pipeline names. What cannot be sent is tried again, then given up with its reason;
a run never waits for it, and never fails of it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog
from sqlalchemy import RowMapping, select, update

from loom_common.config.credentials import Credentials
from loom_common.errors import DependencyUnavailable, LoomError
from loom_common.ports.clock import Clock
from loom_common.service.periodic import every
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.monitoring import monitoring_alerts

log = structlog.get_logger()

LOOK_SECONDS = 1.0
SEND_SECONDS = 5.0
ATTEMPTS = 5
_AT_ONCE = 20


class WebhookSender:
    """Any number may run side by side: an alert is taken for as long as sending it may last."""

    def __init__(self, outbox: OutboxRelay, credentials: Credentials, clock: Clock) -> None:
        self._outbox = outbox
        self._credentials = credentials
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`, and once more: the end of a run is when most is told."""
        async for _ in every(LOOK_SECONDS, stop):
            await self._look()
        await self._look()

    async def _look(self) -> None:
        try:
            due = await self._take()
            if due:
                async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SEND_SECONDS)) as session:
                    await asyncio.gather(*(self._send(session, row) for row in due))
        except DependencyUnavailable as error:
            log.warning("alerts wait", error=str(error))

    async def _take(self) -> list[RowMapping]:
        """Take alerts to be sent now. Should this process die, they are due again."""
        async with self._outbox.unit() as unit:
            rows = (
                (
                    await unit.connection.execute(
                        select(monitoring_alerts)
                        .where(monitoring_alerts.c.notification_due <= unit.now)
                        .order_by(monitoring_alerts.c.id)
                        .limit(_AT_ONCE)
                        .with_for_update(skip_locked=True)
                    )
                )
                .mappings()
                .all()
            )
            if rows:
                await unit.connection.execute(
                    update(monitoring_alerts)
                    .where(monitoring_alerts.c.id.in_([row["id"] for row in rows]))
                    .values(
                        notification_due=unit.now + dt.timedelta(seconds=4 * SEND_SECONDS),
                        notification_attempts=monitoring_alerts.c.notification_attempts + 1,
                    )
                )
        return list(rows)

    async def _send(self, session: aiohttp.ClientSession, row: RowMapping) -> None:
        trouble = None
        try:
            url = self._credentials.expand(row["notification_url"], in_url=True)
            async with session.post(url, json=body(row)) as response:
                if response.status >= 300:
                    trouble = f"{_place(url)} answered HTTP {response.status}"
        except LoomError as error:
            trouble = str(error)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            trouble = f"{_place(url)} cannot be reached ({type(error).__name__})"
        if trouble:
            log.warning("alert not sent", run_id=row["run_id"], error=trouble, reported=True)
        attempt = row["notification_attempts"] + 1
        async with self._outbox.unit() as unit:
            await unit.connection.execute(
                update(monitoring_alerts)
                .where(monitoring_alerts.c.id == row["id"])
                .values(**outcome(trouble, attempt, unit.now))
            )


def outcome(trouble: str | None, attempt: int, now: dt.datetime) -> dict[str, Any]:
    """Return what is written of an alert after its `attempt`-th sending. Pure."""
    if trouble is None:
        return {"notified_at": now, "notification_due": None, "notification_error": None}
    again = None if attempt >= ATTEMPTS else now + dt.timedelta(seconds=SEND_SECONDS * 2**attempt)
    return {"notification_due": again, "notification_error": trouble}


def body(row: Mapping[str, Any] | RowMapping) -> dict[str, Any]:
    """Return the alert as its receiver takes it. Pure."""
    text = f"Loom: {row['pipeline_name']} ({row['run_id']}): {row['message']}"
    if row["notification_channel"] == "slack":
        return {"text": text}
    return {
        "pipeline": row["pipeline_name"],
        "run_id": row["run_id"],
        "type": row["alert_type"],
        "subject": row["subject"],
        "severity": row["severity"],
        "message": row["message"],
        "threshold": row["threshold_value"],
        "actual": row["actual_value"],
        "details": row["details"] or {},
        "triggered_at": row["triggered_at"].isoformat(),
    }


def _place(url: str) -> str:
    """Tell where an alert goes, as it may be shown: the path may be the secret."""
    return f"the webhook at {urlsplit(url).hostname or 'an address that is no URL'}"
