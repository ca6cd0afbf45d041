"""Implements a `ModelClient` that answers from a script: for tests of what stands on the port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from loom_ai.ports import ChatMessage, ModelAnswer, ModelCall, Waits

URL = "http://127.0.0.1:20001/v1"


def call_of(prompt: str = "How is it?", **changes) -> ModelCall:
    return ModelCall(**{"model": "gpt-4o-mini", "messages": (ChatMessage("user", prompt),), "base_url": URL, **changes})


def answer_of(text: str = "{}", finish_reason: str = "stop", **changes) -> ModelAnswer:
    values = {"model": "gpt-4o-mini", "tokens_in": 1000, "tokens_cached": 0, "tokens_out": 100, "latency": 0.5}
    return ModelAnswer(text=text, finish_reason=finish_reason, **{**values, **changes})


class ScriptedModel:
    """Gives one scripted answer (or error) per call, repeats the last one, and records the calls."""

    def __init__(self, *script: ModelAnswer | Exception | Callable[[ModelCall], ModelAnswer]) -> None:
        self._script = list(script) or [answer_of()]
        self.calls: list[ModelCall] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def complete(self, call: ModelCall, waits: Waits | None = None) -> ModelAnswer:
        self.calls.append(call)
        await self.may_answer.wait()
        turn = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(turn, Exception):
            raise turn
        return turn if isinstance(turn, ModelAnswer) else turn(call)

    async def close(self) -> None:
        pass

    @property
    def prompts(self) -> list[str]:
        return [call.messages[0].content for call in self.calls]


async def settle(condition: Callable[[], bool], turns: Iterable[int] = range(10_000)) -> None:
    """Let the event loop turn until `condition` holds."""
    for _ in turns:
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition never came true")
