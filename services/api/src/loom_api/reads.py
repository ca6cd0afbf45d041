"""Asks run state, and the broker of a cluster, what requests want to know."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from loom import kept_record, pipeline_list
from loom.kept_record import RecordStory
from loom.pipeline_list import ListedPipeline
from loom.project.catalog import nothing_named
from loom.project.config import LoomConfig
from loom.project.person import person
from loom.project.run_state import no_run
from loom.views import Views
from loom_api.results import PipelineDetails, RecordOfRun
from loom_common.async_engine import AsyncEngine
from loom_common.domain.access import Action, Kind, Viewer
from loom_common.errors import NotFound
from loom_common.ports.bus import Bus
from loom_coordinator.alerts import store
from loom_coordinator.db import audit_log
from loom_coordinator.db.audit_log import Act, AuditLine
from loom_coordinator.db.run import Run
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
from loom_coordinator.queries.costs.spans import CostSpan
from loom_coordinator.queries.dead_letters import DeadLetterLine, WholeDeadLetter
from loom_coordinator.queries.lineage import Lineage
from loom_coordinator.queries.pipeline_figures import PipelineFigures
from loom_coordinator.queries.prefetch import PrefetchLimit
from loom_coordinator.queries.records import Answer, ScoredRecord
from loom_coordinator.queries.run_details import RunDetails
from loom_coordinator.queries.run_filter import RunFilter, RunKey
from loom_coordinator.queries.runs import RunSummary, ShownRun
from loom_coordinator.queries.scores import compared, histograms
from loom_coordinator.queries.scores.compared import ChangedScore, ScoreDelta
from loom_coordinator.queries.scores.histograms import ScoreHistogram
from loom_coordinator.queries.versions import contexts
from loom_coordinator.queries.versions.contexts import ContextVersion
from loom_quarantine.queries import CauseCount, RecordFilter, Standing, WholeRecord

MASKED = "hidden: it may quote contents, which `read_data` of the pipeline's quarantine shows"
"""Stands in the place of a reason that may not be seen."""


class Reads(Views):
    """Adds to what the command line asks what only the API does: pages, and results that several queries make up."""

    def __init__(self, engine: AsyncEngine, config: LoomConfig, bus: Bus | None) -> None:
        super().__init__(engine, config)
        self._bus = bus
        self._viewer = Viewer(person())

    def of(self, viewer: Viewer) -> Self:
        """Return what answers somebody: only of what they may see."""
        seen = copy.copy(self)
        seen._viewer = viewer
        return seen

    @property
    def viewer(self) -> Viewer:
        """Return who is answered."""
        return self._viewer

    async def visible(self, kind: Kind, action: Action = Action.READ) -> frozenset[str] | None:
        """Return the pipelines that have run of which the viewer may do something to what they have of a kind; None
        where access is not controlled."""
        if self._viewer.unlimited:
            return None
        async with self._engine.connect() as connection:
            return self._viewer.among(await pipelines.names(connection), kind, action)

    async def row(self, run_id: str) -> Run | None:
        """Return the run as its row holds it; None where there is no such run, or none that the viewer may see."""
        run = await super().row(run_id)
        return run if run is not None and self._viewer.may(Kind.RUNS, Action.READ, run.pipeline_name) else None

    def no_run(self, run_id: str) -> NotFound:
        """Return the error for a run that is not there for the viewer, without the place of run state."""
        return no_run(self._config, run_id, told_place=False)

    async def run(self, run_id: str) -> ShownRun | None:
        """Return a run's report; None where there is no such run, or none that the viewer may see."""
        return None if await self.row(run_id) is None else await super().run(run_id)

    async def costs(self, pipeline: str | None, span: str) -> list[CostSpan]:
        """Return what the runs of a pipeline, or of all whose costs may be seen, cost, the newest first."""
        among = await self.visible(Kind.COSTS)
        async with self._engine.connect() as connection:
            return await paid.by_span(connection, pipeline, span, among)

    async def manifest(self, pipeline: str | None, status: str | None, limit: int | None) -> list[ShownRun]:
        """Return all that is known of each run that may be seen, the newest first."""
        among = await self.visible(Kind.RUNS)
        if among is None:
            return await super().manifest(pipeline, status, limit)
        names = sorted(among if pipeline is None else among & {pipeline})
        found = [run for name in names for run in await super(Reads, self).manifest(name, status, limit)]
        return sorted(found, key=lambda run: run.started_at, reverse=True)[:limit]

    async def replayable(self, chosen: RecordFilter) -> Standing:
        """Tell which of the records chosen a replay would take up."""
        among = await self.visible(Kind.QUARANTINE, Action.REPLAY)
        return await super().replayable(replace(chosen, among=among))

    async def quarantine_page(self, chosen: RecordFilter, limit: int, before: int | None = None) -> list[WholeRecord]:
        """Return a page of the records chosen that may be seen, newest first. Where their contents may not, these are
        left out, and so is the reason, which may quote them."""
        among, whole = await self.visible(Kind.QUARANTINE), await self.visible(Kind.QUARANTINE, Action.READ_DATA)
        found = await super().quarantine_page(replace(chosen, among=among, worded=whole), limit, before)
        return [each if whole is None or each.pipeline_name in whole else _masked(each) for each in found]

    async def quarantine_stats(self, chosen: RecordFilter) -> list[CauseCount]:
        """Count the records that may be seen, by what they did not get through for."""
        return await super().quarantine_stats(replace(chosen, among=await self.visible(Kind.QUARANTINE)))

    async def quarantined_record(self, record_id: str, run_id: str | None = None) -> RecordStory | None:
        """Return all that is known of one record that was kept back; None where there is none that may be seen."""
        if self._viewer.unlimited:
            return await super().quarantined_record(record_id, run_id)
        whole = await self.visible(Kind.QUARANTINE, Action.READ_DATA)
        meant = RecordFilter(run_id=run_id, record_ids=(record_id,), among=whole)
        newest = await super().quarantine_page(meant, 1)
        return await super().quarantined_record(record_id, newest[0].run_id) if newest else None

    async def pipeline_of_alert(self, alert_id: int) -> str:
        """Return the pipeline of an alert. Raises `NotFound`, also where it may not be seen."""
        async with self._engine.connect() as connection:
            pipeline = (await alerts.find(connection, alert_id)).pipeline_name
        if not self._viewer.may(Kind.ALERTS, Action.READ, pipeline):
            raise NotFound(f"There is no alert {alert_id}.")
        return pipeline

    async def acknowledge(self, alert_id: int, by: str) -> AlertLine:
        """Note that somebody has seen an alert, and that they said so, in one transaction. Raises `NotFound`."""
        pipeline = await self.pipeline_of_alert(alert_id)
        now = _now()
        async with self._engine.begin() as connection:
            await store.acknowledge(connection, alert_id, by, now)
            line = await alerts.find(connection, alert_id)
            act = Act(by, self._viewer.token_name, "acknowledge", f"alerts/{pipeline}", {"alert": alert_id})
            await audit_log.note(connection, act, now, audit_log.DONE, line.run_id)
            return line

    async def audit_page(self, user: str | None, limit: int, before: int | None) -> list[AuditLine]:
        """Return a page of what was done, the newest first."""
        async with self._engine.connect() as connection:
            return await audit_log.page(connection, user, limit, before)

    async def pipeline(self, name: str) -> PipelineDetails:
        """Return a pipeline with its versions. Raises `NotFound`."""
        listed = await self.listed()
        line = next((each for each in listed if each.name == name), None)
        if line is None:
            raise nothing_named(name, {each.name for each in listed})
        async with self._engine.connect() as connection:
            versions = await pipelines.versions(connection, name)
        return PipelineDetails(line, versions)

    async def figures(self, name: str, run_id: str | None, newest: int) -> PipelineFigures:
        """Return what one run of a pipeline comes to, or its newest ones together. Raises `NotFound`."""
        await self.pipeline(name)
        found = await self.metrics(name, run_id, newest)
        if found is None:
            what = "" if run_id is None else f" {run_id}"
            raise NotFound(f"No run{what} of '{name}' is known here. GET /api/v1/runs lists the runs.")
        return found

    async def contexts(self, name: str) -> list[ContextVersion]:
        """Return the versions of the context files of a pipeline. Raises `NotFound` for an unknown pipeline."""
        await self.pipeline(name)
        async with self._engine.connect() as connection:
            return await contexts.listed(connection, name)

    async def context(self, name: str, version: str, path: str | None) -> ContextVersion:
        """Return one version of a context file. Raises `NotFound`, and `ConfigurationError` where several are meant."""
        return contexts.meant(await self.contexts(name), version, path)

    async def pipeline_names(self) -> list[str]:
        """Return the names of the pipelines that have run here."""
        async with self._engine.connect() as connection:
            names = await pipelines.names(connection)
        kinds = (Kind.PIPELINES, Kind.RUNS, Kind.QUARANTINE, Kind.COSTS, Kind.ALERTS)
        return [name for name in names if any(self._viewer.may(kind, Action.READ, name) for kind in kinds)]

    async def costs_by_pipeline(self) -> list[tuple[str, float]]:
        """Return what the runs of each pipeline cost in USD, the most first."""
        async with self._engine.connect() as connection:
            found = await paid.by_pipeline(connection)
        return [each for each in found if self._viewer.may(Kind.COSTS, Action.READ, each[0])]

    async def listed(self) -> list[ListedPipeline]:
        """Return the pipelines of the project's folders, and those that have run."""
        found = await asyncio.to_thread(
            pipeline_list.pipelines, self._config, await self.pipelines(), self._config.project
        )
        return [each for each in found if self._viewer.may(Kind.PIPELINES, Action.READ, each.name)]

    async def run_page(self, chosen: RunFilter, limit: int, after: RunKey | None) -> list[RunSummary]:
        """Return a page of the runs that match, the newest first."""
        chosen = replace(chosen, among=await self.visible(Kind.RUNS))
        async with self._engine.connect() as connection:
            return await runs.page(connection, chosen, limit, after, self._alive)

    async def shown_run(self, run_id: str) -> ShownRun:
        """Return a run's report, as far as it has come. Raises `NotFound`."""
        if (run := await self.run(run_id)) is None:
            raise self.no_run(run_id)
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
            found = await lineage.newest_of_each(connection, self._alive)
        return [each for each in found if self._viewer.may(Kind.RUNS, Action.READ, each[0])]

    async def bases(self) -> dict[str, str]:
        """Return the folder of each pipeline that has run, which its relative paths start from."""
        async with self._engine.connect() as connection:
            return await pipelines.bases(connection)

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
            answered_by = await records.answered_by(connection, run_id, record_id)
        calls = await kept_record.calls(self._config, run_id, record_id)
        kept = await self.quarantined_record(record_id, run_id)
        if not (scores or calls or kept or answered_by):
            raise NotFound(
                f"Nothing is known of a record {record_id!r} in run {run_id}: it was not evaluated, no model was asked "
                "for it, and it was not kept back."
            )
        return RecordOfRun(run_id, record_id, scores, calls, kept, answered_by)

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
        chosen = replace(chosen, among=await self.visible(Kind.ALERTS))
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


def _masked(record: WholeRecord) -> WholeRecord:
    """Return a record without what its source, its model or an error says of its contents."""
    return replace(record, record_data={}, failure_reason=MASKED, error_details=None, output=None)
