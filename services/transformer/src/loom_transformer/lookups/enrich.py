"""Implements `enrich`, which looks the records of a batch up elsewhere, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from loom_ai.answers.shape import Shape
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.definition.transforms.enrich import EnrichTransformConfig
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.grouping import value_of
from loom_common.domain.steps.lookups import place_of
from loom_common.domain.values.urls import redacted
from loom_common.errors import RecordError
from loom_common.user_code.poison_isolation import Risk
from loom_common.worker.context import Context
from loom_connectors.ports.lookup import Found, Key
from loom_transformer.lookups.places import LookupPlaces
from loom_transformer.outcome import TransformOutcome

NOT_FOUND = "not_found"


class EnrichTransform:
    """Adds fields that are found by fields of the record. What is found is not written down: a batch that comes again
    is looked up again."""

    risk: Risk | None = None

    def __init__(self, plan: Plan, config: EnrichTransformConfig, places: LookupPlaces, shape: Shape | None) -> None:
        self._plan = plan
        self._config = config
        self._places = places
        self._shape = shape
        self._shown = redacted(place_of(config) or "").partition("?")[0]

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        context.progress.begin(len(records))
        began = perf_counter()
        keys = [self._key(record) for record in records]
        asked = [key for key in keys if isinstance(key, tuple)]
        found = iter(await self._places.find(self._plan, self._config, asked) if asked else ())
        seconds = (perf_counter() - began) / max(1, len(records))
        outcomes = [self._outcome(next(found) if isinstance(key, tuple) else key, seconds) for key in keys]
        for _ in records:
            context.progress.one_done()
        return outcomes

    def _key(self, record: ExtractedRecord) -> Key | Found:
        """Return by what a record is looked up; None where a value is null, which equals none, and the error of a
        record that lacks one."""
        try:
            values = [value_of(record.input, name) for name in self._config.keys]
        except RecordError as error:
            return error
        return None if None in values else tuple(values)

    def _outcome(self, found: Any, seconds: float) -> TransformOutcome:
        if found is None and self._config.missing == "null":
            return TransformOutcome(dict.fromkeys(self._config.wanted), seconds)
        if found is None:
            by = ", ".join(self._config.keys)
            error = RecordError(f"Nothing is found by the record's {by} in {self._shown}", code=NOT_FOUND)
            skipped = self._config.missing == "skip"
            return TransformOutcome(None, seconds, error, on_failure="skip" if skipped else None)
        if isinstance(found, RecordError):
            return TransformOutcome(None, seconds, found)
        try:
            output = dict(found)
            if self._shape is not None:
                self._shape.check(output)
        except RecordError as misfit:
            return TransformOutcome(None, seconds, misfit)
        return TransformOutcome(output, seconds)
