"""What an endpoint does not take is learned from its refusal, once; what a pipeline sends besides arrives."""

from __future__ import annotations

import asyncio

import pytest

from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import ask
from loom_ai.http.endpoints import endpoint_of, endpoints_of
from loom_ai.journal.models import JournalledModels
from loom_ai.journal.streaks import LONGEST
from loom_ai.keys import key_of
from loom_ai.ports import Payer
from loom_ai.providers.http_client import HttpModelClient
from loom_ai.settings import ModelSettings
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.model_options.call_options import CallOptions, Extras
from loom_common.domain.model_options.providers import ProviderConfig
from loom_common.errors import AccessRefused, RecordError, UpstreamUnusable
from support.any_server import AnyServer, Sent, chat
from support.clocks import ManualClock
from support.scripted_model import call_of

SHAPE = Shape({"mood": {"enum": ["good", "bad"]}})
GOOD = Sent(chat('{"mood": "good"}'))
SECRET = "sk-very-secret-4321"


def refused(message: str, param: str | None = None, code: str = "unsupported_value") -> Sent:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Sent({"error": error}, status=400)


def reasoning_model(body):
    """Answer as OpenAI's reasoning models do."""
    if "max_tokens" in body:
        words = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return refused(words, "max_tokens", "unsupported_parameter")
    if body.get("temperature", 1) != 1:
        words = "'temperature' does not support 0 with this model. Only the default (1) value is supported."
        return refused(f"Unsupported value: {words}", "temperature")
    return GOOD


@pytest.fixture
async def server():
    async with AnyServer() as server:
        yield server


@pytest.fixture
async def models():
    client = HttpModelClient(
        ModelSettings(total_timeout=60.0), Credentials({"env": EnvProvider({"TEAM_KEY": SECRET})}), ManualClock()
    )
    models = JournalledModels(client, MemoryJournal(), clock=ManualClock())
    yield models
    await models.close()


async def asked(models, server, prompt, **changes):
    call = call_of(prompt, **{"base_url": server.base_url(), "schema": SHAPE.schema, **changes})
    return await ask(models, call, Payer("run_1", prompt), SHAPE)


async def test_a_reasoning_model_gets_another_limit_and_no_temperature_and_that_is_remembered(models, server):
    server.respond = reasoning_model
    for number in range(5):
        assert (await asked(models, server, f"q{number}", max_tokens=50)).output == {"mood": "good"}
    assert server.calls == 5 + 2
    sent = server.requests[-1][1]
    assert (sent["max_completion_tokens"], "max_tokens" in sent, "temperature" in sent) == (50, False, False)
    assert sent["response_format"]["type"] == "json_schema"


async def test_what_many_calls_are_refused_for_at_the_same_time_is_learned_from_once(models, server):
    server.respond = reasoning_model
    replies = await asyncio.gather(*(asked(models, server, f"q{n}", max_tokens=50) for n in range(16)))
    assert [reply.output for reply in replies] == [{"mood": "good"}] * 16
    assert server.calls <= 3 * 16


@pytest.mark.parametrize(
    "words",
    [
        "temperature: Input should be less than or equal to 1",
        "Invalid value for 'temperature': must be between 0 and 1",
    ],
)
async def test_a_value_that_is_out_of_range_is_the_pipelines_mistake_and_not_dropped(models, server, words):
    server.respond = lambda body: refused(words, "temperature", "invalid_value") if "temperature" in body else GOOD
    reply = await asked(models, server, "q", temperature=1.5)
    assert (reply.error.code, server.calls) == ("model_refused", 1)


@pytest.mark.parametrize(
    "words",
    [
        "response_format json_schema is not supported",
        "This model does not support structured outputs",
        "'json_schema' is not a valid response_format.type",
        "Invalid schema for response_format 'output'",
    ],
)
async def test_a_refused_form_is_told_from_other_refusals_and_remembered(models, server, words):
    server.respond = lambda body: refused(words) if "json_schema" in str(body.get("response_format")) else GOOD
    for number in range(3):
        assert (await asked(models, server, f"q{number}")).output == {"mood": "good"}
    assert server.calls == 3 + 1


@pytest.mark.parametrize(
    "sent",
    [
        refused("This model's maximum context length is 8192 tokens", None, "context_length_exceeded"),
        refused("Unsupported parameter: 'foo'", "foo", "unsupported_parameter"),
        refused("Your request was rejected by our moderation policy"),
    ],
)
async def test_another_refusal_is_met_once_by_its_record(models, server, sent):
    server.respond = lambda _: sent
    reply = await asked(models, server, "q")
    assert (reply.error.code, server.calls) == ("model_refused", 1)


async def test_a_refusal_that_says_nothing_may_be_the_forms_fault_and_that_is_found_out_once(models, server):
    server.respond = lambda body: Sent(b"Bad Request", status=400) if "response_format" in body else GOOD
    for number in range(4):
        assert (await asked(models, server, f"q{number}")).output == {"mood": "good"}
    assert server.calls == 4 + 2


async def test_the_same_refusal_of_every_record_ends_the_run_with_its_words(models, server):
    server.respond = lambda _: refused("Unsupported parameter: 'foo' (request id 8f14e45fceea167a)", "foo")
    for number in range(LONGEST - 1):
        assert (await asked(models, server, f"q{number}")).error.code == "model_refused"
    with pytest.raises(UpstreamUnusable, match=r"Unsupported parameter: 'foo'.*the last 10 different records"):
        await asked(models, server, "one more")
    assert server.calls == LONGEST


