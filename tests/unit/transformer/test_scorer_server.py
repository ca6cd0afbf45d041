"""Tests scorers at a model server, and what a pipeline file may say of how a scorer is run."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.domain.definition.transforms.scorer import ScorerTransformConfig
from loom_common.domain.model_options.scorers import size_in_bytes
from loom_common.errors import AccessRefused, DependencyUnavailable, PermanentError, RateLimited, UpstreamTroubled
from loom_common.worker.context import Context
from loom_dev.waiting import within
from loom_transformer.transforms.catalog import Catalog
from support.any_server import AnyServer, Sent
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel


@pytest.fixture
def score(tmp_path):
    """Provide what scores texts at a server's address."""

    async def scored(url, *texts, record="60s", **changes):
        catalog = Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), tmp_path)
        plan = plan_of({"type": "scorer", "scorer": url, "field": "text", **changes})
        limits = plan.pipeline.timeouts.model_copy(update={"record": record})
        plan = plan.model_copy(update={"pipeline": plan.pipeline.model_copy(update={"timeouts": limits})})
        records = batch_of(plan, [{"text": each} for each in texts]).records
        try:
            async with within(30):
                return await catalog.transform_of(plan).apply("run_1", records, Context())
        finally:
            await catalog.close()

    return scored


def lengths(body):
    if "bad" in body["texts"]:
        return Sent({"detail": "no such text"}, 422)
    return Sent({"outputs": [{"n": len(text)} for text in body["texts"]]})


async def test_texts_are_scored_by_the_server_with_the_key_that_the_pipeline_names(score, monkeypatch):
    monkeypatch.setenv("MODELS_KEY", "sk-secret")
    async with AnyServer(lengths) as server:
        outcomes = await score(f"{server.url}/mood", "a", "bb", "ccc", batch=2, api_key="${MODELS_KEY}")
    assert [each.output for each in outcomes] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert sorted(len(body["texts"]) for _, body in server.requests) == [1, 2]
    assert {headers["Authorization"] for headers, _ in server.requests} == {"Bearer sk-secret"}


async def test_a_text_that_the_server_refuses_is_kept_back_alone(score):
    async with AnyServer(lengths) as server:
        outcomes = await score(server.url, "a", "bad", "ccc")
    assert [each.output and each.output["n"] for each in outcomes] == [1, None, 3]
    assert "refused the texts (HTTP 422" in str(outcomes[1].error)


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, RateLimited), (503, UpstreamTroubled), (401, AccessRefused), (404, PermanentError), (302, PermanentError)],
)
async def test_what_is_said_of_more_than_a_text_is_said_of_the_batch(score, status, error):
    async with AnyServer(lambda _: Sent(b"because", status)) as server:
        with pytest.raises(error, match="The model server"):
            await score(server.url, "a")


async def test_a_server_that_is_away_is_told_apart_from_one_that_is_late(score):
    async with AnyServer(lengths) as server:
        pass
    with pytest.raises(DependencyUnavailable, match="cannot be reached"):
        await score(server.url, "a")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>", "its answer has no list `outputs`"),
        ({"outputs": {}}, "its answer has no list `outputs`"),
        ({"outputs": [{}, {}]}, "returned 2 outputs for 1 texts"),
        ({"outputs": [3]}, "returned int, not a dict"),
    ],
)
async def test_an_answer_that_is_none_is_the_text_s_error(score, answer, words):
    async with AnyServer(lambda _: Sent(answer)) as server:
        (outcome,) = await score(server.url, "a")
    assert words in str(outcome.error)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"scorer": "own:X", "memory": "1GB"}, "`instances` besides"),
        ({"scorer": "own:X", "instances": 1, "memory": "1 pound"}, "512MB or 2GB"),
        ({"scorer": "own:X", "instances": 0}, "greater than or equal to 1"),
        ({"scorer": "own:X", "api_key": "${K}"}, "no `api_key` with a scorer that is no URL"),
        ({"scorer": "http://x/y", "instances": 2}, "no `instances` with a scorer that is a URL"),
        ({"scorer": "http://x/y", "warm_up": "a"}, "no `warm_up` with a scorer that is a URL"),
        ({"scorer": "http://me:secret@x/y"}, "an address without a password"),
    ],
)
def test_keys_that_do_not_fit_are_mistakes(config, expected):
    with pytest.raises(ValidationError, match=expected) as raised:
        ScorerTransformConfig.model_validate({"type": "scorer", "field": "text", **config})
    assert "secret" not in str(raised.value)


def test_settings_may_stand_beneath_the_scorer():
    section = {"name": "own:X", "instances": "auto", "memory": "1.5GB", "batch": {"size": 8, "wait": "250ms"}}
    made = ScorerTransformConfig.model_validate({"type": "scorer", "field": "text", "scorer": section})
    assert (made.scorer, made.instances) == ("own:X", "auto")
    assert (made.batch.size, made.batch.wait) == (8, "250ms")
    assert size_in_bytes(made.memory) == 1536 * 1024**2
    assert (
        ScorerTransformConfig.model_validate(
            {"type": "scorer", "field": "text", "scorer": {"url": "http://x/y"}}
        ).scorer
        == "http://x/y"
    )
