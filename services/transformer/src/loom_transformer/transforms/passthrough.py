"""Implements `passthrough` with a declared `output` or `schema`: the output is the input, where the input has that
shape."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter

from loom_ai.answers.shape import Shape
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.errors import RecordError
from loom_common.worker.context import Context
from loom_transformer.outcome import TransformOutcome


class Passthrough:
    """Checks the declared shape, where there is one."""

    risk = None

    def __init__(self, shape: Shape | None) -> None:
        self._shape = shape

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        return await asyncio.to_thread(lambda: [_checked(record, self._shape) for record in records])


def _checked(record: ExtractedRecord, shape: Shape | None) -> TransformOutcome:
    began = perf_counter()
    try:
        if shape is not None:
            shape.check(record.input)
    except RecordError as error:
        return TransformOutcome(None, perf_counter() - began, error)
    return TransformOutcome(None, perf_counter() - began)
