"""How many tokens a question is, before anybody has counted them. No tokenizer: two honest bounds.

A tokenizer is a model's own and weighs megabytes. What is needed before a call is a number it cannot pass (a budget),
or a fair guess that is corrected by what earlier runs counted (an estimate)."""

from __future__ import annotations

import math

import orjson

from loom_ai.attachments import tokens
from loom_ai.attachments.tokens import attached
from loom_ai.ports import ModelCall

_PER_MESSAGE = 16
"""The number of tokens that an endpoint may put around a message: roles, separators."""
_PER_CALL = 64
_PER_TOOL = 64
"""The number of tokens that an endpoint may put around a tool: its name, and what says that it is one."""
_TOOL_USE = {"anthropic": 700}
"""Tokens that a provider charges besides where an answer is asked for in a shape: its own instructions, at most."""
_BYTES_PER_TOKEN = 4.0
"""Holds for English text, JSON and code, by the tokenizers of the last years; it is less for other scripts."""
MOST_ANSWERED = 4096
"""Tokens an answer may have under a budget, where the pipeline sets no `max_tokens`: without a limit there is no worst
case. The call is made with this limit."""


def most(call: ModelCall) -> int:
    """Tokens the question has at most: tokens are made of bytes, and none is made of less than one."""
    text = sum(len(message.content.encode(errors="replace")) + _PER_MESSAGE for message in call.messages)
    schema = 0 if call.schema is None else 2 * len(orjson.dumps(call.schema))  # some endpoints put it in words
    schema += sum(2 * len(orjson.dumps([tool.description, tool.parameters])) + _PER_TOOL for tool in call.tools)
    around = _PER_CALL if call.schema is None and not call.tools else _PER_CALL + _TOOL_USE.get(call.provider, 0)
    return text + schema + around + attached(call, tokens.most)


def about(text: str) -> int:
    """Estimate the tokens that `text` has, give or take a fifth for European languages and code; scripts outside ASCII
    count a token per character and a half."""
    outside = sum(1 for character in text if ord(character) > 0x2E7F)
    return math.ceil((len(text) - outside) / _BYTES_PER_TOKEN + outside / 1.5)
