"""Words alerts as each kind of receiver takes them. Pure."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from loom_coordinator.alerts.rules import ERROR, RESOLVED, subject_of

_MOST_CHARACTERS = 1024
"""PagerDuty refuses a longer summary."""
_LONGEST_KEY = 255


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

    @property
    def is_over(self) -> bool:
        """Tell whether it says that an earlier alert is over."""
        return self.severity == RESOLVED


def text(alert: DueAlert) -> str:
    """Return the alert as one line."""
    return f"Loom: {alert.pipeline_name} ({alert.run_id}): {alert.message}"


def as_json(alert: DueAlert) -> dict[str, Any]:
    """Return the alert as an object, for any webhook."""
    return {
        "pipeline": alert.pipeline_name,
        "run_id": alert.run_id,
        "type": alert.alert_type,
        "subject": alert.subject,
        "severity": alert.severity,
        "status": "resolved" if alert.is_over else "open",
        "message": alert.message,
        "threshold": alert.threshold_value,
        "actual": alert.actual_value,
        "details": alert.details or {},
        "triggered_at": alert.triggered_at.isoformat(),
    }


def as_slack(alerts: Sequence[DueAlert]) -> dict[str, Any]:
    """Return the alerts of one run as a message of Slack, in which nothing of an alert is markup."""
    lines = (text(each).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for each in alerts)
    return {"text": "\n".join(lines)}


def as_pagerduty(alert: DueAlert, routing_key: str) -> dict[str, Any]:
    """Return the alert as an event of PagerDuty's Events API v2. Events of the same matter have the same key, by which
    PagerDuty joins them, and ends the incident where one says that it is over."""
    return {
        "routing_key": routing_key,
        "event_action": "resolve" if alert.is_over else "trigger",
        "dedup_key": matter(alert),
        "payload": {
            "summary": text(alert)[:_MOST_CHARACTERS],
            "source": "loom",
            "severity": "error" if alert.severity == ERROR else "warning",
            "timestamp": alert.triggered_at.isoformat(),
            "component": alert.pipeline_name,
            "group": alert.run_id,
            "class": alert.alert_type,
            "custom_details": as_json(alert),
        },
    }


def matter(alert: DueAlert) -> str:
    """Return what the alert is about, whatever run raised it."""
    subject = subject_of(alert.alert_type, alert.subject)
    key = f"loom/{alert.pipeline_name}/{alert.alert_type}/{subject}"
    return key if len(key) <= _LONGEST_KEY else f"loom/{hashlib.sha256(key.encode()).hexdigest()}"


def as_email(alerts: Sequence[DueAlert], sender: str, recipients: Sequence[str]) -> EmailMessage:
    """Return the alerts of one run as an e-mail. The messages about one matter are a thread."""
    first = alerts[0]
    mail = EmailMessage()
    over = all(each.is_over for each in alerts)
    more = f" and {len(alerts) - 1} more" if len(alerts) > 1 else ""
    subject = f"{'Over' if over else 'Alert'}: {first.pipeline_name}: {first.alert_type}{more}"
    mail["Subject"] = " ".join(subject.split())  # a line break would begin another header
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join(text(each) for each in alerts) + f"\n\nloom status {first.run_id}\n")
    return mail
