from __future__ import annotations

import pytest

from loom_ai.endpoints import Endpoint, endpoint_of


@pytest.mark.parametrize(
    ("model", "base_url", "environ", "expected"),
    [
        ("gpt-4o", None, {}, Endpoint("openai", "gpt-4o", "https://api.openai.com/v1")),
        ("openai:gpt-4o", None, {}, Endpoint("openai", "gpt-4o", "https://api.openai.com/v1")),
        ("m", None, {"OPENAI_BASE_URL": "http://a/v1/"}, Endpoint("openai", "m", "http://a/v1")),
        ("m", "http://b/v1", {"OPENAI_BASE_URL": "http://a/v1"}, Endpoint("openai", "m", "http://b/v1")),
        ("llama3.2:1b", "http://b/v1", {}, Endpoint("openai", "llama3.2:1b", "http://b/v1")),
        ("m", "http://${HOST}/v1", {}, Endpoint("openai", "m", "http://${HOST}/v1")),
    ],
)
def test_an_endpoint_is_what_the_pipeline_says_else_the_environment_else_openai(model, base_url, environ, expected):
    assert endpoint_of(model, base_url, environ) == expected
