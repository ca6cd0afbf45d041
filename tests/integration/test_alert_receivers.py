"""Sends alerts to every kind of receiver, each a server of this machine: grouped, once for a matter, and their end."""

from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.monitoring import PAGERDUTY, AlertsConfig
from loom_coordinator.alerts import store
from loom_coordinator.alerts.rules import Finding
from loom_coordinator.alerts.sender import AlertSender
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.monitoring import monitoring_alerts
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade
from support.run_rows import DEFINITION, NOW, add_run, begun_run
from support.webhooks import webhook

SLOW = Finding("latency_sla", "p95", "p95 is <5 s> & more", 1.0, 5.0)
LOW = Finding("quality_threshold", "fit", "fit is low", 0.7, 0.5, "error")


class Clock:
    def now(self):
        return NOW

    def monotonic(self) -> float:
        return 0.0


class Place:
    """Runs of one pipeline, whose alerts go to one receiver."""

    def __init__(self, outbox: OutboxRelay, alerts: dict[str, Any]) -> None:
        self._outbox = outbox
        self._definition = {**DEFINITION, "monitoring": {"alerts": alerts}}
        self._sender = AlertSender(outbox, Credentials(), Clock())  # type: ignore[arg-type]  # it only tells the time

    async def run(self, name: str, *found: Finding) -> None:
        """Raise alerts in a run, and what is over at its end."""
        async with self._outbox.unit() as unit:
            run = await add_run(unit, run_id=name, definition=self._definition)
            for finding in found:
                await store.raise_one(unit, run, finding)
            await store.resolve(unit, run, found)

    async def send(self) -> list[Any]:
        """Send what is due, and return for each alert whether it was sent, with the trouble."""
        await self._sender._look()
        async with self._outbox.unit() as unit:
            return await rows(unit)


async def rows(unit: UnitOfWork) -> list[Any]:
    column = monitoring_alerts.c
    found = await unit.connection.execute(
        select(column.run_id, column.severity, column.notified_at, column.notification_error).order_by(column.id)
    )
    return [(run, severity, at is not None, error) for run, severity, at, error in found]


@pytest.fixture
async def outbox(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/state.db")
    await upgrade(engine)
    async with begun_run(engine):
        pass
    yield OutboxRelay(engine, None, Clock(), None)  # type: ignore[arg-type]  # nothing is relayed
    await engine.dispose()


@asynccontextmanager
async def mail_server(*, password: str) -> AsyncIterator[tuple[int, list[Message]]]:
    """Provide a server that takes e-mails from who has the password: its port, and what it was sent."""
    sent: list[Message] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(*lines: str) -> None:
            writer.write("".join(f"{line}\r\n" for line in lines).encode())

        say("220 test")
        while line := (await reader.readline()).decode():
            verb = line.split(maxsplit=1)[0].upper()
            if verb == "EHLO":
                say("250-test", "250 AUTH PLAIN")
            elif verb == "AUTH":
                import base64

                given = base64.b64decode(line.split()[2]).split(b"\0")[2].decode()
                say("235 yes" if given == password else "535 no")
            elif verb == "DATA":
                say("354 go on")
                lines = []
                while (part := await reader.readline()) != b".\r\n":
                    lines.append(part)
                sent.append(email.message_from_bytes(b"".join(lines)))
                say("250 taken")
            elif verb == "QUIT":
                say("221 bye")
                break
            else:
                say("250 fine")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], sent
    finally:
        server.close()


async def test_a_webhook_gets_each_alert_once_and_its_end(outbox, monkeypatch):
    async with webhook() as (url, sent):
        monkeypatch.setenv("HOOK", url)
        place = Place(outbox, {"webhook": "${HOOK}"})
        await place.run("run_2", SLOW, LOW)
        await place.send()
        assert [(each["type"], each["status"]) for each in sent] == [
            ("latency_sla", "open"), ("quality_threshold", "open"),
        ]  # fmt: skip
        await place.run("run_3", SLOW, LOW)  # nothing is new
        await place.send()
        assert len(sent) == 2
        await place.run("run_4", SLOW)
        await place.send()
        assert [(each["type"], each["status"], each["run_id"]) for each in sent[2:]] == [
            ("quality_threshold", "resolved", "run_4")
        ]
        await place.run("run_5", SLOW, LOW)  # it is back
        told = await place.send()
        assert [(each["type"], each["status"]) for each in sent[3:]] == [("quality_threshold", "open")]
        assert [(sent_it, error) for run, _, sent_it, error in told if run == "run_3"] == [(False, None)] * 2
        await place.run("run_6")
        await place.run("run_7")  # an end is told once
        await place.send()
        assert sorted((each["type"], each["status"]) for each in sent[4:]) == [
            ("latency_sla", "resolved"), ("quality_threshold", "resolved"),
        ]  # fmt: skip


