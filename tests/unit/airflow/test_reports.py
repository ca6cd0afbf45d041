"""Tests what a task of Airflow makes of the report of its run."""

import pytest

from loom_airflow.reports import NotToBeRetried, RunFailed, progress, result_of


def report(status, **more):
    records = {"extracted": 200, "passed": 184, "loaded": 184, "rejected": 16}
    return {"run_id": "run_1", "status": status, "error": None, "records": records, "cost": {"total": 0.25}, **more}


TOLD = {"run_id": "run_1", "records_processed": 200, "records_validated": 184, "cost_total": 0.25}


def test_xcom_has_what_a_run_came_to():
    assert result_of(report("succeeded"), fail_on_quality_gate=True) == {**TOLD, "status": "succeeded"}


def test_a_run_below_its_quality_fails_its_task_for_good_unless_that_was_switched_off():
    below = report("partial", error="Batch quality below threshold: 92.0% < 95.0%")
    with pytest.raises(NotToBeRetried, match=r"quality gate failed: 8.0% rejected\. Batch quality below .* run_1"):
        result_of(below, fail_on_quality_gate=True)
    assert result_of(below, fail_on_quality_gate=False) == {**TOLD, "status": "partial"}


def test_a_run_that_read_nothing_has_no_share():
    nothing = report("partial", records={"extracted": 0, "passed": 0, "loaded": 0, "rejected": 0})
    with pytest.raises(NotToBeRetried, match="no record read"):
        result_of(nothing, fail_on_quality_gate=True)


@pytest.mark.parametrize(
    ("status", "more", "words"),
    [
        ("failed", {"error": "The table is gone."}, "Pipeline failed: The table is gone"),
        ("paused", {"notice": "The budget of $5 is spent."}, "is paused. The budget of .5 is spent. The next try"),
        ("interrupted", {}, "is interrupted. The next try of the task goes on with it"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_what_a_retry_goes_on_with_fails_the_try_alone(status, more, words, strict):
    with pytest.raises(RunFailed, match=words) as raised:
        result_of(report(status, **more), fail_on_quality_gate=strict)
    assert not isinstance(raised.value, NotToBeRetried)


def test_a_run_that_somebody_cancelled_is_not_tried_again():
    with pytest.raises(NotToBeRetried, match=r"was cancelled\. Clear the task"):
        result_of(report("cancelled"), fail_on_quality_gate=False)


def test_progress_is_a_line():
    assert progress(report("running")) == "run_1 running: 200 records read, 184 loaded, $0.2500"
