"""Holds the engine to what every engine keeps, and to what it says at Prefect."""

from __future__ import annotations

import pytest

from support import engine_suite
from support.books import assert_balanced
from support.clients import settles
from support.projects import ai, python

AWAY_ONCE = """
import pathlib

from loom_common.errors import DependencyUnavailable

def judged(record):
    seen = pathlib.Path("seen")
    if record["id"] == "r000007" and not seen.exists():
        seen.touch()
        raise DependencyUnavailable("the house of moods is away")
    return {"mood": "good"}
"""


async def test_rows_and_books_are_the_same(engine):
    await engine_suite.rows_and_books_are_the_same(engine)


async def test_killed_it_goes_on_and_pays_for_nothing_twice(engine, model):
    await engine_suite.killed_it_goes_on_and_pays_for_nothing_twice(engine, model)


async def test_cancelled_it_ends_and_its_books_balance(engine, model):
    await engine_suite.cancelled_it_ends_and_its_books_balance(engine, model)


async def test_its_budget_stops_it(engine, model):
    await engine_suite.its_budget_stops_it(engine, model)


async def test_interrupted_it_comes_to_a_point_where_it_is_resumed(engine, model):
    await engine_suite.interrupted_it_comes_to_a_point_where_it_is_resumed(engine, model)


async def test_a_run_is_a_flow_run_and_each_piece_of_its_work_a_task_run(engine, server):
    made = engine.project("shown", extract={"batch_size": 20})
    ended = await (await engine.run(made)).end()
    run_id = ended.report["run_id"]
    flow_run = await server.flow_run(run_id)
    assert (flow_run["name"], flow_run["state_name"]) == (run_id, "Completed")
    assert flow_run["parameters"] == {"run_id": run_id}
    assert "60 loaded" in flow_run["state"]["message"]
    done = {"extract 0.0": 1, "load 0.0.0": 1, "load 0.0.1": 1, "load 0.0.2": 1, "load FinalizeLoad": 1}
    await settles(lambda: server.completed(run_id), done)


async def test_a_run_that_was_killed_goes_on_in_its_flow_run(engine, server, model):
    made = engine.project("again", extract={"batch_size": 5}, transform=ai(model.base_url, timeout="5m"))
    model.hold_after(20)
    command = await engine.run(made)
    assert await command.reach(lambda: model.calls > 20)
    run_id = await engine.run_id(made)
    assert (await server.flow_run(run_id))["state_name"] == "Running"
    await command.kill()
    model.let_go()
    ended = await engine.resumed(made, run_id)
    assert ended.code == 0
    flow_run = await server.flow_run(run_id)
    assert (flow_run["state_name"], flow_run["run_count"]) == ("Completed", 2)


async def test_prefect_tries_again_what_failed_for_a_moment(engine, server):
    made = engine.project("retried", extract={"batch_size": 20}, transform=python(), code=AWAY_ONCE)
    ended = await (await engine.run(made)).end()
    assert (ended.code, ended.report["records"]["loaded"]) == (0, 60)
    batches = {"transform 0.0.0": 2, "transform 0.0.1": 1, "transform 0.0.2": 1}
    await settles(lambda: server.completed(ended.report["run_id"], "transform"), batches)


async def test_a_flow_run_that_is_cancelled_at_prefect_cancels_the_run(engine, server, model):
    made = engine.project("stopped", extract={"batch_size": 5}, transform=ai(model.base_url, timeout="5m"))
    model.hold_after(20)
    command = await engine.run(made)
    assert await command.reach(lambda: model.calls > 20)
    run_id = await engine.run_id(made)
    flow_run = await server.flow_run(run_id)
    cancelling = {"state": {"type": "CANCELLING"}, "force": True}
    await server.asked(f"flow_runs/{flow_run['id']}/set_state", cancelling)
    await settles(lambda: status(engine, made, run_id), "cancelled")
    model.let_go()
    ended = await command.end()
    assert (ended.code, ended.report["status"]) == (4, "cancelled")
    assert_balanced(ended.report)
    assert (await server.flow_run(run_id))["state_type"] == "CANCELLED"


async def status(engine, made, run_id) -> str:
    shown = await (await engine.loom(made, "status", run_id, "--format", "json")).end()
    return str(shown.report["status"])


@pytest.mark.parametrize(
    ("url", "words"),
    [("", "prefect server start"), ("http://127.0.0.1:9/api", "Prefect's server at http://127.0.0.1:9/api does not")],
)
async def test_without_a_server_nothing_is_run_and_the_remedy_is_told(engine, url, words):
    made = engine.project("alone")
    command = await engine.begin(
        made.folder, "run", "pipeline.yaml", environ={**engine.environ, "PREFECT_API_URL": url}
    )
    ended = await command.end()
    assert ended.code != 0
    assert words in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
