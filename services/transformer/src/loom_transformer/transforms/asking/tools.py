"""Runs the Python functions that a model uses as tools, under the limits of the user's other code.

What a tool returned is journalled before the model is told, so a run that goes on after a crash does not run it again.
Only a use that was under way when its process died is run again, with the same `idempotency_key`."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson

from loom_ai.answers.tool_rounds import ToolBox
from loom_ai.journal.answered_before import NO_ANSWER
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.keys import tool_result
from loom_ai.ports import ModelCall, Payer
from loom_ai.wire.tool_turns import ToolResult, ToolUse
from loom_common.domain.json_values.plain_values import plain
from loom_common.domain.model_options.several_calls import ToolConfig
from loom_common.domain.run.calls import Calls
from loom_common.domain.values.durations import seconds
from loom_common.errors import PermanentError, RecordError, TransientError, WorkerWornOut
from loom_common.text import named, readable
from loom_common.user_code.event_loop import UserLoop
from loom_common.user_code.threads import Threads
from loom_transformer.transforms.asking.tool_functions import KEY, ToolFunction, tool_function

USED, FAILED = "tool", "tool_error"
"""The purposes under which uses of tools stand in the books."""
_LONGEST = 50_000
"""The most characters of a result that a model is told."""
_MADE_UP = "..." * 100
_TRIAL = "Not done, because this is a trial run. Go on as if it had been done."


class Tools:
    """Holds the tools of one plan."""

    def __init__(
        self,
        configs: Sequence[ToolConfig],
        max_rounds: int,
        folder: Path,
        models: JournalledModels,
        threads: Threads,
        *,
        trial: bool = False,
    ) -> None:
        """In a `trial`, tools that change something are not run. Raises `UserCodeError`."""
        self._tools = {tool.spec.name: tool for tool in (tool_function(config, folder) for config in configs)}
        self._max_rounds = max_rounds
        self._models = models
        self._threads = threads
        self._loop = UserLoop(threads)
        self._trial = trial

    def of(self, payer: Payer) -> ToolBox | None:
        """Return what a model may use for one record; None where there are no tools."""
        if not self._tools:
            return None

        async def run(use: ToolUse, call: ModelCall, number: int) -> ToolResult:
            return await self._known_or_run(use, call, number, payer)

        return ToolBox(tuple(tool.spec for tool in self._tools.values()), self._max_rounds, run)

    async def _known_or_run(self, use: ToolUse, call: ModelCall, number: int, payer: Payer) -> ToolResult:
        key = tool_result(call, payer.run_id, payer.record_id, number)
        entry = await self._models.holds(key, payer, Reuse())
        if entry is not None:
            held = orjson.loads(entry.answer.text)
            result = ToolResult(use.id, use.name, held["text"], held["failed"])
        elif self._models.tools == "refused":
            words = f"The journal no longer holds what the tool {use.name} returned"
            raise RecordError(words, code=NO_ANSWER)
        elif self._models.tools == "made_up":
            return ToolResult(use.id, use.name, _MADE_UP)
        else:
            result = await self._result_of(use, payer)
            text = orjson.dumps({"text": result.text, "failed": result.failed}).decode()
            noted = replace(_as_call(use), sealed=call.sealed)
            await self._models.note(key, payer, noted, text, _purpose(result))
        self._enter(key, payer, result)
        return result

    def _enter(self, key: str, payer: Payer, result: ToolResult) -> None:
        """Enter a use in the payer's usage, as a call that costs nothing."""
        if payer.usage is not None:
            calls = Calls(purpose=_purpose(result), provider="python", model=result.name, made=1)
            payer.usage.enter(key, payer.record_id, calls)

    async def _result_of(self, use: ToolUse, payer: Payer) -> ToolResult:
        """Run a tool. What goes wrong with it is for the model to know."""

        def failed(words: str) -> ToolResult:
            return ToolResult(use.id, use.name, words, failed=True)

        tool = self._tools.get(use.name)
        if tool is None:
            return failed(f"There is no tool {use.name}; there is {', '.join(self._tools)}.")
        try:
            arguments = tool.read(use.arguments)
        except ValueError as error:
            return failed(f"The arguments do not fit: {error}")
        if self._trial and tool.config.changes:
            return ToolResult(use.id, use.name, _TRIAL)
        if tool.config.idempotent:
            arguments[KEY] = _idempotency_key(use, payer)
        limit = seconds(tool.config.timeout)
        began = perf_counter()
        try:
            returned = await self._called(tool, arguments, limit)
            text = returned if isinstance(returned, str) else orjson.dumps(plain(returned)).decode()
        except (TransientError, PermanentError, WorkerWornOut):
            raise
        except TimeoutError:
            return failed(f"{use.name} did not come back within {perf_counter() - began:.3g} s.")
        except BaseException as error:
            if not isinstance(error, Exception | SystemExit):
                raise
            return failed(f"{use.name} raised {named(error)}")
        return ToolResult(use.id, use.name, readable(text)[:_LONGEST])

    async def _called(self, tool: ToolFunction, arguments: dict[str, Any], limit: float) -> Any:
        """Return what the function returns. Raises what it raises, `TimeoutError` after its time, `WorkerWornOut`."""
        if inspect.iscoroutinefunction(tool.function):
            return await self._loop.run(lambda: tool.function(**arguments), limit)

        def call(_: None) -> tuple[Any, BaseException | None]:
            try:
                return tool.function(**arguments), None
            except BaseException as error:  # noqa: BLE001 - the function may raise anything
                return None, error

        [(returned, error)] = await self._threads.each([None], call, limit, late=lambda _: (None, TimeoutError()))
        if error is not None:
            raise error
        return returned


def _purpose(result: ToolResult) -> str:
    return FAILED if result.failed else USED


def _as_call(use: ToolUse) -> ModelCall:
    """Return what stands for the use in the journal, where a model's answer names its model."""
    return ModelCall(model=use.name, messages=(), base_url="", provider="python")


def _idempotency_key(use: ToolUse, payer: Payer) -> str:
    """Return a key that is the same for the same arguments of the same tool, for a record of a run."""
    identity = [payer.run_id, payer.record_id, use.name, use.arguments]
    return hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
