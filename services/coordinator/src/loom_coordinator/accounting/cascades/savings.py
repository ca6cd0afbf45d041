"""Sums up what the cascades of a run saved, and what is promised of them. It does no I/O.

This imports the whole definition of pipelines, which a run without cascades does without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loom_common.contracts.v1 import CascadeSummary, StageCalls
from loom_common.domain.checks.cascade_file import TRANSFORM, cascades_of, parsed
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.cascade import CASCADE, CascadeConfig
from loom_common.domain.model_options.providers import split_model
from loom_common.domain.run.calls import CHEAP, DEAR
from loom_common.domain.run.plan import Plan
from loom_common.flow import Stage


def promises_of(plan: Plan) -> dict[str, dict[str, Any]] | None:
    """Return what the plan's cascade files promise, by what each is of; None where it has none."""
    found = {}
    for _, name, cascade in cascades_of(plan.pipeline):
        if cascade.file is not None and cascade.file in plan.files:
            file = parsed(plan.files[cascade.file])
            found[name] = {"words": file.promise, "asked": file.asked}
    return found or None


def summed_up(
    pipeline: Pipeline,
    counts: Mapping[tuple[str, str], tuple[int, int]],
    spent: Sequence[StageCalls],
    promises: Mapping[str, Any],
) -> Iterator[CascadeSummary]:
    for _, name, cascade in cascades_of(pipeline):
        stage = Stage.TRANSFORM if isinstance(cascade, CascadeConfig) else Stage.EVALUATE
        records, asked = counts.get((stage, CASCADE if stage is Stage.TRANSFORM else name), (0, 0))
        cheap, dear = _tiers(pipeline, name, cascade)
        promise = promises.get(name, {})
        yield CascadeSummary(
            stage=stage,
            name=name,
            cheap=cheap,
            dear=dear,
            records=records,
            asked=asked,
            saved_calls=records - asked,
            answered={CHEAP: records - asked, DEAR: asked},
            saved_usd=saved(records - asked, _named(cheap, pipeline), _named(dear, pipeline), stage, spent),
            promise=promise.get("words"),
            expected=promise.get("asked"),
        )


def saved(kept: int, cheap: str, dear: str, stage: str, spent: Sequence[StageCalls]) -> float | None:
    """Return the USD that were saved by not asking the dear model about `kept` records, which cost as much as its calls
    did on average, less what the cheap one cost. It is negative where that cost more. None where no call of the dear
    model with a known price tells."""
    of_dear = [each for each in spent if each.stage == stage and each.model == dear and each.made]
    made = sum(each.made for each in of_dear)
    if not made or any(each.unpriced for each in of_dear):
        return None
    of_cheap = sum(each.cost for each in spent if each.stage == stage and each.model == cheap)
    return kept * sum(each.cost for each in of_dear) / made - of_cheap


def _tiers(pipeline: Pipeline, name: str, cascade: Any) -> tuple[str, str]:
    transform, evaluate = pipeline.transform, pipeline.evaluate
    if name == TRANSFORM and isinstance(cascade, CascadeConfig):
        assert isinstance(transform, AiTransformConfig)
        return cascade.cheap.name, transform.model
    assert evaluate is not None
    judge = next(each for each in evaluate.evaluators if each.name == name)
    assert isinstance(judge, ModelJudged)
    cheap = cascade.cheap
    return getattr(cheap, "model", None) or cheap.type, judge.model or evaluate.model or ""


def _named(model: str, pipeline: Pipeline) -> str:
    """Return a model as the books name it."""
    return split_model(model, dict(pipeline.providers))[1]
