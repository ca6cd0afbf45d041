"""Gives a registered step of the scope `batch` all records of a batch that come to it, in one call.

What it makes of a record depends on the others, so a call that fails is not made again for each alone: all its
records have its error."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loom_common.errors import RecordError, WorkerWornOut
from loom_common.user_code.event_loop import UserLoop
from loom_common.user_code.poison_isolation import WHOLE_BATCHES
from loom_common.worker.context import Context
from loom_transformer.outcome import TransformOutcome
from loom_transformer.scoring.answers import at_fault, late, output_of
from loom_transformer.scoring.bounds import Bounds
from loom_transformer.scoring.turns import Turns

if TYPE_CHECKING:
    from loom_ai.answers.shape import Shape
    from loom_common.contracts.v1 import ExtractedRecord

Given = list[dict[str, Any]]


class Together:
    """Calls a function, sync or async, with a list of records; it returns a list with an output for each. A call may
    take as long as one record."""

    risk = WHOLE_BATCHES

    def __init__(
        self, name: str, function: Callable[..., Any], shape: Shape | None, bounds: Bounds | None = None
    ) -> None:
        self._name = name
        self._function = function
        self._shape = shape
        self._bounds = bounds or Bounds()
        self._turns = Turns(function)
        self._awaits = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
        self._loop = UserLoop(self._bounds.threads) if self._awaits else None

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        """Return one outcome per record. The time of the call is divided among them."""
        if not records:
            return []
        began = perf_counter()
        found = await self._called([copy.deepcopy(record.input) for record in records], records)
        seconds = (perf_counter() - began) / len(records)
        outcomes = [self._outcome(found if isinstance(found, RecordError) else found[at], seconds)
                    for at in range(len(records))]  # fmt: skip
        for _ in records:
            context.progress.one_done()
        return outcomes

    async def _called(self, given: Given, records: Sequence[ExtractedRecord]) -> Sequence[Any] | RecordError:
        seconds = self._bounds.seconds
        if self._loop is not None:
            try:
                return await self._loop.run(lambda: self._awaited(given), seconds)
            except TimeoutError:
                return late(self._name, seconds)
        try:
            async with self._turns.taken():
                (found,) = await self._bounds.threads.each(
                    [given], self._computed, seconds, late=lambda _: late(self._name, seconds)
                )
        except WorkerWornOut as worn:  # the batch is whole: which of its records it hangs on nobody knows
            raise WorkerWornOut(str(worn), records) from worn
        return found

    def _computed(self, given: Given) -> Sequence[Any] | RecordError:
        try:
            return self._one_for_each(self._function(given), len(given))
        except BaseException as error:  # noqa: BLE001 - the function may raise anything
            return at_fault(error, self._name)

    async def _awaited(self, given: Given) -> Sequence[Any] | RecordError:
        try:
            return self._one_for_each(await self._function(given), len(given))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the function may raise anything
            return at_fault(error, self._name)

    def _one_for_each(self, found: Any, records: int) -> Sequence[Any] | RecordError:
        if isinstance(found, list | tuple) and len(found) == records:
            return found
        what = f"{len(found)} outputs" if isinstance(found, list | tuple) else f"{type(found).__name__}, not a list"
        return RecordError(f"{self._name} returned {what} for {records} records", code="transform_error")

    def _outcome(self, found: Any, seconds: float) -> TransformOutcome:
        try:
            if isinstance(found, RecordError):
                raise found
            return TransformOutcome(output_of(found, self._name, self._shape), seconds)
        except RecordError as error:
            return TransformOutcome(None, seconds, error)
