"""Opens what a stage with quality checks needs, from the settings of its service, when a plan first has such checks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from loom_ai.stores.beside_budgets import open_seen_values
from loom_ai.stores.beside_journal import open_marks
from loom_common.flow import Stage
from loom_common.ports.marks import Marks
from loom_common.ports.seen_values import SeenValues
from loom_common.quality.checker import QualityChecker
from loom_common.quality.compiled import compiled
from loom_common.quality.references import ReadColumn, References
from loom_common.service.bootstrap import Platform
from loom_common.user_code.poison_isolation import Isolation
from loom_common.user_code.stage_runner import StageRunner


@dataclass(frozen=True, slots=True)
class _Stores:
    checker: QualityChecker
    marks: Marks
    seen: SeenValues


class QualityStage:
    """Gives a stage its checker. Nothing is opened for a service whose plans have no checks."""

    def __init__(self, platform: Platform, stage: Stage, read_column: ReadColumn) -> None:
        """`read_column` reads the other sources of `reference` checks."""
        self._platform = platform
        self._stage = stage
        self._references = References(read_column)
        self._stores: _Stores | None = None

    def checker(self) -> QualityChecker:
        """Return the checker. Raises `ConfigurationError` for a journal address it cannot read."""
        if self._stores is None:
            self._stores = self._opened()
        return self._stores.checker

    def _opened(self) -> _Stores:
        platform, stage = self._platform, self._stage
        marks = open_marks(platform.settings.journal.url.get_secret_value(), platform.project)
        seen = open_seen_values(platform.settings)
        isolation = Isolation(marks, stage, platform.user_code_lock, platform.clock)
        runner = StageRunner(platform.plans, lambda plan: compiled(plan, stage, platform.project), isolation)
        return _Stores(QualityChecker(stage, runner, seen, self._references, platform.threads), marks, seen)

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close what was opened at the end of the block."""
        async with self._references.closing():
            try:
                yield
            finally:
                if self._stores is not None:
                    await self._stores.marks.close()
                    await self._stores.seen.close()
