"""Pauses, resumes, cancels and follows runs with `execution: batch`: a batch that was submitted is paid for once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from loom.session import Session, open_session
from loom_common.contracts.v1 import RunFinished, RunProgress
from support.batches import come_again_soon, quick
from support.books import assert_balanced, assert_complete
from support.clients import ended, report_of, request_of, until
from support.places import Place, outcome, spent
from support.projects import Project, ai, project, review_ids
from support.simulated_model import SimulatedModel

RECORDS = 20
NEVER = 1e6
SUBMITTED = "waiting for OpenAI"
CODE = """
from pathlib import Path


def known(word: str) -> str:
    \"\"\"Look a word up.\"\"\"
    with (Path(__file__).parent / "looked_up.txt").open("a") as file:
        file.write(f"{word}\\n")
    return f"{word} is known"
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quick(monkeypatch, GATHER=0.5)
    come_again_soon(monkeypatch)


def in_batches(here: Place, model: SimulatedModel, **more: object) -> Project:
    transform = ai(model.base_url, **{"execution": "batch", **more})
    return project(
        here.folder, RECORDS, transform=transform, destination="out.csv", extract={"batch_size": 5}, code=CODE
    )


async def begun(session: Session, here: Place, made: Project, words: str) -> str:
    """Start a run, and wait until it says so."""
    run_id = (await session.start(request_of(made, here.config))).run_id
    event = await until(session, run_id, lambda progress: words in (progress.notice or ""))
    assert not isinstance(event, RunFinished)
    return run_id


def assert_paid_once(model: SimulatedModel, records: int = RECORDS) -> None:
    assert len(model.batches.paid) == records
    assert set(model.batches.paid.values()) == {1}
    assert model.calls == 0


async def test_a_batch_goes_on_while_its_run_is_paused_and_the_resumed_run_finds_its_answers(here, model):
    model.batches.seconds = NEVER
    made = in_batches(here, model)
    async with open_session(here.config, cluster=False) as session:
        run_id = await begun(session, here, made, SUBMITTED)
        await session.pause(run_id)
        assert (await outcome(session, run_id)).status == "paused"
        assert not any(each.cancelled for each in model.batches.batches.values())
        submitted = model.batches.submissions
        model.batches.seconds = 0.0
        await session.resume(run_id)
        report = (await ended(session, run_id)).report.model_dump()
    assert_complete(report, await made.loaded(), review_ids(RECORDS))
    assert_paid_once(model)
    assert model.batches.submissions == submitted
    assert report["cost"]["total"] == pytest.approx(spent(model) / 2)


async def test_a_run_that_is_paused_while_it_gathers_submits_nothing_until_it_is_resumed(here, model, monkeypatch):
    quick(monkeypatch, GATHER=600.0)  # it ends by the pause
    made = in_batches(here, model)
    async with open_session(here.config, cluster=False) as session:
        run_id = await begun(session, here, made, "gathering")
        await session.pause(run_id)
        assert (await outcome(session, run_id)).status == "paused"
    assert model.batches.submissions == 0
    quick(monkeypatch, GATHER=0.2)
    async with open_session(here.config, cluster=False) as session:
        await session.resume(run_id)
        report = (await ended(session, run_id)).report.model_dump()
    assert_complete(report, await made.loaded(), review_ids(RECORDS))
    assert_paid_once(model)


async def test_the_batch_of_a_cancelled_run_is_cancelled_and_a_resumed_run_submits_another(here, model):
    model.batches.seconds = NEVER
    made = in_batches(here, model)
    async with open_session(here.config, cluster=False) as session:
        run_id = await begun(session, here, made, SUBMITTED)
        assert (await session.cancel(run_id)).status == "cancelled"
        cancelled = (await ended(session, run_id)).report
        assert cancelled.status == "cancelled"
        assert_balanced(cancelled.model_dump())
    assert all(each.cancelled for each in model.batches.batches.values())
    assert not await made.loaded()
    model.batches.seconds = 0.0
    async with open_session(here.config, cluster=False) as session:
        await session.resume(run_id)
        report = (await ended(session, run_id)).report.model_dump()
    assert_complete(report, await made.loaded(), review_ids(RECORDS))
    assert_paid_once(model)


async def test_a_run_says_how_many_requests_are_done_and_how_long_the_rest_takes(here, model):
    model.batches.seconds = 1.5
    made = in_batches(here, model)
    async with open_session(here.config, cluster=False) as session:
        run_id = (await session.start(request_of(made, here.config))).run_id
        events = [event async for event in session.follow(run_id)]
    notices = [each.notice for each in events if isinstance(each, RunProgress) and each.notice]
    found = [re.search(rf"{SUBMITTED} .*: (\d+) of \d+ done(, about \d+ s left)?", each) for each in notices]
    told = [(int(each[1]), each[2] is not None) for each in found if each]
    assert any(count > 0 and estimated for count, estimated in told), notices
    report = await report_of(here.config, run_id)
    assert "notice" not in report or not report["notice"]


async def test_each_round_of_a_tool_is_part_of_a_batch_and_the_tool_is_used_once(here, model):
    made = in_batches(here, model, tools=["transforms:known"])
    async with open_session(here.config, cluster=False) as session:
        run_id = (await session.start(request_of(made, here.config))).run_id
        report = (await ended(session, run_id)).report.model_dump()
    assert_complete(report, await made.loaded(), review_ids(RECORDS))
    assert_paid_once(model, 2 * RECORDS)  # a question, and another one after its tool was used
    assert len(looked_up(made.path("looked_up.txt"))) == RECORDS
    assert report["calls"]["made"] == 3 * RECORDS  # uses of tools are counted among the calls
    assert report["cost"]["total"] == pytest.approx(spent(model) / 2)


def looked_up(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()
