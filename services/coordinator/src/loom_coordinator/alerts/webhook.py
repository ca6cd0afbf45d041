"""Sends alerts to the address their pipeline names. What cannot be sent is tried again, then given up with its reason;
a run never waits for it, and never fails of it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog
from sqlalchemy import select, update

from loom_common.config.credentials import Credentials
from loom_common.errors import DependencyUnavailable, LoomError
from loom_common.ports.clock import Clock
from loom_common.service.periodic import every
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.monitoring import monitoring_alerts

if TYPE_CHECKING:
    import aiohttp

log = structlog.get_logger()

LOOK_SECONDS = 1.0
SEND_SECONDS = 5.0
ATTEMPTS = 5
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class DueAlert:
    """Holds an alert that is to be sent, by the columns of `monitoring_alerts`."""

    id: int
    pipeline_name: str
    run_id: str
    alert_type: str
    subject: str
    severity: str
    message: str
    threshold_value: float | None
    actual_value: float | None
    details: Mapping[str, Any] | None
    triggered_at: dt.datetime
    notification_channel: str | None
    notification_url: str
    notification_attempts: int
    """The number of times that it was sent before."""


_DUE = tuple(monitoring_alerts.c[field.name] for field in fields(DueAlert))


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
                import aiohttp  # in the process that sends an alert

                async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SEND_SECONDS)) as session:
                    await asyncio.gather(*(self._send(session, alert) for alert in due))
        except DependencyUnavailable as error:
            log.warning("alerts wait", error=str(error))

    async def _take(self) -> list[DueAlert]:
        """Take alerts to be sent now. Should this process die, they are due again."""
        async with self._outbox.unit() as unit:
            found = await unit.connection.execute(
                select(*_DUE)
                .where(monitoring_alerts.c.notification_due <= unit.now)
                .order_by(monitoring_alerts.c.id)
                .limit(_AT_ONCE)
                .with_for_update(skip_locked=True)
            )
            due = [DueAlert(*row) for row in found]
            if due:
                await unit.connection.execute(
                    update(monitoring_alerts)
                    .where(monitoring_alerts.c.id.in_([each.id for each in due]))
                    .values(
                        notification_due=unit.now + dt.timedelta(seconds=4 * SEND_SECONDS),
                        notification_attempts=monitoring_alerts.c.notification_attempts + 1,
                    )
                )
        return due

    async def _send(self, session: aiohttp.ClientSession, alert: DueAlert) -> None:
        import aiohttp

        trouble = None
        try:
            fetch = self._credentials.fetch_anew if alert.notification_attempts else self._credentials.fetch
            await fetch(alert.notification_url)
            url = self._credentials.expand(alert.notification_url, in_url=True)
            async with session.post(url, json=body(alert)) as response:
                if response.status >= 300:
                    trouble = f"{_place(url)} answered HTTP {response.status}"
        except LoomError as error:
            trouble = str(error)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            trouble = f"{_place(url)} cannot be reached ({type(error).__name__})"
        if trouble:
            log.warning("alert not sent", run_id=alert.run_id, error=trouble, reported=True)
        attempt = alert.notification_attempts + 1
        async with self._outbox.unit() as unit:
            await unit.connection.execute(
                update(monitoring_alerts)
                .where(monitoring_alerts.c.id == alert.id)
                .values(**outcome(trouble, attempt, unit.now))
            )


def outcome(trouble: str | None, attempt: int, now: dt.datetime) -> dict[str, Any]:
    """Return what is written of an alert after its `attempt`-th sending. Pure."""
    if trouble is None:
        return {"notified_at": now, "notification_due": None, "notification_error": None}
    again = None if attempt >= ATTEMPTS else now + dt.timedelta(seconds=SEND_SECONDS * 2**attempt)
    return {"notification_due": again, "notification_error": trouble}


def body(alert: DueAlert) -> dict[str, Any]:
    """Return the alert as its receiver takes it. Pure."""
    text = f"Loom: {alert.pipeline_name} ({alert.run_id}): {alert.message}"
    if alert.notification_channel == "slack":
        return {"text": text}
    return {
        "pipeline": alert.pipeline_name,
        "run_id": alert.run_id,
        "type": alert.alert_type,
        "subject": alert.subject,
        "severity": alert.severity,
        "message": alert.message,
        "threshold": alert.threshold_value,
        "actual": alert.actual_value,
        "details": alert.details or {},
        "triggered_at": alert.triggered_at.isoformat(),
    }


def _place(url: str) -> str:
    """Tell where an alert goes, as it may be shown: the path may be the secret."""
    return f"the webhook at {urlsplit(url).hostname or 'an address that is no URL'}"
