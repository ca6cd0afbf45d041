"""Decides what becomes of records that a transform fails on, before they are kept back: another try, or a fixed
output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from loom_ai.journal.answered_before import NO_ANSWER
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.sequence import in_rounds
from loom_common.domain.values import durations
from loom_common.errors import RecordError
from loom_common.user_code.stage_runner import Work
from loom_common.worker.context import Context
from loom_transformer.outcome import Applied, TransformOutcome, carried


def work_of(transform: Applied, run_id: str, pipeline: Pipeline, context: Context) -> Work[Any, TransformOutcome]:
    """Return what the transform does to the records of a batch, tried again as `on_failure` says."""
    config, limits = pipeline.transform, pipeline.timeouts

    async def attempt(records: Sequence[Any], again: int) -> list[TransformOutcome]:
        return await transform.apply(run_id, records, context, again)

    return Work(
        attempt=attempt,
        failed=may_be_tried_again,
        joined=joined,
        kept_away=_kept_away,
        risk=transform.risk,
        max_attempts=config.max_attempts if config.on_failure == "retry" else 1,
        seconds=min(durations.seconds(limits.batch), durations.seconds(limits.transform)),
        rounds=in_rounds(pipeline.order_by),
    )


def finished(outcome: TransformOutcome, config: TransformConfig) -> TransformOutcome:
    """Return the last outcome of a record: where it failed and the pipeline fixes an output for that, that output; and
    the error of one whose output no message can carry."""
    return carried(_fallen_back(outcome, config))


def _kept_away(_: object, error: RecordError) -> TransformOutcome:
    return TransformOutcome(None, 0.0, error)


def _fallen_back(outcome: TransformOutcome, config: TransformConfig) -> TransformOutcome:
    if outcome.error is None or config.fallback is None or config.fallback.value is None:
        return outcome
    if outcome.error.code == NO_ANSWER or outcome.on_failure is not None:  # nobody failed
        return outcome
    return replace(outcome, output=dict(config.fallback.value), error=None, answered_by="fallback value")


def may_be_tried_again(outcome: TransformOutcome) -> bool:
    """Refuse what hung, because each further try would leave one more thread behind, and what is left out by
    design."""
    return outcome.error is not None and outcome.error.code != TIMEOUT and outcome.on_failure != "skip"


def joined(earlier: TransformOutcome, later: TransformOutcome) -> TransformOutcome:
    return replace(later, seconds=earlier.seconds + later.seconds, spent=earlier.spent + later.spent)
