"""Run state as users ask for it: the queries of the coordinator and of the quarantine on one state database.

Only the queries on runs are imported with this module, because every command asks for runs, and few ask for anything
else."""

from __future__ import annotations

import datetime as dt
import getpass
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from loom.project.config import LoomConfig
from loom.project.engines import alive
from loom.project.person import person
from loom.project.run_state import no_run
from loom_common.async_engine import AsyncEngine
from loom_common.contracts.v1 import RunAccepted, RunReport
from loom_common.domain.incremental.window import Window
from loom_common.domain.values.ids import state_name
from loom_common.errors import ConfigurationError, NotFound
from loom_common.flow import Stage
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.queries import runs
from loom_coordinator.queries.run_filter import INTERRUPTED
from loom_coordinator.queries.runs import RunSummary, RunWithParams, ShownRun
from loom_migrations.engine import open_engine
from loom_migrations.trouble import told_plainly
from loom_migrations.upgrade import is_current, upgrade_all

if TYPE_CHECKING:
    from loom.kept_record import RecordStory
    from loom.preflight.estimate import Estimate
    from loom_common.domain.definition.pipeline import ExtractConfig
    from loom_common.domain.schema.columns import Columns
    from loom_coordinator.db.audit_log import AuditLine
    from loom_coordinator.db.marks import Mark
    from loom_coordinator.db.schema_versions import SchemaVersion
    from loom_coordinator.db.sign_in.tokens import TokenLine
    from loom_coordinator.db.streams import OpenWindow, Stream
    from loom_coordinator.queries.alerts import AlertLine
    from loom_coordinator.queries.costs.spans import CostSpan
    from loom_coordinator.queries.lineage import Lineage
    from loom_coordinator.queries.pipeline_figures import PipelineFigures
    from loom_coordinator.queries.pipelines import PipelineSummary
    from loom_coordinator.queries.streams.shown import ShownStream
    from loom_coordinator.queries.versions.prompts import PromptVersion
    from loom_quarantine import queries
    from loom_quarantine.queries import RecordFilter

_PAGE = 1000
"""Quarantined records read at once."""
_MOST_UNFINISHED = 50
"""The newest runs of a pipeline among which unfinished ones are looked for."""


