"""Builds the transform that a plan with steps means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from loom_ai.answers.shape import Shape
from loom_ai.journal.models import JournalledModels
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.definition.failures.recovery import OnFailure
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.embed import EmbedTransformConfig
from loom_common.domain.definition.transforms.passthrough import PassthroughTransformConfig
from loom_common.domain.definition.transforms.step_fields import is_sealed, made_by
from loom_common.domain.definition.transforms.steps import StepsTransformConfig
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.asking import AskingKeys, asks
from loom_common.domain.steps.expressions import Expression, expression
from loom_common.domain.steps.graph import Graph, graph_of
from loom_common.domain.steps.joining import JoinStep
from loom_common.domain.steps.keys import StepKeys
from loom_common.domain.steps.nodes import Node
from loom_common.domain.steps.operators import (
    DedupeStep,
    FilterStep,
    GatherStep,
    GroupStep,
    RouterStep,
    SplitStep,
    UnnestStep,
    number_field,
)
from loom_common.domain.steps.queued.chains import own_queues
from loom_common.domain.steps.resolving import ResolveStep
from loom_common.errors import RecordError
from loom_common.user_code.poison_isolation import MODEL_CALLS, Risk
from loom_common.user_code.record_retry import retried
from loom_common.worker.context import Context
from loom_transformer.joining.join import Join
from loom_transformer.joining.near_rows import RECORDS_COMPARED, NearRows, rows_compared, vectors_of
from loom_transformer.joining.resolve import Resolve
from loom_transformer.joining.tables import OtherSources
from loom_transformer.outcome import Transform, TransformOutcome
from loom_transformer.recovered import finished, joined, may_be_tried_again
from loom_transformer.steps.dedupe import SeenStore, dedupe_of
from loom_transformer.steps.parts import opening_of, opening_of_entities
from loom_transformer.steps.served import Served
from loom_transformer.steps.stepping import Applied, Output, Step, StepsTransform

Make = Callable[[Plan], Transform | None]
"""Makes the transform of a plan whose transform is one step."""


def steps_transform(
    plan: Plan,
    config: StepsTransformConfig,
    make: Make,
    seen: SeenStore,
    sources: OtherSources,
    models: JournalledModels,
    served: Served | None = None,
) -> StepsTransform:
    """Build the transform of the plan's steps. `seen` keeps the values that records have, `sources` the rows that they
    are joined with, and `models` gives the vectors by which they are compared. Of steps with queues of their own those
    that are `served` here are built, so that a process needs no packages but those of its steps; None where all steps
    are taken here. Raises what `make` raises."""
    graph = graph_of(config.steps)
    own = () if served is None else own_queues(config.steps)
    asking = [node.name for node in graph.order if _asks_with_a_prompt(config.steps[node.at])]
    steps: dict[str, Step] = {}
    risks: dict[str, Risk] = {}
    for node in graph.order:
        transform = None
        step = config.steps[node.at]
        if served is not None and not served.takes(node.name if node.name in own else None):
            steps[node.name] = _step(graph, node, step, None)
            continue
        if isinstance(step, TransformConfig):
            transform = make(_alone(plan, step, judged=node.name in asking[-1:]))
            if transform is not None and transform.risk is not None:
                risks[node.name] = transform.risk
        made = _step(graph, node, step, transform)
        if isinstance(step, ResolveStep):
            asked = _asking(plan, config, step, make, judged=False)
            vectors = vectors_of(plan, step, models, RECORDS_COMPARED)
            made = replace(made, resolve=Resolve(step, None if asked is None else asked(0), vectors))
            risks |= {node.name: MODEL_CALLS} if _asks_any(step) else {}
        if isinstance(step, JoinStep):
            asked = _asking(plan, config, step, make, judged=node.name in asking[-1:])
            vectors = vectors_of(plan, step, models, rows_compared(step))
            near = None if vectors is None else NearRows(step, vectors)
            made = replace(made, apply=Join(plan, step, sources, asked, near).apply)
            risks |= {node.name: MODEL_CALLS} if _asks_any(step) else {}
        steps[node.name] = replace(made, dedupe=dedupe_of(step, plan, seen)) if isinstance(step, DedupeStep) else made
    return StepsTransform(graph, steps, _output(config, graph), risks, own, parallel=config.parallel)


def _asks_with_a_prompt(step: StepKeys) -> bool:
    return isinstance(step, AiTransformConfig) or asks(step)


def _asks_any(step: JoinStep | ResolveStep) -> bool:
    return step.model is not None or step.embedding is not None


def _asking(
    plan: Plan, config: StepsTransformConfig, step: AskingKeys, make: Make, *, judged: bool
) -> Callable[[int], Applied] | None:
    """Return what makes the transform that asks a step's model about so many candidates; None where it asks none. The
    question about the most is made now, so that its mistakes are found before the first record."""
    if config.question_of(step) is None:
        return None

    def about(count: int) -> Applied:
        question = config.question_of(step, count or None)
        transform = make(_alone(plan, question, judged=judged))
        assert transform is not None
        return _applied(transform, question)

    about(0)
    return about


def _alone(plan: Plan, step: Any, *, judged: bool) -> Plan:
    """Return the plan as if the step were its whole transform. What judging an answer may cost is reserved with the
    answer of the last step that asks a model; what a step remembers of a record is its own."""
    pipeline = plan.pipeline
    changes = {
        "transform": step,
        "name": f"{pipeline.name}/{step.name}",
        "evaluate": pipeline.evaluate if judged else None,
    }
    return plan.model_copy(update={"pipeline": pipeline.model_copy(update=changes)})


def _step(graph: Graph, node: Node, config: StepKeys, transform: Transform | None) -> Step:
    apply = where = route = opening = gathered = None
    on_failure: OnFailure | None = None
    if isinstance(config, AskingKeys) and config.on_failure in ("skip", "abort"):
        on_failure = config.on_failure
    if isinstance(config, TransformConfig):
        on_failure = config.on_failure if config.on_failure in ("skip", "abort") else None
        apply = None if transform is None else _applied(transform, config)
    elif isinstance(config, FilterStep):
        where = expression(config.where)
    elif isinstance(config, RouterStep):
        route = _route(config)
    elif isinstance(config, UnnestStep | SplitStep):
        opening = opening_of(config, gathered=node.name in graph.gathers)
    elif isinstance(config, ResolveStep):
        opening = opening_of_entities(config)
    elif isinstance(config, GatherStep):
        gathered = config.fields
    grouping = config if isinstance(config, GroupStep) else None
    return Step(
        node,
        None if config.when is None else expression(config.when),
        config.criticality,
        on_failure,
        apply,
        where,
        route,
        waits=isinstance(config, EmbedTransformConfig) or _asks_with_a_prompt(config),
        opening=opening,
        gathered=gathered,
        grouping=grouping,
    )


def _applied(transform: Transform, config: TransformConfig) -> Applied:
    """Return what applies a transform to records, tried again as the step says, with the fixed output where it has
    one."""
    attempts = config.max_attempts if config.on_failure == "retry" else 1

    async def apply(
        run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int
    ) -> list[TransformOutcome]:
        async def once(some: Sequence[ExtractedRecord], tried: int) -> list[TransformOutcome]:
            return await transform.apply(run_id, some, context, again + tried)

        outcomes = await retried(records, once, may_be_tried_again, joined, max_attempts=attempts, clock=context.clock)
        return [finished(outcome, config) for outcome in outcomes]

    return apply


def _route(config: RouterStep) -> Callable[[Mapping[str, Any]], str]:
    if config.by is not None:
        return _by_value(config, config.by)
    routes: list[tuple[str, Expression]] = [(name, expression(str(text))) for name, text in config.routes.items()]

    def by_expression(view: Mapping[str, Any]) -> str:
        for name, read in routes:
            if read.holds(view):
                return name
        return _otherwise(config, "no expression of its branches is true")

    return by_expression


def _by_value(config: RouterStep, field: str) -> Callable[[Mapping[str, Any]], str]:
    values = [(name, config.values_of(name)) for name in config.routes]

    def by_value(view: Mapping[str, Any]) -> str:
        if field not in view:
            raise RecordError(f"the record has no field '{field}'", code="missing_field")
        value = view[field]
        for name, leading in values:
            if value in leading:
                return name
        return _otherwise(config, f"no branch is for the value of '{field}'")

    return by_value


def _otherwise(config: RouterStep, why: str) -> str:
    if config.otherwise is None:
        raise RecordError(f"{why}, and there is no `otherwise`", code="no_route")
    return config.otherwise


def _output(config: StepsTransformConfig, graph: Graph) -> Output:
    making = [step for step in config.steps if isinstance(step, TransformConfig)]
    makes_any = graph.has_parts or any(not isinstance(step, PassthroughTransformConfig) for step in making)
    makes_any = makes_any or any(isinstance(step, JoinStep) for step in config.steps)
    shape = None if config.shape is None else Shape(config.shape)
    properties = (config.declared_schema or {}).get("properties") if shape is not None else None
    unsealed = {node.name for node in graph.nodes if not is_sealed(config.steps[node.at])}
    making_names = [node.name for node in graph.nodes if made_by(config.steps[node.at]) != {}]
    pairs = combinations(making_names, 2)
    may_conflict = any(
        (one in unsealed or other in unsealed) and not graph.related(one, other) and not graph.exclusive(one, other)
        for one, other in pairs
    )
    numbers = tuple(number_field(config.steps[node.at]) for node in graph.deriving)
    return Output(makes_any, shape, frozenset(properties) if properties else None, numbers, may_conflict)
