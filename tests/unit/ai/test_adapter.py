"""Tests providers that need the adapter library: what is missing is said, nothing is imported unless used, errors keep
what their SDK knew."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from loom_ai.adapted import package, turns
from loom_ai.adapted.sdk_models import region_of
from loom_ai.ports import ChatMessage
from loom_ai.providers.http_client import HttpModelClient
from loom_ai.wire.form import Form
from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.model_options.providers import ADAPTED, PROVIDERS
from loom_common.errors import AccessRefused, PermanentError
from support.scripted_model import call_of

NOWHERE = "http://127.0.0.1:9"
WORDS = (
    "provider cohere needs the package no-such-sdk, which is not installed here. "
    "Install it where the transformers and evaluators run: `make extras EXTRAS=providers` in "
    "the checkout; for the image, `docker build --build-arg EXTRAS=providers .`"
)


@pytest.fixture
def without_sdk(monkeypatch):
    monkeypatch.setitem(package._SDKS, "cohere", "no_such_sdk")


def test_only_providers_of_another_protocol_need_it():
    assert {name for name, each in PROVIDERS.items() if each.wire in ADAPTED} == ADAPTED
    assert [package.missing(name) for name in PROVIDERS] == [None] * len(PROVIDERS)


async def test_a_call_says_which_package_is_missing_and_how_to_get_it(without_sdk):
    assert package.missing_package_message("cohere") == WORDS
    client = HttpModelClient()
    with pytest.raises(PermanentError, match="The provider cohere needs the package no-such-sdk"):
        await client.complete(call_of(provider="cohere", base_url=NOWHERE))
    await client.close()


async def test_an_address_that_lacks_its_region_is_refused_before_anything_is_asked():
    client = HttpModelClient(credentials=Credentials({"env": EnvProvider({})}))
    with pytest.raises(AccessRefused, match="AWS_REGION"):
        await client.complete(call_of(provider="bedrock", base_url=PROVIDERS["bedrock"].base_url))
    await client.close()


IMPORTING = """
import sys
import loom.preflight.checks, loom_ai.compose, loom_transformer.handling, loom_evaluator.handling
from loom_ai.adapted import package

assert package.missing("cohere") is None
ours = [name for name in sys.modules if name.startswith("loom_ai.adapted.") and name != package.__name__]
assert not ours + sorted({"pydantic_ai", "boto3", "cohere", "httpx"} & set(sys.modules)), ours
"""


def test_nothing_of_it_is_imported_where_it_is_not_used(tmp_path):
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", IMPORTING], env=environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_conversation_keeps_its_turns_and_a_schema_becomes_a_tool():
    asked = (
        ChatMessage("system", "s"),
        ChatMessage("user", "q"),
        ChatMessage("assistant", "a"),
        ChatMessage("user", "r"),
    )
    call = call_of(messages=asked, schema={"type": "object"}, max_tokens=9, temperature=None)
    kinds = [[type(part).__name__ for part in turn.parts] for turn in turns.messages(call, Form.JSON_SCHEMA)]
    assert kinds == [["SystemPromptPart", "UserPromptPart"], ["TextPart"], ["UserPromptPart"]]
    assert turns.settings(call) == {"max_tokens": 9}
    [tool] = turns.parameters(call, Form.JSON_SCHEMA).output_tools
    assert tool.parameters_json_schema == {"type": "object"}
    assert turns.parameters(call, Form.PLAIN).output_tools == []
    assert "JSON Schema" in turns.messages(call, Form.PLAIN)[0].parts[0].content


@pytest.mark.parametrize(
    ("base_url", "region"),
    [
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://bedrock-runtime-fips.us-west-2.amazonaws.com", "us-west-2"),
        (NOWHERE, "ap-south-1"),
    ],
)
def test_requests_are_signed_for_the_region_of_the_address(base_url, region, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    assert region_of(base_url) == region