async def test_refusals_in_different_words_are_each_their_records_own(models, server):
    server.respond = lambda body: refused(f"maximum context length exceeded by {len(str(body))} tokens")
    for number in range(LONGEST + 2):
        assert (await asked(models, server, "q" * (number + 1))).error.code == "model_refused"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
async def test_parameters_body_and_headers_are_sent_where_they_belong(server, provider):
    client = HttpModelClient(credentials=Credentials({"env": EnvProvider({"TEAM_KEY": SECRET})}))
    headers = {"X-Team": "research", "X-Gateway-Key": "Bearer ${TEAM_KEY}"}
    extras = Extras({"top_p": 0.9}, {"route": {"fallback": True}}, headers)
    call = call_of("q", provider=provider, base_url=server.base_url(provider), extras=extras)
    await client.complete(call)
    got, body = server.requests[-1]
    assert (got["X-Team"], got["X-Gateway-Key"]) == ("research", f"Bearer {SECRET}")
    assert (body["generationConfig"] if provider == "google" else body)["top_p"] == 0.9
    assert body["route"] == {"fallback": True}
    await client.close()


async def test_a_header_that_the_endpoint_repeats_is_not_kept(models, server):
    server.respond = lambda _: Sent(f"<p>who sends {SECRET}?</p>".encode())
    reply = await asked(models, server, "q", extras=Extras({}, {}, {"X-Key": "${TEAM_KEY}"}))
    assert SECRET not in str(reply.error) + str(reply.error.details)
    server.respond = lambda _: refused(f"unknown key {SECRET}")
    reply = await asked(models, server, "r", extras=Extras({}, {}, {"X-Key": "${TEAM_KEY}"}))
    assert SECRET not in str(reply.error) + str(reply.error.details)


async def test_a_header_whose_credential_is_missing_or_no_header_is_said_before_anything_is_asked(server):
    credentials = Credentials({"env": EnvProvider({"ODD": "a\nX-Other: b"})})
    client = HttpModelClient(credentials=credentials)
    for reference in ("${NOBODY}", "${ODD}"):
        with pytest.raises(AccessRefused) as caught:
            await client.complete(call_of(base_url=server.base_url(), extras=Extras({}, {}, {"X-Key": reference})))
        assert "X-Other" not in str(caught.value)
    assert server.calls == 0
    await client.close()


def test_what_is_sent_besides_is_part_of_what_is_asked():
    plain = call_of()
    assert key_of(plain) == key_of(call_of(extras=Extras()))
    keys = [
        key_of(call_of(extras=each))
        for each in (Extras({"seed": 1}), Extras({}, {"seed": 1}), Extras({}, {}, {"a": "b"}))
    ]
    assert len({key_of(plain), *keys}) == 4


def test_what_is_said_nearer_to_the_question_outweighs_the_provider():
    providers = {"ours": ProviderConfig(base_url="http://h/v1", params={"seed": 1, "top_p": 0.5}, headers={"X-A": "1"})}
    assert endpoint_of("ours:m", providers=providers).extras.params == {"seed": 1, "top_p": 0.5}
    first, other = endpoints_of(("ours:m", "openai:n"), providers=providers, extras=Extras({"seed": 2}))
    assert (first.extras.params, dict(first.extras.headers)) == ({"seed": 2, "top_p": 0.5}, {"X-A": "1"})
    assert not other.extras
    assert len({first, other, endpoint_of("ours:m", providers=providers)}) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"temperature": 0.2}},
        {"params": {"max_tokens": 5}},
        {"params": {"stream": True}},
        {"extra_body": {"messages": []}},
        {"extra_body": {"n": 3}},
        {"extra_body": {"a": {1, 2}}},
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"X Y": "z"}},
        {"headers": {"X-Y": "a\r\nX-Z: b"}},
        {"headers": {"Authorization": "Bearer sk-in-clear"}},
        {"headers": {"X-Api-Key": "in-clear"}},
    ],
)
def test_what_would_break_a_call_or_show_a_secret_is_a_mistake_of_the_definition(options):
    with pytest.raises(ValueError) as caught:
        CallOptions(**options)
    assert "sk-in-clear" not in str(caught.value.errors(include_input=False))


async def test_a_refused_question_keeps_the_parameter_that_it_is_about(models, server):
    server.respond = lambda _: refused("Invalid value: 'foo'", "reasoning_effort", "invalid_value")
    reply = await asked(models, server, "q", extras=Extras({"reasoning_effort": "foo"}))
    assert isinstance(reply.error, RecordError)
    assert reply.error.details["param"] == "reasoning_effort"


@pytest.mark.parametrize("key", ["sk-1\nX-Admin: yes", "sk-\x00", "sk-ä"])
async def test_a_key_that_no_header_may_hold_is_told_before_anything_is_asked_and_never_shown(server, key):
    client = HttpModelClient(credentials=Credentials({"env": EnvProvider({"OPENAI_API_KEY": key})}))
    with pytest.raises(AccessRefused, match=r"\$\{OPENAI_API_KEY\} resolves to holds characters") as told:
        await client.complete(call_of(base_url=server.base_url()))
    assert key not in str(told.value)
    assert server.calls == 0
    await client.close()
