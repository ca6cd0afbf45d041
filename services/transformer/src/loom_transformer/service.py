"""How a transformer is put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom_ai.compose import open_buckets, open_budgets, open_claims, open_journal, open_marks, open_models
from loom_common import flow
from loom_common.contracts.v1 import BatchExtracted
from loom_common.flow import Stage
from loom_common.service.bootstrap import Platform, Service, StageService
from loom_common.user_code.poison_isolation import Isolation
from loom_common.worker.worker import ConsumerSpec
from loom_transformer.handler import Transformer
from loom_transformer.transforms.catalog import Catalog


def build(platform: Platform) -> Service:
    """The transformer service on `platform`. Raises `ConfigurationError` for a journal address it cannot read."""
    journal = open_journal(platform.settings.journal.url.get_secret_value(), platform.project)
    budgets = open_budgets(platform.settings)
    buckets = open_buckets(platform.settings.journal.url.get_secret_value(), platform.project)
    models = open_models(
        journal,
        platform.credentials,
        platform.clock,
        breakers=platform.breakers,
        budgets=budgets,
        buckets=buckets,
        claims=open_claims(platform.settings.journal.url.get_secret_value()),
    )
    marks = open_marks(platform.settings.journal.url.get_secret_value(), platform.project)

    @asynccontextmanager
    async def closing() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await models.close()
            await marks.close()

    catalog = Catalog(models, platform.project, platform.threads)
    isolation = Isolation(marks, Stage.TRANSFORM, platform.room, platform.clock)
    transformer = Transformer(platform.plans, catalog.transform_of, isolation)
    queue = flow.work_queue(Stage.TRANSFORM)
    duty = ConsumerSpec(queue, (BatchExtracted,), transformer, platform.settings.worker.prefetch)
    return StageService("transformer", [duty], platform, closing)
