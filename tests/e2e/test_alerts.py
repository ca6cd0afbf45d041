"""Tests what people are told of a run that is out of the ordinary."""

from __future__ import annotations

from typing import Any

import pytest

from loom.session import open_session
from support.clients import ended, report_of, request_of
from support.places import table, until
from support.projects import ai, project
from support.webhooks import webhook

LENGTH = {"type": "length", "name": "labelled", "field": "mood", "min": 1, "threshold": 1.0}


async def test_alerts_are_recorded_and_sent_and_one_that_cannot_be_sent_fails_nothing(
    here, tmp_path, model, monkeypatch
):
    config = here.config
    asking = ai(model.base_url, cache={"enabled": False})  # an answer that is known already took no time
    made = project(tmp_path, 40, transform=asking, evaluate={"evaluators": [{**LENGTH, "min": 4}]})
    watched = {"latency_sla": {"p95": 0.000001}, "quality_threshold": {"min_score": 1.0}}
    async with webhook() as (url, sent), webhook(500) as (broken, refused):
        for address, form in ((url, "json"), (url, "slack"), (broken, "json")):
            monkeypatch.setenv("ALERTS", address)
            made.say(monitoring={**watched, "alerts": {"webhook": "${ALERTS}", "format": form}})
            async with open_session(config, cluster=False) as session:
                accepted = await session.start(request_of(made, config))
                finished = await ended(session, accepted.run_id)
            assert finished.report.status == "succeeded"
            alerts = (await report_of(config, accepted.run_id))["alerts"]
            assert {alert["type"] for alert in alerts} >= {"latency_sla"}
            assert {alert["sent"] for alert in alerts} == {address == url}
    assert {each["type"] for each in sent if "type" in each} >= {"latency_sla"}
    assert any(each["text"].startswith("Loom: reviews (run_") for each in sent if "text" in each)
    assert refused
    assert all("HTTP 500" in alert["error"] and "/hook" not in alert["error"] for alert in alerts)
    rows = await table(here, "SELECT * FROM monitoring_alerts")
    assert all(row["notification_url"] == "${ALERTS}" for row in rows)


async def test_a_run_is_held_against_the_pipelines_own_history(here, model):
    """Make three runs as usual, then one that costs three times as much and scores lower."""
    made = project(here.folder, 30)
    asking = ai(model.base_url, prompt="{{ input.id }}?", output={"words": "string"}, cache={"enabled": False})
    watched = {"cost_spike": 2.0, "score_degradation": 0.2}

    async def run(price: float, least: int) -> dict[str, Any]:
        judged = {"evaluators": [{"type": "length", "name": "long", "field": "words", "min": least, "threshold": 0.5}]}
        prices = {"gpt-4o-mini": {"input": price, "output": price}}
        made.say(transform=asking, evaluate=judged, monitoring=watched, prices=prices)
        async with open_session(here.config, cluster=False) as session:
            return (
                await ended(session, (await session.start(request_of(made, here.config))).run_id)
            ).report.model_dump()

    usual = [await run(1.0, least=1) for _ in range(3)]
    assert [each["alerts"] for each in usual] == [()] * 3
    told = await run(3.0, least=1000)
    assert told["cost"]["total"] == pytest.approx(3 * usual[0]["cost"]["total"])
    assert {(alert["type"], alert["sent"]) for alert in told["alerts"]} == {
        ("cost_spike", None), ("score_degradation", None),
    }  # fmt: skip


async def test_an_alert_is_raised_while_the_run_goes(here, model, monkeypatch):
    monkeypatch.setenv("LOOM_MODELS_CONCURRENCY", "8")
    model.latency = 0.3
    model.hold_after(64)
    made = project(here.folder, 80, transform=ai(model.base_url), extract={"batch_size": 8})
    made.say(monitoring={"latency_sla": {"p50": 0.1}})
    async with open_session(here.config, cluster=False) as session:
        accepted = await session.start(request_of(made, here.config))

        async def alerts() -> int:
            return len(await table(here, "SELECT * FROM monitoring_alerts"))

        await until(alerts, 1)
        report = await report_of(here.config, accepted.run_id)
        assert (report["status"], len(report["alerts"])) == ("running", 1)
        await session.cancel(accepted.run_id)
        model.let_go()
