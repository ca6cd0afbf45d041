"""Shows what runs cost and come to, and what they were estimated to cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loom.views.state import StateViews
from loom_common.domain.values.ids import state_name
from loom_common.flow import Stage

if TYPE_CHECKING:
    from loom.preflight.estimate import Estimate
    from loom_coordinator.queries.costs.spans import CostSpan
    from loom_coordinator.queries.pipeline_figures import PipelineFigures


class SpendingViews(StateViews):
    """Shows costs and figures."""

    async def costs(self, pipeline: str | None, span: str) -> list[CostSpan]:
        """Return what the runs of a pipeline, or of all, cost, by `day`, `week` or `month`, the newest first."""
        from loom_coordinator.queries.costs import paid

        async with self._engine.connect() as connection:
            return await paid.by_span(connection, pipeline, span)

    async def metrics(self, pipeline: str, run_id: str | None, newest: int) -> PipelineFigures | None:
        """Return what one run of a pipeline comes to, or its newest ones together; None where there is none."""
        from loom_coordinator.queries import pipeline_figures

        async with self._engine.connect() as connection:
            return await pipeline_figures.of_pipeline(connection, pipeline, run_id, newest, self._alive)

    async def tokens_per_answer(self, pipeline: str) -> dict[tuple[str, str], float]:
        """Return the tokens per answer in the pipeline's runs so far, by purpose and model."""
        from loom_coordinator.queries.costs import paid

        async with self._engine.connect() as connection:
            return await paid.tokens_per_answer(connection, pipeline)

    async def keep_estimate(self, estimate: Estimate) -> None:
        """Store the estimate, so that the next run is compared with it."""
        from loom_coordinator.accounting import estimates

        kept_under = state_name(estimate.pipeline, self._config.target)
        by_stage = {stage.value: estimate.cost_of(stage) for stage in (Stage.TRANSFORM, Stage.EVALUATE)}
        async with self._engine.begin() as connection:
            await estimates.keep(connection, kept_under, estimate.records, estimate.cost, by_stage)
