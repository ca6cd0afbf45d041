"""Tests limits on failures and on the ends of records, and the reasons that a report groups."""

from __future__ import annotations

import asyncio

import pytest

from loom.session import open_session
from loom_coordinator.db import run_rows
from loom_dev.waiting import within
from loom_quarantine.db import store
from support.books import assert_balanced
from support.clients import ended, request_of
from support.failing_projects import CODE, judged_by
from support.projects import project, python


def test_half_of_the_records_failing_ends_a_run_by_default_and_a_pipeline_may_say_otherwise(tmp_path, run, slowly):
    records = 2000  # more than a run has under way at once
    made = project(tmp_path, records, transform=python("transforms:misspelt"), code=CODE, extract={"batch_size": 10})
    end = run()
    assert (end.code, end.report["status"], end.report["reason"]) == (1, "failed", "failure_limit"), end.err
    assert "max_failure_rate is 50.0%" in end.report["error"]
    assert end.report["records"]["quarantined"] < records
    assert_balanced(end.report)
    made.say(transform={**python("transforms:misspelt"), "max_failure_rate": None})
    end = run()
    assert end.report["error"] == "Nothing was loaded: errors kept back 2,000 of 2,000 records."


async def test_reasons_are_complete_where_the_quarantine_is_slower_than_the_end(here, monkeypatch):
    storing = store.keep

    async def late(engine, message, now):
        async with within(20):
            while await _status(engine, message.run_id) == "running":
                await asyncio.sleep(0.05)
        return await storing(engine, message, now)

    monkeypatch.setattr(store, "keep", late)
    made = project(here.folder, 40, transform=python("transforms:misspelt"), code=CODE, extract={"batch_size": 40})
    async with open_session(here.config, cluster=False) as session:
        run_id = (await session.start(request_of(made, here.config))).run_id
        report = (await ended(session, run_id)).report
    assert (report.status, report.reason) == ("failed", "failure_limit")
    assert [(each.records, each.reason) for each in report.reasons] == [
        (40, "KeyError: 'moood' in transforms:misspelt")
    ]


async def _status(engine, run_id) -> str:
    async with engine.connect() as connection:
        run = await run_rows.find(connection, run_id)
    assert run is not None
    return run.status


def test_rejections_are_no_failures(tmp_path, run):
    project(tmp_path, 60, transform=python(), code=CODE, evaluate=judged_by("high_for_few"))
    end = run()
    assert (end.code, end.report["records"]["rejected"], end.report["records"]["loaded"]) == (0, 52, 8), end.err


def test_a_report_groups_the_reasons_with_an_example_and_the_command_to_see_it(tmp_path, loom):
    project(tmp_path, 6, transform=python("transforms:misspelt"), code=CODE)
    end = loom("run", "pipeline.yaml")
    assert "6 x KeyError: 'moood' in transforms:misspelt (quarantined at transform, e.g. r000000)" in end.words
    line = next(line for line in end.out.splitlines() if "loom quarantine show" in line)
    command = line.strip().partition("   ")[0].split()
    assert "KeyError: 'moood'" in (loom(*command[1:])).out


def test_reasons_that_differ_in_numbers_are_one(tmp_path, run):
    project(tmp_path, 30, transform=python(), code=CODE, evaluate=judged_by("high_for_few"))
    (reason,) = (run()).report["reasons"]
    assert reason["records"] == 22
    assert reason["outcome"] == "rejected"
    assert reason["stage"] == "evaluate"
    assert reason["code"] == "gate"


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("rejected=0.6", 5),
        ("rejected=60%", 5),
        ("rejected=0.7", 0),
        ("rejected=13", 5),
        ("rejected=14", 0),
        ("failed=0", 0),
        ("kept=0", 5),
        ("rejectd=1", 2),
        ("rejected=1.5", 2),
        ("rejected", 2),
    ],
)
def test_a_limit_on_ends_has_an_exit_code_of_its_own_for_ci(tmp_path, loom, limit, code):
    project(tmp_path, 22, transform=python(), code=CODE, evaluate=judged_by("high_for_few"))
    assert loom("run", "pipeline.yaml", "--fail-on", limit).code == code


def test_a_pipeline_may_limit_its_ends_itself_and_the_option_goes_first(tmp_path, run):
    made = project(tmp_path, 20, transform=python(), code=CODE, evaluate=judged_by("high_for_few"))
    made.say(fail_on={"rejected": 0.2, "failed": 0})
    end = run()
    assert (end.code, end.report["status"]) == (5, "succeeded"), end.err
    assert end.report["fail_on"] == {"rejected": "20%", "failed": "0"}
    assert "rejected: 12 of 20 records (60.0%); fail_on allows 20%" in end.err
    assert (run("--fail-on", "rejected=0.6")).code == 0


def test_a_wrong_limit_is_a_mistake_with_its_place(tmp_path, loom):
    made = project(tmp_path, 2)
    made.say(fail_on={"rejectd": 0.2})
    end = loom("validate", "pipeline.yaml")
    assert end.code == 2
    assert "fail_on: " in end.out
    assert "one of rejected, quarantined" in end.words
