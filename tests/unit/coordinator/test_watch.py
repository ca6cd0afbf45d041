from __future__ import annotations

import datetime as dt

import pytest

from loom_common.contracts.v1 import StageCalls
from loom_common.domain.definition.monitoring import MonitoringConfig
from loom_common.domain.run.calls import Calls
from loom_common.flow import Stage
from loom_coordinator.accounting import estimates
from loom_coordinator.accounting.batch import Batch, BatchUsage
from loom_coordinator.alerts import messages, sender
from loom_coordinator.alerts.rules import Figures, findings

CALL = Calls(purpose="transform", provider="openai", model="m", made=1, cost=0.5)


def figures(cost: float = 0.01, p95: float = 1.0, **scores: float) -> Figures:
    return Figures(100, cost, {"p50": 0.5, "p95": p95, "p99": None}, scores or {"fit": 0.9})


HISTORY = [figures(0.01, fit=0.9), figures(0.012, fit=0.92), figures(0.011, fit=0.88)]


@pytest.mark.parametrize(
    ("config", "now", "history", "found"),
    [
        ({"quality_threshold": {"min_score": 0.7}}, figures(fit=0.7), [], []),
        ({"quality_threshold": {"min_score": 0.7}}, figures(fit=0.69, tone=0.8), [], [("quality_threshold", "fit")]),
        ({"latency_sla": {"p95": 1.0, "p99": 1.0}}, figures(p95=1.0), [], []),
        ({"latency_sla": {"p95": 1.0, "p99": 1.0}}, figures(p95=1.01), [], [("latency_sla", "p95")]),
        ({"cost_spike": 2.0}, figures(0.0221), HISTORY, [("cost_spike", "run")]),
        ({"cost_spike": 2.0}, figures(0.0219), HISTORY, []),
        ({"cost_spike": 2.0}, figures(9.9), HISTORY[:2], []),  # two runs are no history
        ({"cost_spike": {"factor": 2.0, "least": 1}}, figures(9.9), [figures(0.0)], []),  # it was free before
        ({"cost_spike": {"factor": 1.5, "runs": 1, "least": 1}}, figures(0.016), HISTORY, [("cost_spike", "run")]),
        ({"score_degradation": 0.1}, figures(fit=0.79), HISTORY, [("score_degradation", "fit")]),
        ({"score_degradation": 0.1}, figures(fit=0.81), HISTORY, []),
        ({"score_degradation": 0.1}, figures(new=0.1), HISTORY, []),  # an evaluator without a past
        ({}, figures(9.9, 9.9, fit=0.0), HISTORY, []),
    ],
)
def test_what_stands_out_is_found(config, now, history, found):
    seen = findings(MonitoringConfig.model_validate(config), now, history)
    assert [(each.type, each.subject) for each in seen] == found


def test_a_finding_says_what_was_found_and_what_is_demanded():
    [found] = findings(MonitoringConfig.model_validate({"cost_spike": 2.0}), figures(0.044), HISTORY)
    assert "4.0 times the $0.011000 of the last 3 runs" in found.message
    assert (found.actual, found.threshold) == (0.044, pytest.approx(0.022))


def test_a_stages_bill_is_booked_once_whatever_the_order_of_words():
    batch = Batch("run", "batch")
    some, more, all_of_it = (
        BatchUsage((CALL,)),
        BatchUsage((CALL + CALL,)),
        BatchUsage((CALL + CALL + CALL,), whole=True),
    )
    assert batch.pay(Stage.TRANSFORM, some)[0].made == 1
    assert batch.pay(Stage.TRANSFORM, more)[0].made == 1
    assert batch.pay(Stage.TRANSFORM, some) == ()  # an older word comes late
    assert batch.pay(Stage.TRANSFORM, all_of_it)[0].made == 1
    assert batch.pay(Stage.TRANSFORM, more) == ()
    assert batch.pay(Stage.TRANSFORM, all_of_it) == ()
    assert batch.pay(Stage.EVALUATE, some)[0].made == 1
    assert [batch.amounts[name] for name in ("calls_made", "cost_transform", "cost_evaluate")] == [4, 1.5, 0.5]
    assert BatchUsage.of_json(more.as_json()) == more


@pytest.mark.parametrize(
    ("spent", "records", "error"),
    [
        ([], 100, None),  # nothing was paid for: the answers were there
        ([("transform", 100, 0, 1.0)], 100, 0.0),
        ([("transform", 100, 0, 1.5)], 100, 0.5),
        ([("transform", 50, 0, 0.4)], 50, -0.2),  # half of the records, and a fifth cheaper
        ([("transform", 50, 50, 0.5)], 100, 0.0),  # half of the answers were there
    ],
)
def test_an_estimate_is_held_against_what_was_paid_for(spent, records, error):
    calls = [
        StageCalls(stage=stage, purpose=stage, provider="p", model="m", made=made, reused=reused, cost=cost)
        for stage, made, reused, cost in spent
    ]
    compared = estimates.compared({"cost": 1.0, "records": 100}, calls, records)
    assert compared.get("error") == (None if error is None else pytest.approx(error))


def test_an_alert_that_cannot_be_sent_is_tried_again_and_then_given_up_with_its_reason():
    now = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    assert sender.outcome(None, 1, now)["notified_at"] == now
    assert sender.outcome("HTTP 500", 1, now)["notification_due"] > now
    given_up = sender.outcome("HTTP 500", sender.ATTEMPTS, now)
    assert given_up == {"notification_due": None, "notification_error": "HTTP 500"}


def test_an_alert_is_worded_for_its_receiver():
    at = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    due = messages.DueAlert(
        1, "p", "run_1", "latency_sla", "p95", "warning", "too slow", 1.0, 2.0, None, at, None, "https://h/x", 0
    )
    assert messages.as_json(due) == {
        "pipeline": "p",
        "run_id": "run_1",
        "type": "latency_sla",
        "subject": "p95",
        "severity": "warning",
        "status": "open",
        "message": "too slow",
        "threshold": 1.0,
        "actual": 2.0,
        "details": {},
        "triggered_at": "2026-01-02T00:00:00+00:00",
    }
    assert messages.as_slack([due]) == {"text": "Loom: p (run_1): too slow"}
