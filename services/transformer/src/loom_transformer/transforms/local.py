"""Computes outputs in this process, with the shape check and the error handling that such transforms share."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loom_common.user_code.event_loop import UserLoop
from loom_common.user_code.poison_isolation import USER_CODE, Risk
from loom_common.worker.context import Context, Progress
from loom_transformer.outcome import TransformOutcome
from loom_transformer.scoring.answers import at_fault, late, output_of
from loom_transformer.scoring.bounds import Bounds
from loom_transformer.scoring.turns import Turns

if TYPE_CHECKING:
    from loom_ai.answers.shape import Shape
    from loom_common.contracts.v1 import ExtractedRecord

Compute = Callable[[dict[str, Any]], Any]
_AT_ONCE = 32
"""The number of records that one asynchronous function works on concurrently."""


class Computed:
    """Computes a synchronous function over the records of a batch, in one thread, so that the event loop stays free."""

    def __init__(
        self,
        name: str,
        function: Compute,
        shape: Shape | None,
        bounds: Bounds | None = None,
        risk: Risk | None = USER_CODE,
        turns: Turns | None = None,
    ) -> None:
        """`turns` are those of the object that the function calls. Without them, it is called by several threads."""
        self.risk = risk
        self._turns = turns or Turns(function)
        self._name = name
        self._function = function
        self._shape = shape
        self._bounds = bounds or Bounds()

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        seconds = self._bounds.seconds
        progress = context.progress

        def one(record: ExtractedRecord) -> TransformOutcome:
            outcome = self._computed(record)
            progress.one_done()
            return outcome

        async with self._turns.taken():
            return await self._bounds.threads.each(
                records, one, seconds, late=lambda _: TransformOutcome(None, seconds, late(self._name, seconds))
            )

    def _computed(self, record: ExtractedRecord) -> TransformOutcome:
        began = perf_counter()
        try:
            # A copy, because the function may change what it is given, and the input is loaded beside the output.
            output = output_of(self._function(copy.deepcopy(record.input)), self._name, self._shape)
        except BaseException as error:  # noqa: BLE001 - the function may raise anything
            return TransformOutcome(None, perf_counter() - began, at_fault(error, self._name))
        return TransformOutcome(output, perf_counter() - began)


class Awaited:
    """Awaits an asynchronous function over the records of a batch, some at a time, on an event loop of its own."""

    risk = USER_CODE

    def __init__(
        self,
        name: str,
        function: Callable[[dict[str, Any]], Awaitable[Any]],
        shape: Shape | None,
        bounds: Bounds | None = None,
    ) -> None:
        self._name = name
        self._function = function
        self._shape = shape
        self._seconds = (bounds or Bounds()).seconds
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._loop = UserLoop((bounds or Bounds()).threads)

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        return await asyncio.gather(*(self._one(record, context.progress) for record in records))

    async def _one(self, record: ExtractedRecord, progress: Progress) -> TransformOutcome:
        async with self._slots:
            outcome = await self._in_time(record)
        progress.one_done()
        return outcome

    async def _in_time(self, record: ExtractedRecord) -> TransformOutcome:
        began = perf_counter()
        try:
            return await self._loop.run(lambda: self._outcome(record), self._seconds)
        except TimeoutError:
            return TransformOutcome(None, perf_counter() - began, late(self._name, self._seconds))

    async def _outcome(self, record: ExtractedRecord) -> TransformOutcome:
        began = perf_counter()
        try:
            output = output_of(await self._function(copy.deepcopy(record.input)), self._name, self._shape)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the function may raise anything
            return TransformOutcome(None, perf_counter() - began, at_fault(error, self._name))
        return TransformOutcome(output, perf_counter() - began)
