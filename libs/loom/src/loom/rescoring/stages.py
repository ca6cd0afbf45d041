"""Opens the handlers of the stages, as they work on the outputs of an earlier run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from loom.rescoring import plans
from loom.rescoring.judging import Judge, Judging
from loom.rescoring.outputs import Source
from loom_ai.compose import open_models
from loom_ai.journal.answered_before import PaidAnswersOnly, answered_before
from loom_ai.journal.models import JournalledModels
from loom_ai.stores.beside_budgets import open_budgets
from loom_ai.stores.beside_journal import open_buckets, open_claims, open_journal
from loom_ai.stores.memory.marks import MemoryMarks
from loom_ai.stores.sealed import SealedJournal
from loom_common.async_engine import AsyncEngine
from loom_common.caching.resource_cache import ResourceCache
from loom_common.domain.definition.transforms.step_fields import group_fields, number_fields
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.plan import Plan
from loom_common.errors import ConfigurationError, SourceError
from loom_common.flow import Stage
from loom_common.sealed_stages.handlers import SealedStages
from loom_common.service.bootstrap import Platform
from loom_common.user_code.poison_isolation import Isolation
from loom_common.user_code.stage_runner import StageRunner
from loom_connectors.ports.source import ReceivingSource
from loom_connectors.ports.source import Source as OpenedSource
from loom_coordinator.db.run import Run
from loom_evaluator.handler import Evaluator
from loom_evaluator.runners import Runners
from loom_extractor.duplicates import Duplicates
from loom_extractor.handler import Extractor
from loom_extractor.service import open_source_of
from loom_transformer.attachments.places import AttachmentPlaces
from loom_transformer.handler import Transformer
from loom_transformer.handling import other_sources
from loom_transformer.lookups.places import LookupPlaces
from loom_transformer.transforms.catalog import Catalog


@asynccontextmanager
async def opened_source(engine: AsyncEngine, platform: Platform, run: Run, plan: Plan) -> AsyncIterator[Source]:
    """Open what gives the outputs of a run that has ended, and asks no model for them."""
    assert run.completed_at is not None
    if number_fields(plan.pipeline.transform) or group_fields(plan.pipeline.transform) is not None:
        raise ConfigurationError(
            f"A step of run {run.run_id} makes records of others, and such records cannot be scored again."
        )
    outputs, project = plans.of_outputs(plan), platform.project
    url = platform.settings.journal.url.get_secret_value()
    async with AsyncExitStack() as stack:
        journal = SealedJournal(open_journal(url, project), platform.keyring)
        models = answered_before(journal, run.completed_at, platform.clock)
        stack.push_async_callback(models.close)
        sources: ResourceCache[OpenedSource] = ResourceCache(credentials=platform.credentials)
        await stack.enter_async_context(sources.closing())
        duplicates = Duplicates()
        await stack.enter_async_context(duplicates.closing())

        async def opened(planned: Plan) -> OpenedSource:
            source = await asyncio.to_thread(open_source_of, planned, platform)
            if isinstance(source, ReceivingSource):
                await source.close()
                raise SourceError("A queue gives each message once.")
            return source

        extractor = Extractor(plans.OnePlan(outputs), sources, opened, duplicates, platform.breakers)
        places = AttachmentPlaces(platform.settings.allowed, platform.credentials)
        lookups = LookupPlaces(project, platform.settings.allowed, platform.credentials, platform.breakers)
        joined = other_sources(platform, read=False)
        await stack.enter_async_context(joined.closing())
        catalog = Catalog(models, project, platform.threads, places, lookups=lookups, sources=joined)
        stack.push_async_callback(catalog.close)
        runner = StageRunner(plans.OnePlan(outputs), catalog.transform_of, isolated(Stage.TRANSFORM, platform))
        sealed = SealedStages(plans.OnePlan(outputs), platform.keyring)
        sealer = await sealed.sealer(outputs) if outputs.pipeline.sensitive else None
        yield Source(engine, run, outputs, sealed.of(extractor.read), sealed.of(Transformer(runner)), sealer)


def open_trial_models(platform: Platform) -> JournalledModels:
    """Open models whose answers are kept, and are noted as those of no run."""
    settings, project = platform.settings, platform.project
    url = settings.journal.url.get_secret_value()
    return open_models(
        PaidAnswersOnly(open_journal(url, project)),
        platform.credentials,
        platform.clock,
        breakers=platform.breakers,
        budgets=open_budgets(settings),
        buckets=open_buckets(url, project),
        claims=open_claims(url),
        keyring=platform.keyring,
    )


@asynccontextmanager
async def opened_judging(
    platform: Platform, plan: Plan, judged_by: Plan, rescoring_id: str, budget: Budget | None
) -> AsyncIterator[Judging]:
    """Open what judges the outputs of a run, whose plan is `plan`, by the evaluators of another one."""
    models = open_trial_models(platform)
    runners = Runners(platform.project, platform.threads, models)

    def evaluator(judged: Plan) -> Judge:
        one = plans.OnePlan(judged)
        runner = StageRunner(one, runners.runner_of, isolated(Stage.EVALUATE, platform))
        return SealedStages(one, platform.keyring).of(Evaluator(runner, models))

    witnesses = plans.of_witnesses(plan)
    try:
        yield Judging(
            rescoring_id,
            plan.pipeline.name,
            evaluator(judged_by),
            None if witnesses is None else evaluator(witnesses),
            budget,
        )
    finally:
        await models.close()


def isolated(stage: Stage, platform: Platform) -> Isolation:
    """Return what isolates the records of a stage in this process."""
    return Isolation(MemoryMarks(), stage, platform.user_code_lock, platform.clock)
