from __future__ import annotations

import pytest

from loom_ai.http.endpoints import Endpoint, calls_at_once, endpoint_of, endpoints_of
from loom_common.domain.model_options.providers import ProviderConfig, RateLimit

OURS = {"ours": ProviderConfig(base_url="http://gpu:8000/v1"), "openai": ProviderConfig(api_key="${OURS}")}


@pytest.mark.parametrize(
    ("model", "base_url", "environ", "expected"),
    [
        ("gpt-4o", None, {}, Endpoint("openai", "gpt-4o", "https://api.openai.com/v1")),
        ("openai:gpt-4o", None, {}, Endpoint("openai", "gpt-4o", "https://api.openai.com/v1")),
        ("m", None, {"OPENAI_BASE_URL": "http://a/v1/"}, Endpoint("openai", "m", "http://a/v1")),
        ("m", "http://b/v1", {"OPENAI_BASE_URL": "http://a/v1"}, Endpoint("openai", "m", "http://b/v1")),
        ("llama3.2:1b", "http://b/v1", {}, Endpoint("openai", "llama3.2:1b", "http://b/v1")),
        ("m", "http://${HOST}/v1", {}, Endpoint("openai", "m", "http://${HOST}/v1")),
        ("ollama:qwen2.5:0.5b", None, {}, Endpoint("ollama", "qwen2.5:0.5b", "http://localhost:11434/v1")),
        ("groq:m", None, {"OPENAI_BASE_URL": "http://a"}, Endpoint("groq", "m", "https://api.groq.com/openai/v1")),
        ("anthropic:c", None, {"ANTHROPIC_BASE_URL": "http://a"}, Endpoint("anthropic", "c", "http://a")),
        (
            "google:g",
            None,
            {},
            Endpoint("google", "g", "https://generativelanguage.googleapis.com/v1beta"),
        ),
    ],
)
def test_an_endpoint_is_what_the_pipeline_says_else_the_environment_else_the_usual(model, base_url, environ, expected):
    assert endpoint_of(model, base_url, environ) == expected


def test_a_provider_of_ones_own_is_spoken_to_as_openai_is_and_never_sent_its_key():
    asked = endpoint_of("ours:m", None, {}, OURS)
    assert asked == Endpoint("openai", "m", "http://gpu:8000/v1", api_key="", served_by="ours")


def test_a_known_provider_is_what_the_configuration_makes_of_it():
    limits = {"rate_limit": RateLimit(requests_per_minute=60), "timeout": "65s", "concurrency": 4}
    configured = {"anthropic": ProviderConfig(base_url="http://proxy/v1", api_key="${K}", **limits)}
    assert endpoint_of("anthropic:c", None, {}, configured) == Endpoint(
        "anthropic", "c", "http://proxy/v1", "${K}", 65.0, RateLimit(requests_per_minute=60), 4
    )


def test_a_provider_of_ones_own_may_speak_as_another_does():
    configured = {"proxy": ProviderConfig(type="anthropic", base_url="http://proxy", api_key="${K}")}
    asked = endpoint_of("proxy:c", None, {}, configured)
    assert asked == Endpoint("anthropic", "c", "http://proxy", "${K}", served_by="proxy")


def test_address_and_key_of_the_first_model_are_not_for_another_provider():
    first, alike, other = endpoints_of(
        ["ours:a", "ours:b", "anthropic:c"], "http://b/v1", "${KEY}", timeout=5.0, providers=OURS
    )
    assert (first.base_url, first.api_key) == (alike.base_url, alike.api_key) == ("http://b/v1", "${KEY}")
    assert (other.base_url, other.api_key) == ("https://api.anthropic.com/v1", None)
    assert {each.timeout for each in (first, alike, other)} == {5.0}


def test_calls_in_flight_to_several_endpoints_add_up_and_each_endpoint_counts_once():
    configured = {"a": 4, "b": 100, "c": None}
    providers = {name: ProviderConfig(base_url=f"http://{name}", concurrency=most) for name, most in configured.items()}
    endpoints = [endpoint_of(name, providers=providers, environ={}) for name in ("a:m", "a:m", "b:m", "c:m")]
    assert calls_at_once(endpoints) == 104
    assert calls_at_once(endpoints[3:]) is None
