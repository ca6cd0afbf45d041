"""Calls the evaluators that ask no model: rules of Loom's, and functions of the user's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition.evaluator_kinds import EvaluatorConfig, PluginEvaluator
from loom_common.domain.definition.evaluators import PythonEvaluator, Regex
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.values import durations
from loom_common.errors import RecordError
from loom_common.user_code.event_loop import UserLoop
from loom_evaluator.evaluators.opinion import AsyncRule, Opinion, Rule
from loom_evaluator.results import Answer

_AT_ONCE = 32
"""The number of records that one asynchronous evaluator looks at concurrently."""


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Holds an evaluator that asks no model; `ModelEvaluations` has those that do."""

    settings: EvaluatorConfig
    rule: Rule | AsyncRule

    @property
    def is_foreign(self) -> bool:
        """Tell whether it is the user's code; a regular expression is, too: it can hang, and holds everything up."""
        return isinstance(self.settings, PythonEvaluator | PluginEvaluator | Regex)

    @property
    def seconds(self) -> float:
        """Return the seconds that one record may take."""
        own = self.settings.timeout if isinstance(self.settings, PythonEvaluator) else None
        return float("inf") if own is None else durations.seconds(own)


async def awaited(
    rule: AsyncRule, records: Sequence[TransformedRecord], seconds: float, loop: UserLoop
) -> list[Answer]:
    """Return what an asynchronous evaluator says of each record, of some at once, each within so many seconds."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(record: TransformedRecord) -> Answer:
        async with slots:
            began = perf_counter()
            try:
                return Answer(await loop.run(lambda: rule(record), seconds), perf_counter() - began)
            except TimeoutError:
                return too_late(seconds)
            except RecordError as error:
                return Answer(error, perf_counter() - began)

    return await asyncio.gather(*map(one, records))


def too_late(seconds: float) -> Answer:
    """Return the answer about a record for which an evaluator took too long."""
    return Answer(RecordError(f"no score within {seconds:g} s", code=TIMEOUT), seconds)


def answered(rule: Callable[[TransformedRecord], Opinion], record: TransformedRecord) -> Answer:
    """Return what an evaluator says of a record, with the time that it took."""
    began = perf_counter()
    try:
        return Answer(rule(record), perf_counter() - began)
    except RecordError as error:
        return Answer(error, perf_counter() - began)
