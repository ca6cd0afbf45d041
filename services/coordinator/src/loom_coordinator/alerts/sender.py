"""Sends alerts to the address their pipeline names. What cannot be sent is tried again, then given up with its reason;
a run never waits for it, and never fails of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import smtplib
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy import bindparam, select, update

from loom_common.config.credentials import Credentials
from loom_common.errors import DependencyUnavailable, LoomError
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock
from loom_common.service.periodic import wait_for_stop
from loom_coordinator.alerts import mail
from loom_coordinator.alerts.messages import DueAlert, as_email, as_json, as_pagerduty, as_slack
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.monitoring import monitoring_alerts
from loom_coordinator.db.tables.runs import pipeline_runs

if TYPE_CHECKING:
    import aiohttp

    from loom_common.domain.definition.monitoring import AlertsConfig


LOOK_SECONDS = 1.0
SEND_SECONDS = 5.0
ATTEMPTS = 5
_AT_ONCE = 20


_FIRST_DUE = (
    select(*(monitoring_alerts.c[field.name] for field in fields(DueAlert)))
    .where(monitoring_alerts.c.notification_due <= bindparam("now"))
    .order_by(monitoring_alerts.c.id)
    .limit(_AT_ONCE)
    .with_for_update(skip_locked=True)
)


class AlertSender:
    """Any number may run side by side: an alert is taken for as long as sending it may last."""

    def __init__(self, outbox: OutboxRelay, credentials: Credentials, clock: Clock) -> None:
        self._outbox = outbox
        self._credentials = credentials
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`, and once more then: the end of a run is when most is told."""
        while not stop.is_set():
            await wait_for_stop(stop, LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        try:
            due = await self._take()
            if due:
                import aiohttp  # in the process that sends an alert

                async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SEND_SECONDS)) as session:
                    await asyncio.gather(*(self._send(session, alerts) for alerts in messages_of(due)))
        except DependencyUnavailable as error:
            log.warning("alerts wait", error=str(error))

    async def _take(self) -> list[DueAlert]:
        """Take alerts to be sent now. Should this process die, they are due again."""
        async with self._outbox.unit() as unit:
            found = await unit.connection.execute(_FIRST_DUE, {"now": unit.now})
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

    async def _send(self, session: aiohttp.ClientSession, alerts: Sequence[DueAlert]) -> None:
        """Send alerts that are one message, and write what came of it."""
        first = alerts[0]
        trouble = None
        try:
            trouble = await self._delivered(session, alerts, await self._receiver(first))
        except LoomError as error:
            trouble = str(error)
        if trouble:
            log.warning("alert not sent", run_id=first.run_id, error=trouble, reported=True)
        async with self._outbox.unit() as unit:
            for alert in alerts:
                await unit.connection.execute(
                    update(monitoring_alerts)
                    .where(monitoring_alerts.c.id == alert.id)
                    .values(**outcome(trouble, alert.notification_attempts + 1, unit.now))
                )

    async def _receiver(self, alert: DueAlert) -> AlertsConfig:
        """Return what the run's definition says of the receiver."""
        from loom_common.domain.definition.monitoring import AlertsConfig

        asked = select(pipeline_runs.c.definition).where(pipeline_runs.c.run_id == alert.run_id)
        async with self._outbox.unit() as unit:
            definition = (await unit.connection.execute(asked)).scalar_one()
        return AlertsConfig.model_validate(definition["monitoring"]["alerts"])

    async def _delivered(
        self, session: aiohttp.ClientSession, alerts: Sequence[DueAlert], receiver: AlertsConfig
    ) -> str | None:
        """Send one message. Return what is wrong where it was not taken. Raises `LoomError` for a credential."""
        import aiohttp

        first = alerts[0]
        fetch = self._credentials.fetch_anew if first.notification_attempts else self._credentials.fetch
        await fetch(*receiver.texts)
        url = self._credentials.expand(first.notification_url, in_url=True)
        try:
            if receiver.format == "email":
                letter = as_email(alerts, str(receiver.sender), receiver.recipients)
                await asyncio.to_thread(mail.send, url, letter, SEND_SECONDS)
                return None
            if receiver.format == "pagerduty":
                message = as_pagerduty(first, self._credentials.expand(str(receiver.routing_key)))
            else:
                message = as_slack(alerts) if receiver.format == "slack" else as_json(first)
            async with session.post(url, json=message) as response:
                if response.status >= 300:
                    return f"{_place(url)} answered HTTP {response.status}"
        except smtplib.SMTPAuthenticationError:
            return f"{_place(url)} refused the name or the password"
        except smtplib.SMTPException as error:
            return f"{_place(url)} did not take the e-mail ({type(error).__name__})"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return f"{_place(url)} cannot be reached ({type(error).__name__})"
        return None


def messages_of(due: Iterable[DueAlert]) -> list[list[DueAlert]]:
    """Group alerts into messages: people read those of one run together, programs each by itself. Pure."""
    groups: dict[tuple[object, ...], list[DueAlert]] = {}
    for each in due:
        together = each.notification_channel in ("slack", "email")
        alone = None if together else each.id
        key = (each.run_id, each.notification_channel, each.notification_url, each.notification_attempts, alone)
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def outcome(trouble: str | None, attempt: int, now: dt.datetime) -> dict[str, Any]:
    """Return what is written of an alert after its `attempt`-th sending. Pure."""
    if trouble is None:
        return {"notified_at": now, "notification_due": None, "notification_error": None}
    again = None if attempt >= ATTEMPTS else now + dt.timedelta(seconds=SEND_SECONDS * 2**attempt)
    return {"notification_due": again, "notification_error": trouble}


def _place(url: str) -> str:
    """Tell where an alert goes, as it may be shown: the path may be the secret."""
    kind = "mail server" if url.startswith("smtp") else "webhook"
    return f"the {kind} at {urlsplit(url).hostname or 'an address that is no URL'}"
