"""Asks for runs, and for their batches, scores, records and lineage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loom import kept_record
from loom_api.reads.of_quarantine import QuarantineReads
from loom_api.results.records import RecordOfRun
from loom_common.async_engine import AsyncConnection
from loom_common.domain.access import Action, Kind
from loom_common.errors import NotFound
from loom_coordinator.db.run import Run
from loom_coordinator.queries import batches, lineage, records, run_details, runs
from loom_coordinator.queries.batches import BatchKey, BatchLine
from loom_coordinator.queries.costs import over_run
from loom_coordinator.queries.costs.over_run import Moment
from loom_coordinator.queries.lineage import Lineage
from loom_coordinator.queries.records import Answer, ScoredRecord
from loom_coordinator.queries.run_details import RunDetails
from loom_coordinator.queries.run_filter import RunFilter, RunKey
from loom_coordinator.queries.runs import RunSummary, ShownRun
from loom_coordinator.queries.scores import compared, histograms
from loom_coordinator.queries.scores.compared import ChangedScore, ScoreDelta
from loom_coordinator.queries.scores.histograms import ScoreHistogram


@dataclass(frozen=True, slots=True)
class GoingRun:
    """Holds a run, and how it goes."""

    run: Run
    status: str
    """Is the status that people are shown."""
    details: RunDetails


class RunReads(QuarantineReads):
    """Asks for runs."""

    async def manifest(self, pipeline: str | None, status: str | None, limit: int | None) -> list[ShownRun]:
        """Return all that is known of each run that may be seen, the newest first."""
        among = await self.visible(Kind.RUNS)
        if among is None:
            return await super().manifest(pipeline, status, limit)
        names = sorted(among if pipeline is None else among & {pipeline})
        found = [run for name in names for run in await super(RunReads, self).manifest(name, status, limit)]
        return sorted(found, key=lambda run: run.started_at, reverse=True)[:limit]

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
        return (await self.going(run_id)).details

    async def going(self, run_id: str) -> GoingRun:
        """Return a run with how it goes, all of one moment. Raises `NotFound`."""
        async with self._engine.connect() as connection:
            run = await self.seen(connection, run_id)
            return await self._going(connection, run)

    async def whole_run(self, run_id: str) -> tuple[GoingRun, ShownRun]:
        """Return a run with how it goes, and its report, all of one moment. Raises `NotFound`."""
        async with self._engine.connect() as connection:
            run = await self.seen(connection, run_id)
            return await self._going(connection, run), await runs.shown_of(connection, run, self._alive)

    async def _going(self, connection: AsyncConnection, run: Run) -> GoingRun:
        details = await run_details.of_run(connection, _now(), run)
        return GoingRun(run, runs.status_of(run, self._alive), details)

    async def run_course(self, run_id: str, parts: int) -> Sequence[Moment]:
        """Return how the run's cost grew, and how long models took to answer. Raises `NotFound`."""
        run = await self.known(run_id)
        async with self._engine.connect() as connection:
            return await over_run.over_time(connection, run_id, run.started_at, parts)

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


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
