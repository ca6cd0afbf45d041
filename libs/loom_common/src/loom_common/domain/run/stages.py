"""Says which stages a batch of a run visits. A stage that has nothing to do is not visited: its effect on records is
known before."""

from __future__ import annotations

from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.passthrough import PassthroughTransformConfig
from loom_common.domain.run.plan import Plan
from loom_common.flow import Stage


def has_work(stage: Stage, pipeline: Pipeline) -> bool:
    """Return whether a stage does anything to the records of a pipeline. A `passthrough` that declares no `output` and
    no `schema` does not, and neither does evaluation without evaluators. Extraction and loading always do."""
    match stage:
        case Stage.TRANSFORM:
            transform = pipeline.transform
            if not isinstance(transform, PassthroughTransformConfig):
                return True
            return transform.shape is not None or transform.schema_ is not None
        case Stage.EVALUATE:
            return pipeline.evaluate is not None
        case _:
            return True


def visited(plan: Plan) -> tuple[Stage, ...]:
    """Return the stages that every batch of the plan's run visits, in their order: those that have work, or all where
    the plan says so."""
    return tuple(stage for stage in Stage if plan.every_hop or has_work(stage, plan.pipeline))
