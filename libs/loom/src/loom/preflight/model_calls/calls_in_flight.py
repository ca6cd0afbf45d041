"""Tells whether as many calls can be in flight as a provider's `concurrency` says: what is said before a run begins."""

from __future__ import annotations

from loom.preflight.model_calls.model_endpoints import endpoints
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_coordinator.flow_control.windows import full_window, slice_batches


def told(pipeline: Pipeline) -> str | None:
    """Tell why the number is not reached, in words; None where it is, or none is configured. A run has only so many
    batches on their way at once, so very small batches hold fewer records than a model may be asked about."""
    transform = pipeline.transform
    if not isinstance(transform, AiTransformConfig):
        return None
    asked, size = next(endpoints(pipeline)).concurrency, pipeline.extract.batch_size
    if asked is None or calls(size, transform.records_per_call) >= asked:
        return None
    per_call = transform.records_per_call
    enough = next(more for more in range(size, asked * per_call + 1) if calls(more, per_call) >= asked)
    return (
        f"`concurrency: {asked}` is not reached: batches of {size} hold the records of at most {calls(size, per_call)} "
        f"calls at once. Let `extract.batch_size` be {enough} or more"
    )


def calls(batch_size: int, records_per_call: int) -> int:
    """Return for how many calls at once a run has records on their way, at most."""
    return batch_size * full_window(slice_batches(batch_size)) // records_per_call
