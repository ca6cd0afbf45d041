"""What was never there ends an embedded run soon, with its cause; or is waited for, and said."""

from __future__ import annotations

import json
import re
import time

import pytest

from loom_dev.backends.ports import reserve_port
from support.books import assert_complete
from support.command import Command, loom
from support.projects import ai, project, review_ids
from support.simulated_model import SimulatedModel

SOON = 30.0
JUDGE = {"type": "semantic", "field": "stars", "reference_field": "review", "threshold": 0.5}


async def ended_soon(folder, *arguments: str, environ=None, within=SOON):
    ended = await loom(folder, "run", "pipeline.yaml", *arguments, environ=environ)
    if ended.out.startswith("{"):
        assert ended.report["duration_seconds"] < within
    return ended


@pytest.mark.parametrize("records", [1, 200])
async def test_a_model_that_was_never_there_fails_the_run_soon_with_the_cause(tmp_path, records):
    port = reserve_port()
    project(tmp_path, records, transform=ai(f"http://127.0.0.1:{port}/v1"))
    ended = await ended_soon(tmp_path, "--format", "json")
    assert ended.code == 1
    assert ended.report["status"] == "failed"
    assert f"connection refused: nothing listens at 127.0.0.1:{port}" in ended.report["error"]
    assert "was never there" in ended.report["error"]


async def test_so_does_a_judge(tmp_path):
    evaluate = {"model": "gpt-4o-mini", "base_url": "http://no-such-host.invalid/v1", "evaluators": [JUDGE]}
    project(tmp_path, 20, evaluate=evaluate)
    ended = await ended_soon(tmp_path, "--format", "json", within=3 * SOON)  # importing Arbiter takes its time
    assert ended.code == 1
    assert "there is no host no-such-host.invalid" in ended.report["error"]


async def test_a_fallback_that_is_there_lets_the_run_through(tmp_path, model):
    asking = ai(f"http://127.0.0.1:{reserve_port()}/v1", fallback=["other:gpt-4o"])
    made = project(tmp_path, 20, transform=asking)
    made.say(providers={"other": {"base_url": model.base_url}})
    ended = await ended_soon(tmp_path, "--format", "json")
    assert ended.report["records"]["loaded"] == 20


@pytest.mark.parametrize("what", ["source", "destination"])
async def test_a_database_that_is_not_there_refuses_the_run_with_the_cause(tmp_path, what):
    project(tmp_path, 5, **{what: "${PLACE}?table=t"})
    place = f"postgresql://nobody:secret@127.0.0.1:{reserve_port()}/none"
    ended = await ended_soon(tmp_path, environ={"PLACE": place})
    assert ended.code == 2
    assert "cannot be reached" in ended.err
    assert "secret" not in ended.err


async def test_so_does_a_journal_in_redis(tmp_path):
    project(tmp_path, 5)
    place = f"redis://:secret@127.0.0.1:{reserve_port()}/0"
    ended = await ended_soon(tmp_path, environ={"LOOM_JOURNAL_URL": place})
    assert ended.code == 2
    assert "The journal at redis://" in ended.err
    assert "onnect" in ended.err
    assert "secret" not in ended.err


async def test_with_wait_the_run_says_every_few_seconds_what_for_and_goes_on_when_it_is_there(tmp_path):
    port, late = reserve_port(), SimulatedModel()
    made = project(tmp_path, 40, transform=ai(f"http://127.0.0.1:{port}/v1"))
    environ = {"LOOM_BREAKER_OPEN_SECONDS": "12"}
    running = await Command.begin(tmp_path, "run", "pipeline.yaml", "--wait", "--format", "json", environ=environ)
    began = time.monotonic()
    await running.reach(lambda: time.monotonic() - began > 20)
    assert running.running
    await late.start(port)
    try:
        ended = await running.end()
    finally:
        await late.stop()
    assert_complete(json.loads(ended.out), await made.loaded(), review_ids(40))
    left = [int(seconds) for seconds in re.findall(r"is away; next probe in (\d+) s, at \d\d:\d\d:\d\d UTC", ended.err)]
    assert len(left) >= 3
    assert len(set(left)) >= 2  # it counts down


async def test_validate_connects_where_it_is_told_to(tmp_path, model):
    made = project(tmp_path, 5, transform=ai(model.base_url))
    ended = await loom(tmp_path, "validate", "pipeline.yaml", "--connect", "--format", "json")
    assert (ended.code, model.calls) == (0, 0)
    assert "answers" in ended.out
    made.say(transform=ai(f"http://127.0.0.1:{reserve_port()}/v1"))
    assert (await loom(tmp_path, "validate", "pipeline.yaml")).code == 0
    ended = await loom(tmp_path, "validate", "pipeline.yaml", "--connect")
    assert ended.code == 2
    assert "connection refused: nothing listens at" in ended.words


async def test_a_cluster_that_is_not_there_is_one_line(tmp_path):
    project(tmp_path, 5)
    bus = f"amqp://nobody:secret@127.0.0.1:{reserve_port()}/"
    ended = await loom(tmp_path, "run", "pipeline.yaml", "--cluster", environ={"LOOM_BUS_URL": bus})
    assert ended.code == 1
    [line] = ended.err.splitlines()
    assert line.startswith("error: RabbitMQ at amqp://127.0.0.1:")


async def test_a_simulated_model_listens_nowhere_where_no_address_is_named(tmp_path):
    ended = await (await Command.begin(tmp_path, "simulate-model", "--host", "", "--port", "0")).end(seconds=10)
    assert ended.code == 2
    assert "it is empty: name an address" in " ".join(re.sub(r"[^\x00-\x7f]", " ", ended.err).split())