class Views:
    """Open with `open_views`. It knows which embedded engines of the project still run."""

    def __init__(self, engine: AsyncEngine, config: LoomConfig) -> None:
        self._engine = engine
        self._config = config

    @property
    def engine(self) -> AsyncEngine:
        """Return the engine of the state database."""
        return self._engine

    async def row(self, run_id: str) -> Run | None:
        """Return the run as its row holds it; None where there is no such run."""
        async with self._engine.connect() as connection:
            return await run_rows.find(connection, run_id)

    async def run(self, run_id: str) -> ShownRun | None:
        """Return a run's report, with when it ran, with what, and what holds it up; None where there is no such run."""
        async with self._engine.connect() as connection:
            return await runs.shown(connection, run_id, self._alive)

    async def stream(self, stream_id: str) -> Stream | None:
        """Return a stream as its row holds it; None where there is no such stream."""
        from loom_coordinator.db import streams

        async with self._engine.connect() as connection:
            return await streams.find(connection, stream_id)

    async def shown_stream(self, stream_id: str, newest: int = 10) -> ShownStream | None:
        """Return how far a stream has come, with its newest windows; None where there is no such stream."""
        from loom_coordinator.queries.streams.shown import shown

        async with self._engine.connect() as connection:
            return await shown(connection, stream_id, newest, self._alive)

    async def open_windows(self, stream_id: str) -> list[OpenWindow]:
        """Return the windows of a stream that are not over, in their order."""
        from loom_coordinator.db import streams

        async with self._engine.connect() as connection:
            return await streams.open_windows(connection, stream_id)

    async def status(self, run_id: str) -> str | None:
        """Return a run's status as people are shown it; None where there is no such run."""
        async with self._engine.connect() as connection:
            return await runs.status(connection, run_id, self._alive)

    async def report(self, run_id: str) -> RunReport | None:
        """Return a run's report as far as it has come; None where there is no such run."""
        async with self._engine.connect() as connection:
            return await runs.report(connection, run_id)

    async def history(self, pipeline: str | None, limit: int, among: frozenset[str] | None = None) -> list[RunSummary]:
        """Return the runs of a pipeline, of those `among` which it is looked, or of all, the newest first."""
        async with self._engine.connect() as connection:
            return await runs.history(connection, pipeline, limit, self._alive, among)

    async def at_work(self, owner: str) -> list[str]:
        """Return the ids of the runs that an embedded engine is at work on."""
        async with self._engine.connect() as connection:
            return await runs.at_work(connection, owner)

    async def manifest(self, pipeline: str | None, status: str | None, limit: int | None) -> list[ShownRun]:
        """Return all that is known of each run: of a pipeline or of all, of a status or of any, the newest first."""
        async with self._engine.connect() as connection:
            return await runs.manifest(connection, pipeline, status, limit, self._alive)

    async def number_of_runs(self, pipeline: str | None, among: frozenset[str] | None = None) -> int:
        """Return how many runs a pipeline had, those `among` which it is looked, or all together."""
        async with self._engine.connect() as connection:
            return await runs.number_of_runs(connection, pipeline, among)

    async def unfinished(self, pipeline: str, target: str | None = None) -> list[RunSummary]:
        """Return the runs of the pipeline for that target which were interrupted or paused: `loom resume` finishes
        them."""
        newest = await self.history(pipeline, _MOST_UNFINISHED)
        left = (INTERRUPTED, run_rows.PAUSED)
        return [run for run in newest if run.status in left and run.target == target]

    async def with_params(self, pipeline: str) -> list[RunWithParams]:
        """Return the runs of a pipeline for the project's target with their parameters, the newest first, without
        samples and replays."""
        async with self._engine.connect() as connection:
            return await runs.with_params(connection, pipeline, self._config.target, self._alive)

    async def incarnation(self) -> str:
        """Return a text that is another one for run state that was made anew in the place of this one."""
        async with self._engine.connect() as connection:
            return await runs.incarnation(connection)

    async def pipelines(self) -> list[PipelineSummary]:
        """Return every pipeline that has run here, with its newest run."""
        from loom_coordinator.queries import pipelines

        async with self._engine.connect() as connection:
            return await pipelines.registered(connection, self._alive)

    async def lineage(self, pipeline: str, run_id: str | None) -> list[Lineage]:
        """Return from where to where records went, and what each stage let through: the named run, or the pipeline's
        newest ones."""
        from loom_coordinator.queries import lineage

        async with self._engine.connect() as connection:
            return await lineage.of_pipeline(connection, pipeline, run_id, self._alive)

    def no_run(self, run_id: str) -> NotFound:
        """Return the error for a run that is not known here."""
        return no_run(self._config, run_id)

    async def known(self, run_id: str, pipeline: str | None = None) -> Run:
        """Return the run as its row holds it. Raises `NotFound` where it is not known here, and `ConfigurationError`
        where it is not one of the pipeline named."""
        run = await self.row(run_id)
        if run is None:
            raise self.no_run(run_id)
        if pipeline not in (None, run.pipeline_name):
            raise ConfigurationError(
                f"Run {run_id} is one of '{run.pipeline_name}', not of '{pipeline}'. `loom history {pipeline}` lists "
                "the runs of that one."
            )
        return run

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

    async def replayable(self, chosen: RecordFilter) -> queries.Standing:
        """Tell which of the records chosen a replay would take up, and why it would not take the others."""
        from loom_quarantine import queries

        return await queries.standing(self._engine, chosen)

    async def quarantined(
        self, chosen: RecordFilter | None = None, limit: int | None = 50
    ) -> list[queries.ListedRecord]:
        """Return records that did not get through, newest first, with stage, reason, data and scores."""
        from loom_quarantine import queries
        from loom_quarantine.queries import RecordFilter

        return await queries.listing(self._engine, chosen or RecordFilter(), limit)

    async def quarantined_number(self, chosen: RecordFilter) -> int:
        """Return how many records are chosen."""
        from loom_quarantine import queries

        return await queries.number_of(self._engine, chosen)

    async def quarantined_ids(self, chosen: RecordFilter) -> tuple[str, ...]:
        """Return the ids of all records chosen."""
        from loom_quarantine import queries

        return await queries.ids(self._engine, chosen)

    async def quarantined_whole(self, chosen: RecordFilter) -> AsyncIterator[queries.WholeRecord]:
        """Yield every column of every record chosen, newest first, a page at a time."""
        before = None
        while page := await self.quarantine_page(chosen, _PAGE, before):
            for row in page:
                yield row
            before = page[-1].id

    async def quarantine_page(
        self, chosen: RecordFilter, limit: int, before: int | None = None
    ) -> list[queries.WholeRecord]:
        """Return a page of the records chosen with every column, newest first."""
        from loom_quarantine import queries

        return await queries.whole(self._engine, chosen, limit, before)

    async def quarantine_stats(self, chosen: RecordFilter) -> list[queries.CauseCount]:
        """Count how many records did not get through for what, and what became of them."""
        from loom_quarantine import queries

        return await queries.stats(self._engine, chosen)

    async def quarantined_record(self, record_id: str, run_id: str | None = None) -> RecordStory | None:
        """Return all that is known of one record that did not get through; None where there is none."""
        from loom import kept_record  # it opens the plan's and the journal's stores, which no other view needs

        return await kept_record.story(self._engine, self._config, record_id, run_id)

    async def revealed_record(self, record_id: str, run_id: str | None = None) -> RecordStory | None:
        """Return the same with sensitive fields in clear. Raises `ConfigurationError` and `PermanentError` where their
        key cannot be used here."""
        from loom import kept_record

        return await kept_record.story(self._engine, self._config, record_id, run_id, reveal=True)

    async def schemas(self, pipeline: str) -> list[SchemaVersion]:
        """Return the stored versions of the schemas of a pipeline, the newest of each stage first."""
        from loom_coordinator.db import schema_versions

        async with self._engine.connect() as connection:
            return await schema_versions.history(connection, pipeline)

    async def store_schema(self, pipeline: str, stage: Stage, columns: Columns) -> SchemaVersion:
        """Store the next version of a schema, unless it is the newest one already."""
        from loom_coordinator.db import schema_versions

        async with self._engine.begin() as connection:
            return await schema_versions.store(
                connection, pipeline, stage, columns, dt.datetime.now(dt.UTC), getpass.getuser()
            )

    async def prompts(self, pipeline: str | None) -> list[PromptVersion]:
        """Return the versions of the prompts of a pipeline, or of all, the newest first."""
        from loom_coordinator.queries.versions import prompts

        async with self._engine.connect() as connection:
            return await prompts.listed(connection, pipeline)

    async def prompt(self, pipeline: str, version: str | None) -> PromptVersion:
        """Return one version of a pipeline's prompt, or the newest. Raises `NotFound`, and `ConfigurationError` where
        several are meant."""
        from loom_coordinator.queries.versions import prompts

        async with self._engine.connect() as connection:
            return await prompts.find(connection, pipeline, version)

    async def marks(self, pipeline: str | None) -> list[Mark]:
        """Return up to where a pipeline, or each, has read its sources."""
        from loom_coordinator.db import marks

        async with self._engine.connect() as connection:
            return await marks.listed(connection, pipeline)

    async def set_mark(self, pipeline: str, extract: ExtractConfig, window: Window) -> None:
        """Put a mark in the place of the one that is there."""
        from loom_coordinator.db import marks

        async with self._engine.begin() as connection:
            await marks.store(connection, pipeline, extract, window, dt.datetime.now(dt.UTC), getpass.getuser())

    async def reset_marks(self, pipeline: str) -> int:
        """Remove the marks of a pipeline, and return how many there were."""
        from loom_coordinator.db import marks

        async with self._engine.begin() as connection:
            return await marks.reset(connection, pipeline)

    async def acknowledge(self, alert_id: int, by: str) -> AlertLine:
        """Note that somebody has seen an alert, and return it. Raises `NotFound`."""
        from loom_coordinator.alerts import store
        from loom_coordinator.queries import alerts

        async with self._engine.begin() as connection:
            await store.acknowledge(connection, alert_id, by, dt.datetime.now(dt.UTC))
            return await alerts.find(connection, alert_id)

    async def create_token(self, name: str, user: str, scopes: Sequence[str], days: float) -> str:
        """Make a token of the API, and return it: it cannot be had again. Raises `ConfigurationError` where the name is
        taken."""
        from loom_coordinator.db import audit_log
        from loom_coordinator.db.audit_log import Act
        from loom_coordinator.db.sign_in import tokens

        now, by = dt.datetime.now(dt.UTC), person()
        async with self._engine.begin() as connection:
            secret = await tokens.create(connection, name, user, scopes, by, now, days)
            act = Act(by, None, "create token", f"tokens/{name}", {"user": user, "scopes": list(scopes), "days": days})
            await audit_log.note(connection, act, now, audit_log.DONE)
        return secret

    async def tokens(self) -> list[TokenLine]:
        """Return the tokens of the API, the newest first."""
        from loom_coordinator.db.sign_in import tokens

        async with self._engine.connect() as connection:
            return await tokens.listed(connection)

    async def revoke_token(self, name: str) -> None:
        """Let a token of the API be of no more use. Raises `NotFound`."""
        from loom_coordinator.db import audit_log
        from loom_coordinator.db.audit_log import Act
        from loom_coordinator.db.sign_in import tokens

        now = dt.datetime.now(dt.UTC)
        async with self._engine.begin() as connection:
            await tokens.revoke(connection, name, now)
            await audit_log.note(connection, Act(person(), None, "revoke token", f"tokens/{name}"), now, audit_log.DONE)

    async def audit_log(self, user: str | None, limit: int) -> list[AuditLine]:
        """Return what was done over HTTP, by a user or by all, the newest first."""
        from loom_coordinator.db import audit_log

        async with self._engine.connect() as connection:
            return await audit_log.page(connection, user, limit)

    async def want(self, run_id: str, verb: str) -> RunAccepted:
        """Leave a command in the run's row for the process that runs it, which carries it out within a second. Raises
        `ConfigurationError` where there is no such run."""
        async with self._engine.begin() as connection:
            await run_rows.want(connection, run_id, verb)
        run = await self.row(run_id)
        if run is None:
            raise run_rows.unknown(run_id)
        return RunAccepted(run_id=run_id, pipeline=run.pipeline_name, status=f"{verb} requested")

    def _alive(self, owner: str) -> bool:
        return alive(self._config.project, owner)


@asynccontextmanager
async def open_views(config: LoomConfig) -> AsyncIterator[Views]:
    """Open views of the configured state database; it is brought to the newest schema first where it is not."""
    url = config.settings().state.url.get_secret_value()
    engine = open_engine(url, reads=True)
    try:
        if not await is_current(engine):
            await upgrade_all([url])
        with told_plainly(engine.url):
            yield Views(engine, config)
    finally:
        await engine.dispose()