async def test_slack_gets_the_alerts_of_a_run_as_one_message_without_markup(outbox, monkeypatch):
    async with webhook() as (url, sent):
        monkeypatch.setenv("HOOK", url)
        place = Place(outbox, {"webhook": "${HOOK}", "format": "slack"})
        await place.run("run_2", SLOW, LOW)
        await place.send()
    assert sent == [{"text": "Loom: p (run_2): p95 is &lt;5 s&gt; &amp; more\nLoom: p (run_2): fit is low"}]


async def test_pagerduty_gets_an_event_for_each_matter_and_ends_its_incident(outbox, monkeypatch):
    async with webhook(202) as (url, sent):
        monkeypatch.setenv("HOOK", url)
        monkeypatch.setenv("PAGERDUTY_KEY", "r0uting")
        place = Place(outbox, {"webhook": "${HOOK}", "format": "pagerduty", "routing_key": "${PAGERDUTY_KEY}"})
        await place.run("run_2", LOW)
        await place.send()
        await place.run("run_3")
        await place.send()
    begun, over = sent
    assert (begun["routing_key"], begun["event_action"], over["event_action"]) == ("r0uting", "trigger", "resolve")
    assert begun["dedup_key"] == over["dedup_key"] == "loom/p/quality_threshold/fit"
    payload = begun["payload"]
    assert (payload["summary"], payload["severity"]) == ("Loom: p (run_2): fit is low", "error")
    assert (payload["source"], payload["component"], payload["class"]) == ("loom", "p", "quality_threshold")


async def test_people_get_an_email_about_the_alerts_of_a_run(outbox, monkeypatch):
    monkeypatch.setenv("SMTP_PASSWORD", "p@ss/word")
    async with mail_server(password="p@ss/word") as (port, sent):
        server = f"smtp://loom:${{SMTP_PASSWORD}}@127.0.0.1:{port}"
        receiver = {
            "format": "email",
            "server": server,
            "sender": "loom@h.test",
            "recipients": ["a@h.test", "b@h.test"],
        }
        place = Place(outbox, receiver)
        await place.run("run_2", SLOW, LOW)
        told = await place.send()
    assert [sent_it for _, _, sent_it, _ in told] == [True, True]
    [mail] = sent
    assert (mail["To"], mail["From"]) == ("a@h.test, b@h.test", "loom@h.test")
    assert mail["Subject"] == "Alert: p: latency_sla and 1 more"
    assert "fit is low" in str(mail.get_payload(decode=True))


async def test_what_a_receiver_does_not_take_is_kept_with_a_reason_that_holds_no_secret(outbox, monkeypatch):
    monkeypatch.setenv("SMTP_PASSWORD", "wrong-one")
    async with mail_server(password="right-one") as (port, sent), webhook(400) as (url, _):
        server = f"smtp://loom:${{SMTP_PASSWORD}}@127.0.0.1:{port}"
        place = Place(outbox, {"format": "email", "server": server, "sender": "l@h.test", "recipients": ["a@h.test"]})
        await place.run("run_2", LOW)
        monkeypatch.setenv("HOOK", url)
        monkeypatch.setenv("PAGERDUTY_KEY", "r0uting")
        hook = Place(outbox, {"webhook": "${HOOK}", "format": "pagerduty", "routing_key": "${PAGERDUTY_KEY}"})
        await hook.run("run_3", SLOW, LOW)
        told = await place.send()
    errors = sorted({error for _, _, _, error in told if error})
    assert errors == [
        "the mail server at 127.0.0.1 refused the name or the password", "the webhook at 127.0.0.1 answered HTTP 400",
    ]  # fmt: skip
    assert sent == []


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"format": "slack"},
        {"format": "slack", "webhook": "https://hooks.slack.com/services/T/B/x"},
        {"format": "pagerduty"},
        {"format": "pagerduty", "routing_key": "in-clear-text"},
        {"format": "email", "server": "smtp://h", "sender": "a@h"},
        {"format": "email", "server": "http://h", "sender": "a@h", "recipients": ["b@h"]},
        {"format": "email", "server": "smtps://u:secret@h", "sender": "a@h", "recipients": ["b@h"]},
        {"format": "email", "server": "smtps://h", "sender": "a@h\nBcc: c@h", "recipients": ["b@h"]},
    ],
)
def test_a_receiver_that_lacks_a_key_or_shows_a_secret_is_refused(written):
    with pytest.raises(ValidationError):
        AlertsConfig.model_validate(written)


def test_pagerduty_has_an_address_of_its_own():
    said = AlertsConfig.model_validate({"format": "pagerduty", "routing_key": "${KEY}"})
    assert (said.address, said.texts) == (PAGERDUTY, [PAGERDUTY, "${KEY}"])
