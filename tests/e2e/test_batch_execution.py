"""Runs pipelines with `execution: batch`, embedded, killed and on RabbitMQ: for half the price, paid for once."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL
from typing import Any

import pytest

from loom.session import open_session
from loom_common.contracts.v1 import RunProgress
from loom_common.resilience import failpoints
from support.batches import come_again_soon, quick
from support.books import assert_balanced, assert_complete
from support.clients import ended, request_of
from support.command import Command, loom, runs
from support.length import LONG
from support.places import Place, spent
from support.projects import ai, project, review_ids
from support.simulated_model import SimulatedModel
from support.watching import Watch

RECORDS = 30
JUDGE = {"type": "custom_criteria", "criteria": "Kind", "threshold": 0.0}
TIMES = {
    "LOOM_BATCHES_POLL_SECONDS": "0.05",
    "LOOM_BATCHES_GATHER_SECONDS": "0.3",
    "LOOM_BATCHES_LEASE_SECONDS": "1",
    "LOOM_BATCHES_SUBMIT_SECONDS": "0.5",
}


def in_batches(place: Place, model: SimulatedModel, judge: SimulatedModel):
    return project(
        place.folder / "reviews",
        RECORDS,
        transform=ai(model.base_url, execution={"type": "batch"}),
        evaluate=judged(judge),
        extract={"batch_size": 10},
        destination="out.csv",
    )


def judged(judge: SimulatedModel) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "base_url": judge.base_url, "execution": "batch", "evaluators": [JUDGE]}


def paid_twice(*servers: SimulatedModel) -> list[int]:
    """Return how many requests each provider answered twice."""
    return [sum(times > 1 for times in each.batches.paid.values()) for each in servers]


async def test_a_run_costs_half_and_says_how_far_its_batches_are(here, model, judge, monkeypatch):
    quick(monkeypatch, GATHER=0.3)
    come_again_soon(monkeypatch)
    model.batches.seconds = 1.0
    made = in_batches(here, model, judge)
    async with open_session(here.config, cluster=False) as session:
        accepted = await session.start(request_of(made, here.config))
        notices = []
        async for event in session.follow(accepted.run_id):
            if isinstance(event, RunProgress) and event.notice:
                notices.append(event.notice)
        report = event.report.model_dump()
    assert_balanced(report)
    assert report["calls"] == {"made": 2 * RECORDS, "from_cache": 0}
    assert report["cost"]["total"] == pytest.approx((spent(model) + spent(judge)) / 2)
    assert paid_twice(model, judge) == [0, 0]
    assert (model.calls, judge.calls) == (0, 0)
    assert any("transform waits" in each and "OpenAI" in each for each in notices)
    assert len(await made.loaded()) == RECORDS


STEPS = [point for point in failpoints.POINTS if "_batch_" in point or "batch_results" in point]
"""Every step of a batch: a process is gone there at once, as after SIGKILL."""
DYING = """
import sys
from loom.cli.app import main
from loom_common.resilience import failpoints

failpoints.arm("run", f"run:{sys.argv[1]}:1")
sys.argv = ["loom", "run", "pipeline.yaml"]
main()
"""
"""Runs the pipeline of the working directory in a process that is gone at a step."""
SEEN = {
    "its submission": lambda model: model.batches.submissions == 1,
    "its results": lambda model: any(each.downloads for each in model.batches.batches.values()),
}


@pytest.mark.parametrize("seen", SEEN)
async def test_a_run_killed_at_the_sight_of_a_step_finds_its_batch_again(tmp_path, model, seen):
    model.batches.seconds = 0.5
    extract = {"batch_size": 10}
    made = project(
        tmp_path, RECORDS, transform=ai(model.base_url, execution="batch"), extract=extract, destination="out.csv"
    )
    command = await Command.begin(made.folder, "run", made.pipeline.name, "--format", "json", environ=TIMES)
    assert await command.reach(lambda: SEEN[seen](model))
    await command.kill()
    (run_id,) = runs(made.folder)

    done = await loom(made.folder, "resume", run_id, "--format", "json", environ=TIMES)

    assert_complete(done.report, await made.loaded(), review_ids(RECORDS))
    assert paid_twice(model) == [0]
    assert model.answered == RECORDS
    assert done.report["cost"]["total"] == pytest.approx(spent(model) / 2)


@pytest.mark.parametrize("step", STEPS if LONG else STEPS[3:4])
async def test_a_run_that_is_gone_at_a_step_pays_for_nothing_twice(tmp_path, model, step):
    transform = ai(model.base_url, execution="batch")
    made = project(tmp_path, RECORDS, transform=transform, extract={"batch_size": 10}, destination="out.csv")
    watch = await Watch.begin(made.folder)
    gone = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DYING, step, cwd=made.folder, env={**os.environ, **TIMES}, stdout=DEVNULL, stderr=DEVNULL
    )
    assert await gone.wait() == failpoints.EXIT_CODE
    watch.give_up()
    (run_id,) = runs(made.folder)
    done = await loom(made.folder, "resume", run_id, "--format", "json", environ=TIMES)
    assert_complete(done.report, await made.loaded(), review_ids(RECORDS))
    assert paid_twice(model) == [0]
    assert (model.answered, model.calls) == (RECORDS, 0)
    assert done.report["cost"]["total"] == pytest.approx(spent(model) / 2)


async def test_two_transformers_and_two_evaluators_on_rabbitmq_share_batches(fleet, model, judge):
    """Each is a run of its own, at the same time: what waits for a batch comes again after five seconds at the
    earliest, in each stage."""
    made = [
        project(
            fleet.folder / name,
            RECORDS,
            name=name,
            extract={"batch_size": 10},
            destination=f"${{RESULTS}}?table={name}",
            **parts,
        )
        for name, parts in {
            "asked": {"transform": ai(model.base_url, execution="batch")},
            "judged": {"evaluate": judged(judge), "transform": {"type": "passthrough"}},
        }.items()
    ]
    async with open_session(fleet.config, cluster=True) as session:
        accepted = [await session.start(request_of(each, fleet.config)) for each in made]
        ends = await asyncio.gather(*(ended(session, each.run_id) for each in accepted))
    for each, server, end in zip(made, (model, judge), ends, strict=True):
        report = end.report.model_dump()
        assert_balanced(report)
        assert report["calls"] == {"made": RECORDS, "from_cache": 0}
        assert report["cost"]["total"] == pytest.approx(spent(server) / 2)
        assert paid_twice(server) == [0]
        assert server.calls == 0
        assert len(await each.loaded(fleet.environ)) == RECORDS
