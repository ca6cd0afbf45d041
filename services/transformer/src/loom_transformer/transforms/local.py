"""Outputs computed in this process: the shape check and the error handling that such transforms share."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import orjson

from loom_ai.shape import Shape
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.errors import PermanentError, RecordError, TransientError
from loom_transformer.outcome import Outcome

Compute = Callable[[dict[str, Any]], Any]
_AT_ONCE = 32
"""Records that one asynchronous function works on concurrently."""


class Computed:
    """A synchronous function over the records of a batch, in one thread, so that the event loop stays free."""

    def __init__(self, name: str, function: Compute, shape: Shape | None) -> None:
        self._name = name
        self._function = function
        self._shape = shape

    async def apply(self, run_id: str, records: Sequence[ExtractedRecord]) -> list[Outcome]:
        return await asyncio.to_thread(lambda: [self._one(record) for record in records])

    def _one(self, record: ExtractedRecord) -> Outcome:
        began = perf_counter()
        try:
            # A copy, because the function may change what it is given, and the input is loaded beside the output.
            output = output_of(self._function(copy.deepcopy(record.input)), self._name, self._shape)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the function may raise anything
            return Outcome(None, perf_counter() - began, at_fault(error, self._name))
        return Outcome(output, perf_counter() - began)


class Awaited:
    """An asynchronous function over the records of a batch, some at a time."""

    def __init__(self, name: str, function: Callable[[dict[str, Any]], Awaitable[Any]], shape: Shape | None) -> None:
        self._name = name
        self._function = function
        self._shape = shape
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def apply(self, run_id: str, records: Sequence[ExtractedRecord]) -> list[Outcome]:
        return await asyncio.gather(*map(self._one, records))

    async def _one(self, record: ExtractedRecord) -> Outcome:
        async with self._room:
            began = perf_counter()
            try:
                output = output_of(await self._function(copy.deepcopy(record.input)), self._name, self._shape)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the function may raise anything
                return Outcome(None, perf_counter() - began, at_fault(error, self._name))
            return Outcome(output, perf_counter() - began)


def output_of(value: Any, name: str, shape: Shape | None) -> dict[str, Any]:
    """What a function returned, as JSON values: dates as ISO 8601 text, decimals as text. Raises `RecordError`."""
    if not isinstance(value, Mapping):
        raise RecordError(f"{name} returned {type(value).__name__}, not a dict", code="transform_error")
    try:
        data = orjson.dumps(dict(value), default=str, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:
        raise RecordError(f"{name} returned what is no JSON: {error}", code="transform_error") from error
    output: dict[str, Any] = orjson.loads(data)
    if shape is not None:
        shape.check(output)
    return output


def at_fault(error: BaseException, name: str) -> RecordError:
    """The record's error for what a function raised. Loom's own verdicts about more than a record go on upwards."""
    if isinstance(error, RecordError):
        return error
    if isinstance(error, TransientError | PermanentError):
        raise error
    return RecordError(f"{name} raised {type(error).__name__}: {error}", code="transform_error")
