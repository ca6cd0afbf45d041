"""Asks run state, and the broker of a cluster, what requests want to know."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence

from loom import kept_record, pipeline_list
from loom.kept_record import RecordStory
from loom.pipeline_list import ListedPipeline
from loom.project.catalog import nothing_named
from loom.project.config import LoomConfig
from loom.project.run_state import no_run
from loom.views import Views
from loom_api.results import PipelineDetails, RecordOfRun
from loom_common.async_engine import AsyncEngine
from loom_common.errors import NotFound
from loom_common.ports.bus import Bus
from loom_coordinator.queries import (
    alerts,
    batches,
    cluster,
    dead_letters,
    lineage,
    pipelines,
    prefetch,
    records,
    run_details,
    runs,
)
from loom_coordinator.queries.alerts import AlertFilter, AlertLine
from loom_coordinator.queries.batches import BatchKey, BatchLine
from loom_coordinator.queries.cluster import Overview
from loom_coordinator.queries.costs import paid
from loom_coordinator.queries.dead_letters import DeadLetterLine, WholeDeadLetter
from loom_coordinator.queries.lineage import Lineage
from loom_coordinator.queries.prefetch import PrefetchLimit
from loom_coordinator.queries.records import Answer, ScoredRecord
from loom_coordinator.queries.run_details import RunDetails
from loom_coordinator.queries.run_filter import RunFilter, RunKey
from loom_coordinator.queries.runs import RunSummary, ShownRun
from loom_coordinator.queries.scores import compared, histograms
from loom_coordinator.queries.scores.compared import ChangedScore, ScoreDelta
from loom_coordinator.queries.scores.histograms import ScoreHistogram


class Reads(Views):
    """Adds to what the command line asks what only the API does: pages, and results that several queries make up."""

    def __init__(self, engine: AsyncEngine, config: LoomConfig, bus: Bus | None) -> None:
        super().__init__(engine, config)
        self._bus = bus

    async def pipeline(self, name: str) -> PipelineDetails:
        """Return a pipeline with its versions. Raises `NotFound`."""
        listed = await self.listed()
        line = next((each for each in listed if each.name == name), None)
        if line is None:
            raise nothing_named(name, {each.name for each in listed})
        async with self._engine.connect() as connection:
            versions = await pipelines.versions(connection, name)
        return PipelineDetails(line, versions)

    async def pipeline_names(self) -> list[str]:
        """Return the names of the pipelines that have run here."""
        async with self._engine.connect() as connection:
            return await pipelines.names(connection)

    async def costs_by_pipeline(self) -> list[tuple[str, float]]:
        """Return what the runs of each pipeline cost in USD, the most first."""
        async with self._engine.connect() as connection:
            return await paid.by_pipeline(connection)

    async def listed(self) -> list[ListedPipeline]:
        """Return the pipelines of the project's folders, and those that have run."""
        return await asyncio.to_thread(
            pipeline_list.pipelines, self._config, await self.pipelines(), self._config.project
        )

    async def run_page(self, chosen: RunFilter, limit: int, after: RunKey | None) -> list[RunSummary]:
        """Return a page of the runs that match, the newest first."""
        async with self._engine.connect() as connection:
            return await runs.page(connection, chosen, limit, after, self._alive)

    async def shown_run(self, run_id: str) -> ShownRun:
        """Return a run's report, as far as it has come. Raises `NotFound`."""
        if (run := await self.run(run_id)) is None:
            raise no_run(self._config, run_id)
        return run

    async def run_details(self, run_id: str) -> RunDetails:
        """Tell how a run goes: its stages, rates, batches and calls. Raises `NotFound`."""
        await self.known(run_id)
        async with self._engine.connect() as connection:
            return await run_details.details(connection, _now(), run_id)

    async def run_lineage(self, run_id: str) -> Lineage:
        """Return where the records of a run came from and went. Raises `NotFound`, also where nothing is written of it
        yet."""
        run = await self.known(run_id)
        found = await self.lineage(run.pipeline_name, run_id)
        if not found:
            raise NotFound(f"The lineage of run {run_id} is not written yet. It is when the run ends.")
        return found[0]

    async def newest_lineage(self) -> list[tuple[str, Lineage]]:
        """Return the lineage of the newest run of each pipeline that has ended, with the pipeline's name."""
        async with self._engine.connect() as connection:
            return await lineage.newest_of_each(connection, self._alive)

    async def score_histograms(self, run_id: str) -> list[ScoreHistogram]:
        """Return how the scores of a run are distributed, by evaluator. Raises `NotFound`."""
        await self.known(run_id)
        async with self._engine.connect() as connection:
            return await histograms.of_run(connection, run_id)

    async def score_changes(self, before: str, after: str) -> tuple[list[ScoreDelta], Sequence[ChangedScore]]:
        """Return how the scores of two runs differ, by evaluator, and the records that differ most. Raises
        `NotFound`."""
        await self.known(before)
        await self.known(after)
        async with self._engine.connect() as connection:
            deltas = await compared.deltas(connection, before, after)
            return deltas, await compared.most_changed(connection, before, after)

    async def answers(self, run_id: str, record_id: str) -> list[Answer] | None:
        """Return the answers of models that a run paid for one record; None where the journal cannot tell."""
        return await kept_record.answers(self._config, run_id, record_id)

    async def prompt_template(self, run_id: str) -> str | None:
        """Return the template of the prompt of a run; None where it asks no model. Raises `NotFound`."""
        return await kept_record.template(self._config, await self.known(run_id))

    async def batch_page(self, run_id: str, limit: int, after: BatchKey | None) -> list[BatchLine]:
        """Return a page of a run's batches, in the order of the source. Raises `NotFound`."""
        await self.known(run_id)
        async with self._engine.connect() as connection:
            return await batches.page(connection, run_id, limit, after)

    async def scored_page(self, run_id: str, limit: int, after: str | None) -> list[ScoredRecord]:
        """Return a page of a run's records that were evaluated, in the order of their ids. Raises `NotFound`."""
        await self.known(run_id)
        async with self._engine.connect() as connection:
            return await records.scored(connection, run_id, limit, after)

    async def record(self, run_id: str, record_id: str) -> RecordOfRun:
        """Return all that is known of a record of a run. Raises `NotFound` where nothing is."""
        await self.known(run_id)
        async with self._engine.connect() as connection:
            scores = await records.scores(connection, run_id, record_id)
        calls = await kept_record.calls(self._config, run_id, record_id)
        kept = await self.quarantined_record(record_id, run_id)
        if not (scores or calls or kept):
            raise NotFound(
                f"Nothing is known of a record {record_id!r} in run {run_id}: it was not evaluated, no model was asked "
                "for it, and it was not kept back."
            )
        return RecordOfRun(run_id, record_id, scores, calls, kept)

    async def refuse_other(self, run_id: str | None, pipeline: str | None) -> None:
        """Raise `NotFound` where a run is named that is not known here, and `ConfigurationError` where it is not one of
        the pipeline named."""
        if run_id is not None:
            await self.known(run_id, pipeline)

    async def kept_record(self, record_id: str, run_id: str | None) -> RecordStory:
        """Return all that is known of a record that was kept back. Raises `NotFound`."""
        if run_id is not None:
            await self.known(run_id)
        if (story := await self.quarantined_record(record_id, run_id)) is None:
            where = f" of run {run_id}" if run_id else ""
            raise NotFound(f"No record {record_id!r}{where} is in quarantine. See: loom quarantine list")
        return story

    async def alert_page(self, chosen: AlertFilter, limit: int, before: int | None) -> list[AlertLine]:
        """Return a page of the alerts that match, the newest first."""
        async with self._engine.connect() as connection:
            return await alerts.page(connection, chosen, limit, before)

    @property
    def has_cluster(self) -> bool:
        """Tell whether these are the runs of a cluster."""
        return self._bus is not None

    async def fleet(self) -> Overview:
        """Return the services and queues of the cluster. Raises `NotFound` where there is no cluster."""
        ready = await cluster.depths(self.broker)
        async with self._engine.connect() as connection:
            return await cluster.overview(connection, _now(), ready)

    async def prefetch_limits(self) -> list[PrefetchLimit]:
        """Return the prefetch limits of the cluster's queues."""
        async with self._engine.connect() as connection:
            return await prefetch.limits(connection, _now())

    async def dead_letters(self, limit: int) -> list[DeadLetterLine]:
        """Return the oldest dead letters. Raises `NotFound` where there is no cluster."""
        async with dead_letters.taken(self.broker, limit) as letters:
            return [each.summary() for each in letters]

    async def dead_letter(self, letter_id: str) -> WholeDeadLetter:
        """Return one dead letter. Raises `NotFound`."""
        async with dead_letters.taken(self.broker) as letters:
            return dead_letters.chosen(letters, [letter_id])[0].whole()

    @property
    def broker(self) -> Bus:
        """Return the broker. Raises `NotFound` where there is no cluster."""
        if self._bus is None:
            raise NotFound(
                "There is no cluster here: this project runs embedded, without a broker. `loom serve --cluster` "
                "answers for a cluster."
            )
        return self._bus


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
