"""Tests bad prompts, endpoints that are away, and wrong keys: each is named, and the run continues once it is
corrected."""

from __future__ import annotations

import asyncio
import re

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.contracts.v1 import RunFinished, RunProgress
from loom_common.worker import batch_progress
from loom_dev.backends.ports import reserve_port
from support.books import assert_complete
from support.clients import ended, request_of, until
from support.projects import ai, project, review_ids
from support.simulated_model import SimulatedModel, simulated_process
from support.told import JSON, kept, only, refused


def test_a_prompt_with_an_unknown_variable_is_refused_with_its_place(loom, tmp_path):
    made = project(tmp_path, transform=ai("http://127.0.0.1:20001/v1", prompt="prompts/ask.txt"))
    made.path("prompts").mkdir()
    made.path("prompts/ask.txt").write_text("Read this:\n{{ inptu.review }}\n")
    words = refused(loom)
    assert "prompts/ask.txt:2:4: found the unknown variable 'inptu'" in words
    assert "Did you mean 'input'?" in words


def test_a_prompt_that_names_a_field_the_record_lacks_keeps_the_record(loom, tmp_path):
    with simulated_process() as url:
        made = project(tmp_path, [], transform=ai(url, prompt="{{ input.remark }}"), source="notes.jsonl")
        made.path("notes.jsonl").write_text('{"id": "1", "remark": "Well"}\n{"id": "2", "review": "Well"}\n')
        record = only(kept(loom, loaded=1))
    assert record["failure_stage"] == "transform"
    assert "input.remark, which is not there" in record["failure_reason"]


async def test_while_the_endpoint_is_down_the_run_waits_with_a_notice_and_then_goes_on(
    tmp_path, monkeypatch, clean_environ
):
    port = reserve_port()
    monkeypatch.setenv("LOOM_MODELS_ATTEMPTS", "1")
    monkeypatch.setenv("LOOM_BREAKER_OPEN_SECONDS", "1")
    made = project(tmp_path, 30, transform=ai(f"http://127.0.0.1:{port}/v1"), destination="out.jsonl")
    (tmp_path / "loom.yaml").touch()
    config = LoomConfig.load(tmp_path / "loom.yaml")
    model = SimulatedModel()

    async with open_session(config, cluster=False) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        waiting = await until(session, run_id, lambda progress: progress.notice is not None)
        assert isinstance(waiting, RunProgress)
        assert str(waiting.notice).startswith("transform ")
        assert f"http://127.0.0.1:{port}/v1" in str(waiting.notice)

        await model.start(port)
        try:
            finished = await ended(session, run_id)
        finally:
            await model.stop()

    assert isinstance(finished, RunFinished)
    assert_complete(finished.report.model_dump(), await made.loaded(), review_ids(30))
    assert model.calls == 30


async def test_while_the_endpoint_asks_for_a_pause_the_run_says_for_what_it_waits(
    tmp_path, monkeypatch, clean_environ, model
):
    """Such an endpoint is there, and its breaker stays closed. Nothing moves all the same."""
    monkeypatch.setattr(batch_progress, "STILL_SECONDS", 0.2)
    made = project(tmp_path, 5, transform=ai(model.base_url), destination="out.jsonl")
    (tmp_path / "loom.yaml").touch()
    config = LoomConfig.load(tmp_path / "loom.yaml")
    model.retry_after = 8.0
    model.faults.extend(["429"] * 5)
    async with open_session(config, cluster=False) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        waiting = await until(session, run_id, lambda progress: progress.notice is not None)
        finished = await ended(session, run_id)
    assert re.match(r"transform waits \d+ s, at \d\d:\d\d:\d\d UTC: .*gpt-4o-mini", str(waiting.notice))
    assert isinstance(finished, RunFinished)
    assert_complete(finished.report.model_dump(), await made.loaded(), review_ids(5))


def test_a_wrong_api_key_fails_the_run_and_resume_works_once_it_is_set(loom, tmp_path, monkeypatch):
    with simulated_process("--api-key", "sk-right") as url:
        made = project(tmp_path, 30, transform=ai(url, api_key="${MODEL_KEY}"), destination="out.jsonl")
        monkeypatch.setenv("MODEL_KEY", "sk-wrong-1234")
        told = loom("run", "pipeline.yaml", *JSON)
        error = told.report["error"]
        assert (told.code, told.report["records"]["loaded"]) == (1, 0)
        assert "Traceback" not in told.err
        assert url in error
        assert "MODEL_KEY" in error
        assert "sk-wrong-1234" not in told.err + told.out

        monkeypatch.setenv("MODEL_KEY", "sk-right")
        resumed = loom("resume", told.report["run_id"], *JSON)

    assert_complete(resumed.report, asyncio.run(made.loaded()), review_ids(30))


def test_an_api_key_that_is_not_set_is_refused_by_its_name(loom, tmp_path):
    project(tmp_path, transform=ai("http://127.0.0.1:20001/v1", api_key="${MODEL_KEY}"))
    assert "The credential ${MODEL_KEY} is not set. Set the environment variable MODEL_KEY" in refused(loom)
