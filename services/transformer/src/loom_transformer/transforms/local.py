"""Computes outputs in this process, with the shape check and the error handling that such transforms share."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loom_common.domain.json_values.plain_values import NoPlainValue, plain
from loom_common.domain.marks import TIMEOUT
from loom_common.errors import PermanentError, RecordError, TransientError
from loom_common.text import named
from loom_common.user_code.event_loop import UserLoop
from loom_common.user_code.poison_isolation import USER_CODE, Risk
from loom_common.user_code.threads import Threads
from loom_common.worker.context import Context, Progress
from loom_transformer.outcome import TransformOutcome

if TYPE_CHECKING:
    from loom_ai.answers.shape import Shape
    from loom_common.contracts.v1 import ExtractedRecord

Compute = Callable[[dict[str, Any]], Any]
_AT_ONCE = 32
"""The number of records that one asynchronous function works on concurrently."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits code that does not come back, so that it does not hold everything up."""

    threads: Threads = field(default_factory=Threads)
    seconds: float = 120.0
    """Limits the time for one record."""


class Computed:
    """Computes a synchronous function over the records of a batch, in one thread, so that the event loop stays free."""

    def __init__(
        self,
        name: str,
        function: Compute,
        shape: Shape | None,
        bounds: Bounds | None = None,
        risk: Risk | None = USER_CODE,
    ) -> None:
        self.risk = risk
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


def late(name: str, seconds: float) -> RecordError:
    """Return the error of a record on which the function did not come back."""
    return RecordError(f"{name} did not come back within {seconds:g} s; see `timeouts.record`", code=TIMEOUT)


def output_of(value: Any, name: str, shape: Shape | None) -> dict[str, Any]:
    """Convert what a function returned to JSON values (see `plain_values`). Raises `RecordError`, which names the field
    and its type where a value has no JSON form."""
    if not isinstance(value, Mapping):
        raise RecordError(f"{name} returned {type(value).__name__}, not a dict", code="transform_error")
    try:
        output: dict[str, Any] = plain(value)
    except NoPlainValue as error:
        raise RecordError(f"{name} returned what is no JSON: {error}", code="transform_error") from error
    if shape is not None:
        shape.check(output)
    return output


def at_fault(error: BaseException, name: str) -> RecordError:
    """Return the record's error for what a function raised. Loom's own verdicts about more than a record go on
    upwards."""
    if isinstance(error, RecordError):
        return error
    if isinstance(error, TransientError | PermanentError):
        raise error
    return RecordError(f"{name} raised {named(error)}", code="transform_error")
