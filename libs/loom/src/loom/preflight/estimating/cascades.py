"""Estimates how many calls a cascade takes: made-up answers have no confidence that means anything, so the share of the
records that the dear model is asked about is that of the sample on which the thresholds were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loom_common.contracts.v1 import StageCalls
from loom_common.domain.checks.cascade_file import TRANSFORM, cascades_of, parsed
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.definition.judge_cascade import JudgeCascadeConfig
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.model_options.providers import split_model
from loom_common.domain.run.calls import AMOUNTS
from loom_common.domain.run.plan import Plan
from loom_common.flow import Stage


def asking_always(plan: Plan) -> Plan:
    """Return the plan with cascades that ask both tiers about every record."""
    if not any(cascades_of(plan.pipeline)):
        return plan
    pipeline, changes = plan.pipeline, dict[str, Any]()
    transform, evaluate = pipeline.transform, pipeline.evaluate
    if isinstance(transform, AiTransformConfig) and transform.cascade is not None:
        always = transform.cascade.model_copy(update={"file": None, "threshold": None})
        changes["transform"] = transform.model_copy(update={"cascade": always})
    if evaluate is not None:
        never_sure = {"file": None, "pass_from": None, "fail_below": None}
        evaluators = [
            each.model_copy(update={"cascade": each.cascade.model_copy(update=never_sure)})
            if isinstance(each, ModelJudged) and each.cascade is not None
            else each
            for each in evaluate.evaluators
        ]
        changes["evaluate"] = evaluate.model_copy(update={"evaluators": evaluators})
    return plan.model_copy(update={"pipeline": pipeline.model_copy(update=changes)})


def with_shares(calls: Sequence[StageCalls], plan: Plan) -> list[StageCalls]:
    """Return the calls with as many of the dear models as their cascades ask. One whose thresholds were not chosen on a
    sample counts as if it always asked, which is its worst case."""
    shares = _shares(plan)
    return [_scaled(each, shares.get((each.stage, each.model), 1.0)) for each in calls]


def _shares(plan: Plan) -> dict[tuple[str, str], float]:
    """Return the share of its calls that a dear model is left with, by stage and model as the books name it. Where
    another part of the stage asks the same model, nothing is left out."""
    pipeline = plan.pipeline
    providers = dict(pipeline.providers)
    shares: dict[tuple[str, str], float] = {}
    for _, of, cascade in cascades_of(pipeline):
        if cascade.file is None or cascade.file not in plan.files:
            continue
        asked = parsed(plan.files[cascade.file]).asked
        if of == TRANSFORM and isinstance(pipeline.transform, AiTransformConfig):
            shares[Stage.TRANSFORM, split_model(pipeline.transform.model, providers)[1]] = asked
        elif isinstance(cascade, JudgeCascadeConfig) and pipeline.evaluate is not None:
            judge = next(each for each in pipeline.evaluate.evaluators if each.name == of)
            model = (judge.model if isinstance(judge, ModelJudged) else None) or pipeline.evaluate.model or ""
            alike = [
                each
                for each in pipeline.evaluate.evaluators
                if isinstance(each, ModelJudged) and (each.model or pipeline.evaluate.model) == model
            ]
            if len(alike) == 1:
                shares[Stage.EVALUATE, split_model(model, providers)[1]] = asked
    return shares


def _scaled(calls: StageCalls, share: float) -> StageCalls:
    if share == 1.0:
        return calls
    return calls.model_copy(update={name: type(value)(value * share) for name, value in _amounts(calls).items()})


def _amounts(calls: StageCalls) -> dict[str, Any]:
    return {name: getattr(calls, name) for name in AMOUNTS}
