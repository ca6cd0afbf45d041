"""Sends the records of a sample through the real transform and the real evaluators, with a model that counts instead of
answering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from loom.preflight.estimating.groups import records_of_all
from loom.project.config import LoomConfig
from loom_ai.journal.models import JournalledModels
from loom_ai.providers.dry_run_client import DryRunClient
from loom_ai.stores.joined.memory import MemoryJoinedTables
from loom_ai.stores.memory.group_members import MemoryGroupMembers
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.stores.memory.marks import MemoryMarks
from loom_common.caching.plan_cache import PlanCache
from loom_common.contracts.v1 import (
    BatchExtracted,
    BatchHeader,
    BatchTransformed,
    ExtractedRecord,
    KeptRecord,
    StageCalls,
    StepCount,
)
from loom_common.domain.definition.transforms.steps import StepsTransformConfig
from loom_common.domain.run.calls import Calls
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.tally import Tally
from loom_common.domain.steps.grouping import group_hash
from loom_common.flow import Stage
from loom_common.user_code.poison_isolation import Isolation
from loom_common.user_code.stage_runner import StageRunner
from loom_common.worker.context import Context
from loom_common.worker.stage_result import kept_for_error
from loom_connectors.ports.context import ConnectorContext
from loom_evaluator.handler import Evaluator
from loom_evaluator.runners import Runners
from loom_extractor.groups import groups
from loom_transformer.attachments.places import AttachmentPlaces
from loom_transformer.grouping import Groups
from loom_transformer.handler import Transformer
from loom_transformer.joining.tables import OtherSources
from loom_transformer.lookups.places import LookupPlaces
from loom_transformer.transforms.catalog import Catalog

V = TypeVar("V")

_MOST_GROUPS = 100_000
"""The most records of groups of a sample."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Holds what the records of a sample take, or those that a step has made of its groups."""

    calls: list[StageCalls]
    kept: list[tuple[Stage, KeptRecord]]
    """Holds what could not be asked about."""
    steps: tuple[StepCount, ...]
    """Holds what each step of the transform counted."""
    factor: float
    """Says how many times as many records a run has."""


async def dry_run(
    plan: Plan,
    config: LoomConfig,
    records: Sequence[ExtractedRecord],
    client: DryRunClient,
    factor: float,
    context: ConnectorContext,
) -> list[Phase]:
    """Return what the records take, of which a run has `factor` times as many; and after each step that groups, what
    the records of its groups take."""
    models = JournalledModels(client, MemoryJournal(), at_batch_price=True)
    models.tools = "made_up"
    project = config.project.resolve()
    places = AttachmentPlaces(config.allowed, config.secrets)
    lookups = LookupPlaces(project, config.allowed, config.secrets)
    sources = OtherSources(MemoryJoinedTables, lambda _: context)
    catalog = Catalog(models, project, places=places, lookups=lookups, sources=sources)
    try:
        store = MemoryGroupMembers()
        transformer = Transformer(_runner(plan, catalog.transform_of, Stage.TRANSFORM), Groups(lambda: store))
        evaluators = Runners(project, models=models).runner_of
        evaluator = Evaluator(_runner(plan, evaluators, Stage.EVALUATE), models)
        header = BatchHeader(
            run_id="estimate", pipeline=plan.pipeline.name, plan=plan.hash, epoch=0, batch_id="estimate", partition=0,
            slice=0, position=0, tally=Tally(extracted=len(records)),
        )  # fmt: skip
        phases = [await _phase(transformer, evaluator, header, records, factor)]
        config_of = plan.pipeline.transform
        for step in config_of.steps_that_group if isinstance(config_of, StepsTransformConfig) else ():
            page = await groups(store, header.run_id, step, None, _MOST_GROUPS)
            made = [
                (group_hash([each.input[name] for name in step.by]), each.derived.members)
                for each in page.records
                if each.derived is not None
            ]
            there = records_of_all(made, factor, step.size)
            factor = there / len(made) if made else factor
            good = [ExtractedRecord(each.id, each.input, each.derived) for each in page.records if each.error is None]
            header = header.model_copy(update={"partition": header.partition + 1})
            if good:
                phases.append(await _phase(transformer, evaluator, header, good, factor))
            errors = [(each, each.error) for each in page.records if each.error is not None]
            phases[-1].kept.extend(
                (Stage.TRANSFORM, kept_for_error(each.id, error, "quarantine", input=each.input))
                for each, error in errors
            )
    finally:
        await catalog.close()
        await models.close()
    return phases


async def _phase(
    transformer: Transformer,
    evaluator: Evaluator,
    header: BatchHeader,
    records: Sequence[ExtractedRecord],
    factor: float,
) -> Phase:
    asking = Context()
    transformed = await transformer(BatchExtracted(header=header, records=tuple(records)), asking)
    calls = [_calls_of(Stage.TRANSFORM, each) for each in asking.usage.lines()]
    kept = [(Stage.TRANSFORM, each) for each in transformed.kept]
    if transformed.records:
        judging = Context()
        evaluated = await evaluator(BatchTransformed(header=header, records=transformed.records), judging)
        calls += [_calls_of(Stage.EVALUATE, each) for each in judging.usage.lines()]
        kept += [(Stage.EVALUATE, each) for each in evaluated.kept]
    return Phase(calls, kept, transformed.steps, factor)


def _runner(plan: Plan, make: Callable[[Plan], V], stage: Stage) -> StageRunner[V]:
    return StageRunner(_Plans(plan), make, Isolation(MemoryMarks(), stage))


def _calls_of(stage: Stage, calls: Calls) -> StageCalls:
    return StageCalls(stage=stage, **calls.model_dump())


class _Plans(PlanCache):
    """Gives the plan of the dry run, whatever is asked for."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    async def get(self, plan_hash: str) -> Plan:
        return self._plan
