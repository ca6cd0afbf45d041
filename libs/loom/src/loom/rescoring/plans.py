"""Makes the plans by which the stages work on the outputs of an earlier run."""

from __future__ import annotations

from typing import Any

from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.reader import parse
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.embed import EmbedTransformConfig
from loom_common.domain.definition.transforms.steps import StepsTransformConfig
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.model_options.caching import CacheConfig
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.replaying import Changes, changed
from loom_common.domain.steps.asking import AskingKeys
from loom_common.domain.steps.keys import StepKeys
from loom_coordinator.db.run import Run

_LOCAL = frozenset({"exact_match", "contains", "regex", "json_schema", "range", "length"})
"""The evaluators that give the same score for the same record and output whenever they are asked."""


class OnePlan:
    """Gives one plan, whatever it is asked for."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    async def get(self, plan_hash: str) -> Plan:
        """Return the one plan, whatever hash is asked for."""
        return self._plan


def of_outputs(plan: Plan) -> Plan:
    """Return the plan by which the outputs are had once more. A record's trouble is its own; answers count at any age,
    and what another record or run was answered stands in for none."""
    pipeline = plan.pipeline
    extract = pipeline.extract.model_copy(update={"on_failure": "quarantine", "quality_checks": []})
    made = {"extract": extract, "transform": _had_once_more(pipeline.transform)}
    return plan.model_copy(update={"pipeline": pipeline.model_copy(update=made), "replay": None, "every_hop": True})


def _had_once_more(transform: TransformConfig) -> TransformConfig:
    """Return the transform, or the step of one, by which outputs are had once more."""
    changes: dict[str, Any] = {} if transform.on_failure == "retry" else {"on_failure": "quarantine"}
    if isinstance(transform, StepsTransformConfig):
        steps: list[Any] = list(transform.steps)
        steps = [_had_once_more(step) if isinstance(step, TransformConfig) else step for step in steps]
        changes["steps"] = [_of_its_record(step) for step in steps]
    if isinstance(transform, AiTransformConfig | EmbedTransformConfig):
        changes["cache"] = CacheConfig(enabled=transform.cache.enabled)
    if transform.fallback is not None:
        changes["fallback"] = transform.fallback.model_copy(update={"cached": False})
    return transform.model_copy(update=changes)


def _of_its_record(step: StepKeys) -> StepKeys:
    """Return the step, whose failure is a trouble of its record alone."""
    changes: dict[str, Any] = {"criticality": "required"} if step.criticality == "critical" else {}
    if isinstance(step, AskingKeys):
        changes["cache"] = {"enabled": step.cache.get("enabled", True)}
        changes["on_failure"] = step.on_failure if step.on_failure == "retry" else "quarantine"
    return step.model_copy(update=changes)


def of_judging(plan: Plan, run: Run, changes: Changes) -> Plan:
    """Return the plan by which they are judged. What was judged before is not paid for again, whatever `cache` says.
    Raises `InvalidDefinition`."""
    pipeline = parse(changed(run.definition, changes))
    assert pipeline.evaluate is not None
    settings: dict[str, Any] = {"cache": CacheConfig()}
    if pipeline.evaluate.on_failure != "retry":
        settings["on_failure"] = "quarantine"
    pipeline = pipeline.model_copy(update={"evaluate": pipeline.evaluate.model_copy(update=settings)})
    files = {**plan.files, **changes.files}
    return plan.model_copy(update={"pipeline": pipeline, "files": files, "reuse": True, "replay": None})


def of_witnesses(plan: Plan) -> Plan | None:
    """Return the plan of those evaluators of the run whose scores tell whether a record is what it was; None where it
    had none."""
    evaluate = plan.pipeline.evaluate
    local = [] if evaluate is None else [each for each in evaluate.evaluators if each.type in _LOCAL]
    if evaluate is None or not local:
        return None
    alone: EvaluateConfig = evaluate.model_copy(update={"evaluators": local, "on_failure": "quarantine"})
    return plan.model_copy(update={"pipeline": _with(plan.pipeline, alone)})


def _with(pipeline: Pipeline, evaluate: EvaluateConfig) -> Pipeline:
    return pipeline.model_copy(update={"evaluate": evaluate})
