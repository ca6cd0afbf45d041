"""What becomes of records that a transform fails on, before they are kept back: another try, or a fixed output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.definition.transform import TransformConfig
from loom_common.domain.marks import TIMEOUT
from loom_common.user_code.record_retry import retried
from loom_common.worker.context import Context
from loom_transformer.outcome import Transform, TransformOutcome


async def recovered(
    transform: Transform, run_id: str, records: Sequence[ExtractedRecord], config: TransformConfig, context: Context
) -> list[TransformOutcome]:
    """One outcome per record, in order, as `on_failure` says. Raises what the transform raises."""

    async def attempt(some: Sequence[ExtractedRecord], again: int) -> list[TransformOutcome]:
        return await transform.apply(run_id, some, context, again)

    outcomes = await retried(
        records,
        attempt,
        failed=_may_be_tried_again,
        joined=_joined,
        max_attempts=config.max_attempts if config.on_failure == "retry" else 1,
        clock=context.clock,
    )
    return [fallen_back(outcome, config) for outcome in outcomes]


def fallen_back(outcome: TransformOutcome, config: TransformConfig) -> TransformOutcome:
    """The outcome; where it failed and the pipeline fixes an output for that, that output."""
    if outcome.error is None or config.fallback is None or config.fallback.value is None:
        return outcome
    return replace(outcome, output=dict(config.fallback.value), error=None, answered_by="fallback value")


def _may_be_tried_again(outcome: TransformOutcome) -> bool:
    """Not what hung: each further try would leave one more thread behind."""
    return outcome.error is not None and outcome.error.code != TIMEOUT


def _joined(earlier: TransformOutcome, later: TransformOutcome) -> TransformOutcome:
    return replace(later, seconds=earlier.seconds + later.seconds, spent=earlier.spent + later.spent)
