"""Turns the confidence that outputs state into the probability that they are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.checks.calibrator import Calibrator
from loom_common.errors import RecordError
from loom_common.user_code.poison_isolation import Risk
from loom_common.worker.context import Context
from loom_transformer.outcome import Transform, TransformOutcome


class Calibrated:
    """Holds another transform, and calibrates a field of its outputs."""

    def __init__(self, transform: Transform, calibrator: Calibrator) -> None:
        self._transform = transform
        self._calibrator = calibrator

    @property
    def risk(self) -> Risk | None:
        return self._transform.risk

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        return [self._calibrated(each) for each in await self._transform.apply(run_id, records, context, again)]

    def _calibrated(self, outcome: TransformOutcome) -> TransformOutcome:
        if outcome.output is None:
            return outcome
        field = self._calibrator.of
        stated = outcome.output.get(field)
        if isinstance(stated, bool) or not isinstance(stated, int | float):
            words = f"The output's field '{field}', which is calibrated, is {stated!r:.80}; expected a number"
            error = RecordError(words, code="uncalibrated", details={"output": outcome.output})
            return replace(outcome, output=None, error=error)
        return replace(outcome, output={**outcome.output, field: self._calibrator.curve(stated)})
