"""Tests that batches are split by the true size of their requests, so that no provider finds one too large."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loom_ai.batches.forms import Forms
from loom_ai.batches.protocols.protocol import protocol_of
from loom_ai.batches.requests.encoding import size_of
from loom_ai.ports import ChatMessage, ModelCall, ToolSpec
from loom_ai.simulated.batch import MOST_BYTES, MOST_REQUESTS
from loom_ai.simulated.formats import AnthropicMessages, ChatCompletions, GoogleContents

PROVIDERS = {"openai": ChatCompletions, "anthropic": AnthropicMessages, "google": GoogleContents}
TEXTS = st.text(st.sampled_from('ab"\\\n\t\x00\x1fé\u2028😀\ud800'), max_size=600)
TOOL = ToolSpec("known", 'Look a "word" up.\n' * 20, {"type": "object", "properties": {"word": {"type": "string"}}})


def call_of(provider: str, *texts: str, **more: object) -> ModelCall:
    messages = tuple(ChatMessage("user", text) for text in texts)
    return ModelCall("m", messages, "http://127.0.0.1/v1", provider=provider, batch_deadline=60.0, **more)


@pytest.mark.parametrize("provider", PROVIDERS)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4), tools=st.booleans(), schema=st.booleans())
@settings(max_examples=20, deadline=None)
def test_no_request_is_larger_than_it_was_counted(provider, texts, tools, schema):
    shape = {"type": "object", "properties": {"mood": {"enum": ['"good"', "bad"]}}, "required": ["mood"]}
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    call = call_of(provider, *texts, tools=(TOOL,) if tools else (), schema=shape if schema else None)
    line = protocol_of(provider).line("k" * 64, Forms().body(call), call)
    assert len(line) <= size_of(call)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_loom_stays_below_the_limits_of_each_provider(provider):
    limits, wire = protocol_of(provider).limits, PROVIDERS[provider]
    assert limits.size <= 0.9 * MOST_BYTES[wire]
    assert limits.requests <= MOST_REQUESTS.get(wire, limits.requests)
