"""Provides a model client that makes no calls. It counts the tokens that calls would take, before any is made."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from loom_ai.attachments.tokens import attached, likely
from loom_ai.pacing.token_bounds import about
from loom_ai.ports import ModelAnswer, ModelCall, Waits
from loom_ai.simulated.answers import answer_for
from loom_ai.wire import finish, tool_turns
from loom_ai.wire.embeddings import vectors_text

_PER_MESSAGE = 4
_FREE_TEXT = 256
"""Holds the tokens assumed for an answer without a schema, where no earlier run gives a figure."""


class DryRunClient:
    """Implements a `ModelClient` that answers with made-up values of the schema.

    Its token counts are estimates: the question's from its text, the answer's from earlier runs, or else from the
    made-up text."""

    def __init__(self, answered: Mapping[tuple[str, str], float] | None = None) -> None:
        """`answered` holds the mean tokens per answer of earlier runs, by purpose and model."""
        self._answered = dict(answered or {})
        self.asked: list[tuple[ModelCall, int]] = []
        """Holds the calls so far, each with the tokens of its answer."""

    async def complete(self, call: ModelCall, waits: Waits | None = None) -> ModelAnswer:
        if call.embedding:
            text = vectors_text([[0.0] * (call.dimensions or 1)] * len(call.messages))
            self.asked.append((call, 0))
            return ModelAnswer(text, finish.WHOLE, call.model, _tokens_in(call), 0, 0, 0.0)
        if call.tools and not any(message.role == tool_turns.RESULT for message in call.messages):
            return self._with_a_tool(call)
        answer = answer_for(call.schema, call.messages[0].content)
        text = answer if isinstance(answer, str) else orjson.dumps(answer).decode()
        tokens_out = self._tokens_out(call, text)
        self.asked.append((call, tokens_out))
        return ModelAnswer(
            text=text,
            finish_reason="stop",
            model=call.model,
            tokens_in=_tokens_in(call),
            tokens_cached=0,
            tokens_out=tokens_out,
            latency=0.0,
        )

    def _with_a_tool(self, call: ModelCall) -> ModelAnswer:
        """Ask for the first tool, so that a conversation with tools is estimated with one round of them."""
        use = tool_turns.ToolUse("0", call.tools[0].name, {})
        text = tool_turns.use_text([use], {})
        self.asked.append((call, about(text)))
        return ModelAnswer(text, finish.TOOLS, call.model, _tokens_in(call), 0, about(text), 0.0)

    async def close(self) -> None:
        """Do nothing: this client holds no connection."""

    def _tokens_out(self, call: ModelCall, text: str) -> int:
        counted = self._answered.get((call.purpose, call.model))
        if counted is not None:
            return round(counted)
        guess = _FREE_TEXT if call.schema is None else about(text)
        return guess if call.max_tokens is None else min(guess, call.max_tokens)


def _tokens_in(call: ModelCall) -> int:
    described = [each.parameters for each in call.tools] + ([] if call.schema is None else [call.schema])
    asked = sum(about(message.content) + _PER_MESSAGE for message in call.messages)
    return asked + attached(call, likely) + sum(about(orjson.dumps(each).decode()) for each in described)
