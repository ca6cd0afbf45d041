"""Opens what a stage that asks models needs, from the settings of its service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from loom_ai.batches.first_use import BatchesAtFirstUse
from loom_ai.budget.prices import Prices
from loom_ai.budget.reservations import BudgetReservations
from loom_ai.compose import open_batches, open_models
from loom_ai.journal.models import JournalledModels
from loom_ai.stores.beside_budgets import open_budgets
from loom_ai.stores.beside_journal import open_buckets, open_claims, open_journal, open_marks
from loom_common.contracts.v1 import RunEpoch
from loom_common.flow import Stage
from loom_common.ports.marks import Marks
from loom_common.service.bootstrap import Platform
from loom_common.user_code.poison_isolation import Isolation


@dataclass(frozen=True, slots=True)
class ModelStage:
    """Gives a stage its models, journalled and within the budgets of runs, and isolates records that take their process
    down."""

    models: JournalledModels
    isolation: Isolation
    marks: Marks
    batches: BatchesAtFirstUse | None = None

    async def hear(self, said: RunEpoch) -> None:
        """Take note of a run that was paused, resumed or cancelled."""
        if self.batches is not None:
            await self.batches.hear(said)

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close both at the end of the block."""
        try:
            yield
        finally:
            await self.models.close()
            await self.marks.close()


def open_model_stage(platform: Platform, stage: Stage) -> ModelStage:
    """Open the model stage on `platform`. Raises `ConfigurationError` for a journal address it cannot read."""
    url = platform.settings.journal.url.get_secret_value()
    journal = open_journal(url, platform.project)
    reservations = BudgetReservations(open_budgets(platform.settings), Prices(), platform.clock)
    batches = open_batches(platform.settings, journal, reservations, platform.credentials, platform.clock)
    models = open_models(
        journal,
        platform.credentials,
        platform.clock,
        breakers=platform.breakers,
        reservations=reservations,
        buckets=open_buckets(url, platform.project),
        claims=open_claims(url),
        keyring=platform.keyring,
        batches=batches,
    )
    marks = open_marks(url, platform.project)
    isolation = Isolation(marks, stage, platform.user_code_lock, platform.clock)
    return ModelStage(models, isolation, marks, batches)
