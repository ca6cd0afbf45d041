"""Tests one client and five protocols, two by the adapter library: each spoken to a server that tells them apart."""

from __future__ import annotations

import asyncio
import json

import pytest

from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import ask
from loom_ai.http.endpoints import Endpoint, endpoint_of
from loom_ai.journal.models import JournalledModels
from loom_ai.ports import ModelCall, Payer
from loom_ai.providers.http_client import HttpModelClient
from loom_ai.settings import ModelSettings
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.model_options.providers import ProviderConfig
from loom_common.errors import AccessRefused, DependencyUnavailable, PermanentError, RateLimited
from loom_dev.waiting import within
from support.scripted_model import call_of
from support.simulated_model import SimulatedModel, answer_for

SHAPE = Shape(
    {
        "mood": {"enum": ["good", "bad"]},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "count": "integer",
        "sure": "boolean",
        "who": {"name": "string", "tags": ["string"]},
    }
)
KEYS = {"OPENAI_API_KEY": "sk-o", "ANTHROPIC_API_KEY": "sk-a", "GEMINI_API_KEY": "sk-g", "CO_API_KEY": "sk-c"}
PROVIDERS = {"openai": "/v1", "anthropic": "", "google": "/v1beta", "cohere": "", "bedrock": ""}


@pytest.fixture
async def server():
    async with SimulatedModel() as server:
        yield server


@pytest.fixture
async def client(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")  # AWS signs its requests
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sk-b")
    settings = ModelSettings(total_timeout=60.0, retry_delay=0.01, attempts=1)
    client = HttpModelClient(settings, Credentials({"env": EnvProvider(KEYS)}))
    yield client
    await client.close()


@pytest.fixture(params=PROVIDERS)
def endpoint(request, server) -> Endpoint:
    config = ProviderConfig(base_url=server.root_url + PROVIDERS[request.param])
    return endpoint_of(f"{request.param}:m-1", None, {}, {request.param: config})


def call_to(endpoint: Endpoint, prompt: str = "How is it?", **changes) -> ModelCall:
    return call_of(prompt, provider=endpoint.provider, model=endpoint.model, base_url=endpoint.base_url, **changes)


async def test_a_question_is_answered_and_its_tokens_are_counted(server, client, endpoint):
    answer = await client.complete(call_to(endpoint))
    assert (answer.text, answer.finish_reason, answer.model) == (answer_for(None, "How is it?"), "stop", "m-1")
    assert (answer.tokens_in, answer.tokens_out) == (server.tokens_in, server.tokens_out)


async def test_an_answer_has_the_shape_that_was_asked_for(client, server, endpoint):
    answer = await client.complete(call_to(endpoint, schema=SHAPE.schema))
    assert SHAPE.misfit(json.loads(answer.text)) is None
    assert server.calls == 1  # held to it by the provider's own means, not by words


async def test_each_of_the_calls_that_are_in_flight_together_gets_its_own_answer(client, server, endpoint):
    server.latency = 0.1
    prompts = [f"q{number}" for number in range(20)]
    calls = [call_to(endpoint, prompt, concurrency=20) for prompt in prompts]
    answers = await asyncio.gather(*map(client.complete, calls))
    assert server.most_at_once > 1
    assert [each.text for each in answers] == [answer_for(None, prompt) for prompt in prompts]


async def test_as_many_calls_are_in_flight_as_are_configured(client, server, endpoint):
    server.latency = 120.0
    calls = [call_to(endpoint, f"q{number}", concurrency=60, timeout=120.0) for number in range(80)]
    tasks = [asyncio.create_task(client.complete(call)) for call in calls]
    async with within(60):
        while server.at_once < 60:
            await asyncio.sleep(0.01)
    assert server.most_at_once == 60
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_endpoint_that_takes_no_schema_is_told_it_in_words(client, server, endpoint):
    server.forms = ()
    for number in range(2):
        answer = await client.complete(call_to(endpoint, f"q{number}", schema=SHAPE.schema))
        assert SHAPE.misfit(json.loads(answer.text)) is None
    answers, refusals = 2, server.calls - 2
    assert (server.answered, refusals) == (answers, {"openai": 2, "google": 2}.get(endpoint.provider, 1))


@pytest.mark.parametrize(
    "endpoint", ["openai", "anthropic", "google", "cohere"], indirect=True
)  # Bedrock's is a signature
async def test_the_usual_key_of_each_is_sent_where_it_belongs(client, server, endpoint):
    server.api_key = {"openai": "sk-o", "anthropic": "sk-a", "google": "sk-g", "cohere": "sk-c"}[endpoint.provider]
    assert (await client.complete(call_to(endpoint))).text
    server.api_key = "another"
    with pytest.raises(AccessRefused, match=r"Set the credential \$\{\w+_API_KEY\}") as caught:
        await client.complete(call_to(endpoint))
    assert "sk-" not in str(caught.value)


async def test_an_unknown_model_is_named(client, server, endpoint):
    server.models = ["m-2"]
    with pytest.raises(PermanentError, match=r"model m-1 at .* is not there .*The model m-1 does not exist"):
        await client.complete(call_to(endpoint))


@pytest.mark.parametrize(("fault", "kind"), [("429", RateLimited), ("500", DependencyUnavailable)])
async def test_trouble_is_told_apart(client, server, endpoint, fault, kind):
    server.faults.extend([fault] * 5)
    server.retry_after = 0.02
    with pytest.raises(kind, match="model m-1 at"):
        await client.complete(call_to(endpoint))


@pytest.mark.parametrize("fault", ["truncated", "refused", "bad_json"])
async def test_answers_that_are_none_are_told_apart(client, server, endpoint, fault):
    server.faults.extend([fault] * 2)
    models = JournalledModels(client, MemoryJournal())
    reply = await ask(models, call_to(endpoint, schema=SHAPE.schema), Payer("r", "1"), SHAPE)
    assert reply.error is not None
    codes = {"truncated": "truncated_output", "refused": "refused", "bad_json": "invalid_output"}
    refuses_in_words = endpoint.provider == "cohere" and fault == "refused"
    filtered = endpoint.provider == "bedrock" and fault == "refused"
    expected = "content_filter" if filtered else "invalid_output" if refuses_in_words else codes[fault]
    assert reply.error.code == expected
