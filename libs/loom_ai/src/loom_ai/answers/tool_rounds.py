"""Lets a model use tools before it answers, a bounded number of times.

Each call of the conversation is journalled under a key of its own, and so is what each tool returned: a conversation
that was interrupted goes on from where it was, and no tool whose result is known runs again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from loom_ai.journal.settled import Settled
from loom_ai.journal.usage import NOTHING, Spent
from loom_ai.ports import ModelCall, ToolSpec
from loom_ai.wire import finish
from loom_ai.wire.tool_turns import ToolResult, ToolUse, answered_turns, uses_in

Answered = Callable[[ModelCall], Awaitable[tuple[Settled, Spent]]]
"""Returns the answer to a call, and what it took."""


@dataclass(frozen=True, slots=True)
class ToolBox:
    """Holds the tools that a model may use for one record."""

    specs: tuple[ToolSpec, ...]
    max_rounds: int
    """Limits how often the model may ask for tools before it has to answer."""
    run: Callable[[ToolUse, ModelCall, int], Awaitable[ToolResult]]
    """Runs a tool, or finds what it returned before: the use of that number in the answer to the call. A failure of the
    tool is a result. Raises what concerns more than the tool."""


async def conversed(call: ModelCall, answered: Answered, tools: ToolBox | None) -> tuple[ModelCall, Settled, Spent]:
    """Return the answer that asks for no more tools, with the call that it answers and what all calls took.

    After `max_rounds` rounds the model is told that it may use no more; an answer that asks for tools nevertheless is
    returned as it is. Raises what `answered` and the tools raise."""
    if tools is None:
        settled, spent = await answered(call)
        return call, settled, spent
    call, spent = replace(call, tools=tools.specs), NOTHING
    for left in range(tools.max_rounds, -1, -1):
        call = call if left else replace(call, tools_closed=True)
        settled, took = await answered(call)
        spent += took
        if settled.answer.finish_reason != finish.TOOLS or not left:
            return call, settled, spent
        results = [
            await tools.run(use, call, number) for number, use in enumerate(uses_in(settled.answer.text))
        ]  # one after another, because one may change what the next one sees
        turns = answered_turns(settled.answer.text, results)
        call = replace(call, purpose="tools", messages=(*call.messages, *turns))
    raise AssertionError("unreachable: the last round returns")
